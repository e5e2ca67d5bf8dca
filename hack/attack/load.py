"""Load over REST from a process of its own: load.py SPECIFICATION. Prints what came of it as one JSON object.

The specification is a JSON file: see :class:`Plan`. A closed loop asks again as soon as it is answered; an open loop
asks at a rate, whatever the answers take, over as many connections as that needs.
"""

import asyncio
import base64
import json
import sys
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

HOST = "127.0.0.1"
TICK, PROBE_SECONDS, PATIENCE = 0.001, 0.02, 60.0
HEAD_END, STATUS, LENGTH, CLOSE = b"\r\n\r\n", slice(9, 12), b"content-length: ", b"connection: close"


@dataclass
class Plan:
    """What to send.

    Attributes:
        port: Where to.
        good: Requests, base64 of their bytes.
        connections: How many at most.
        seconds: How long, unless ``count`` comes first.
        bad: Requests of which every tenth is one.
        rate: Requests a second of an open loop; a closed loop without.
        count: How many at most; 0 is no bound.
        skip: Seconds at the beginning that the rate of answers leaves out, while queues fill.
        probe: A request that is sent on a connection of its own all the while, as bytes in base64.
    """

    port: int
    good: list[str]
    connections: int
    seconds: float
    bad: list[str] = field(default_factory=list)
    rate: float = 0
    count: int = 0
    skip: float = 0
    probe: str = ""


class Lane(asyncio.Protocol):
    """One connection, with one request on it at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: Any = None
        self._received = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self.sent:
            self.sent = 0.0
            self._load.dropped(self)

    def send(self, content: bytes) -> None:
        self.sent = perf_counter()
        self._transport.write(content)

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        end = received.find(HEAD_END)
        if end < 0:
            return
        place = received.find(LENGTH, 0, end) + len(LENGTH)
        size = end + len(HEAD_END) + int(received[place : received.find(b"\r", place)])
        if len(received) < size:
            return
        seconds, self.sent, self._received = perf_counter() - self.sent, 0.0, b""
        if received.find(CLOSE, 0, end) >= 0:
            self._transport.close()
        self._load.answered(self, received[STATUS].decode(), seconds)


class Load:
    """A run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._good = [base64.b64decode(content) for content in plan.good]
        self._bad = [base64.b64decode(content) for content in plan.bad]
        self._loop = asyncio.get_running_loop()
        self._free: deque[Lane] = deque()
        self._latencies: dict[str, list[float]] = defaultdict(list)
        self._statuses: Counter[str] = Counter()
        self._lanes = self._sent = self._missing = self._busy = self._behind = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._probing = False

    async def run(self) -> dict[str, Any]:
        plan = self.plan
        await asyncio.gather(*(self._open() for _ in range(plan.connections if not plan.rate else 8)))
        self._begun = perf_counter()
        self._end = self._begun + plan.seconds
        self._probing = bool(plan.probe)
        prober = asyncio.create_task(self._probe()) if plan.probe else None
        skipped = 0
        while (now := perf_counter()) < self._end and not self._enough():
            if now < self._begun + plan.skip:
                skipped = self._statuses["200"]
            self._send(now)
            await asyncio.sleep(TICK)
        seconds, in_time = perf_counter() - self._begun - plan.skip, self._statuses["200"] - skipped
        limit = perf_counter() + PATIENCE
        while self._busy and perf_counter() < limit:  # noqa: ASYNC110  # a clock is what this waits for
            await asyncio.sleep(0.01)
        self._probing = False
        if prober:
            await prober
        return {
            "seconds": seconds, "sent": self._sent, "in_time": in_time, "statuses": dict(self._statuses),
            "dropped": self._missing + self._busy, "behind": self._behind,
            "latency": {status: _cuts(found) for status, found in self._latencies.items()},
        }  # fmt: skip

    def answered(self, lane: Lane, status: str, seconds: float) -> None:
        self._statuses[status] += 1
        self._latencies[status].append(seconds * 1000)
        self._over(lane)

    def dropped(self, lane: Lane) -> None:
        self._missing += 1
        self._over(lane)

    def _over(self, lane: Lane) -> None:
        self._busy -= 1
        if not lane.open:
            self._lanes -= 1
            if not self.plan.rate:
                self._later(self._open())
        elif not self.plan.rate and not self._enough() and perf_counter() < self._end:
            self._ask(lane)
        else:
            self._free.append(lane)

    def _send(self, now: float) -> None:
        """Send what is due: of an open loop by the clock, of a closed one on every free connection."""
        due = int((now - self._begun) * self.plan.rate) - self._sent if self.plan.rate else len(self._free)
        while due > 0 and self._free and not self._enough():
            lane = self._free.popleft()
            if lane.open:
                self._ask(lane)
                due -= 1
            else:
                self._lanes -= 1
                if not self.plan.rate:
                    self._later(self._open())
        more = min(due, self.plan.connections - self._lanes) if self.plan.rate else 0
        for _ in range(more):
            self._later(self._open())
        self._behind = max(self._behind, due) if self.plan.rate else 0

    def _enough(self) -> bool:
        return bool(self.plan.count) and self._sent >= self.plan.count

    def _ask(self, lane: Lane) -> None:
        bad = self._bad and self._sent % 10 == 9
        kinds = self._bad if bad else self._good
        self._sent += 1
        self._busy += 1
        lane.send(kinds[self._sent // 10 % len(kinds)])

    def _later(self, opening: Any) -> None:
        task = self._loop.create_task(opening)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        self._lanes += 1
        try:
            _, lane = await self._loop.create_connection(lambda: Lane(self), HOST, self.plan.port)
        except OSError:
            self._lanes -= 1
            self._missing += 1
            return
        self._free.append(lane)

    async def _probe(self) -> None:
        """Ask the probe again and again, on a new connection each time as a kubelet does."""
        content = base64.b64decode(self.plan.probe)
        while self._probing:
            begun = perf_counter()
            try:
                reader, writer = await asyncio.open_connection(HOST, self.plan.port)
                writer.write(content)
                answer = await reader.readuntil(HEAD_END)
                writer.close()
            except (OSError, asyncio.IncompleteReadError):
                self._statuses["probe lost"] += 1
            else:
                key = "probe" if answer[STATUS] == b"200" else "probe refused"
                self._latencies[key].append((perf_counter() - begun) * 1000)
            await asyncio.sleep(PROBE_SECONDS)


def _cuts(found: list[float]) -> dict[str, float]:
    found.sort()
    return {f"p{cut}": found[min(len(found) - 1, len(found) * cut // 100)] for cut in (50, 99)} | {"max": found[-1]}


async def main(plan: Plan) -> None:
    print(json.dumps(await Load(plan).run()))


if __name__ == "__main__":
    uvloop.run(main(Plan(**json.loads(Path(sys.argv[1]).read_text()))))
