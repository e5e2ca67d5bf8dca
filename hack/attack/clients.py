"""Clients as processes on the last CPU, and what they measured."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from attack.client import Call

PROGRAM = Path(__file__).with_name("load.py")
SLACK_SECONDS = 120
#: Servers run on the first CPU and clients on the last: another one, where there is another.
SERVER_CPU, CLIENT_CPU = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Found:
    """What a load measured.

    Attributes:
        seconds: How long it sent, but for those that the plan skips.
        sent: Requests.
        in_time: Answers of 200 in these seconds.
        statuses: Answers by status.
        dropped: Requests without an answer, and connections that could not be opened.
        behind: Requests that an open loop was late with, at worst.
        latency: p50, p99 and max in ms, by status; ``probe`` is that of the probe.
    """

    seconds: float
    sent: int
    in_time: int
    statuses: dict[str, int]
    dropped: int
    behind: int
    latency: dict[str, dict[str, float]]

    @property
    def rate(self) -> float:
        """Answers of 200 a second."""
        return self.in_time / self.seconds

    @property
    def failed(self) -> int:
        """Requests that got no answer of 200."""
        return self.dropped + sum(count for status, count in self.statuses.items() if status != "200")

    def cut(self, status: str, cut: str) -> float:
        """Return a latency in ms; 0 where there was no such answer."""
        return self.latency.get(status, {}).get(cut, 0.0)


@dataclass
class Client:
    """A load that runs beside what is done meanwhile."""

    process: "subprocess.Popen[str]"
    seconds: float = field(default=0)

    @classmethod
    def start(cls, folder: Path, port: int, good: Iterable[Call], seconds: float, **plan: Any) -> Self:
        """Start a load; the rest of the plan is that of :class:`attack.load.Plan`."""
        fields = {"port": port, "good": _encoded(good), "seconds": seconds, "connections": 4} | plan
        fields["bad"] = _encoded(plan.get("bad", ()))
        fields["probe"] = _encoded([plan["probe"]])[0] if "probe" in plan else ""
        path = folder / f"plan-{len(list(folder.glob('plan-*')))}.json"
        path.write_text(json.dumps(fields))
        command = ["taskset", "-c", str(CLIENT_CPU), sys.executable, str(PROGRAM), str(path)]
        return cls(subprocess.Popen(command, stdout=subprocess.PIPE, text=True), seconds)

    def found(self) -> Found:
        """Wait until it has ended."""
        output, _ = self.process.communicate(timeout=self.seconds + SLACK_SECONDS)
        if self.process.returncode:
            raise SystemExit(f"a client ended with {self.process.returncode}")
        return Found(**json.loads(output))


def load(folder: Path, port: int, good: Iterable[Call], seconds: float, **plan: Any) -> Found:
    """Run a load to its end."""
    return Client.start(folder, port, good, seconds, **plan).found()


def _encoded(calls: Iterable[Call]) -> list[str]:
    return [base64.b64encode(call.raw()).decode() for call in calls]
