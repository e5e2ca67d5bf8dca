"""Runs the compiled pipeline on this machine: one line per step on the terminal, everything else in a log file.

The engine is a child process; this module reads its output, tells what happens, and turns its end into an exit code.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.errors import RunError, error_of, killed

Runner = Literal["subprocess", "docker"]

PASSED, REFUSED, ERROR = 0, 1, 2
ANSI = re.compile(r"\x1b\[[0-9;]*m")
STARTED = re.compile(r"INFO - Executing task '([\w-]+)'")
ENDED = re.compile(r"(?:INFO|ERROR) - Task '([\w-]+)' finished with status (SUCCESS|FAILURE)")
SAID = re.compile(r"^\s*\[slipway\] (.*)")
TOLD_ERROR = re.compile(r"^(?:trial \d+/\d+: )?error: ")
#: The step that runs several times at once.
PARALLEL = "attempt"
USED = re.compile(r"^(?:trial \d+/\d+: )?used [\d.]+ s and (\d+) MB$")


@dataclass
class StepRun:
    """One step of a run.

    Attributes:
        name: Of the step.
        state: Where it stands.
        seconds: Wall time, start of its process included.
        peak_mb: Largest resident memory of its process, in MB; 0 while unknown.
        log: What it printed.
    """

    name: str
    state: Literal["running", "done", "failed"] = "running"
    seconds: float = 0.0
    peak_mb: int = 0
    started: float = field(default_factory=time.monotonic)
    log: list[str] = field(default_factory=list)

    def end(self, *, succeeded: bool) -> None:
        """Note the end."""
        self.state = "done" if succeeded else "failed"
        self.seconds = round(time.monotonic() - self.started, 1)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: 0 passed, 1 refused by the gate, 2 error.
        config: Content of the configuration.
        steps: In the order in which they ran.
        directory: The run's directory: the report and the profile lie in it.
        metrics: What was measured, if evaluation got that far.
        data: The version of the data, if it was read.
        published: Where the model is, if it was published.
    """

    code: int
    config: Mapping[str, Any]
    steps: list[StepRun]
    directory: Path
    metrics: dict[str, float] | None
    data: str | None
    published: dict[str, str] | None


def run_local(
    package: Path,
    arguments: Mapping[str, Any],
    directory: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    runner: Runner = "subprocess",
) -> Outcome:
    """Run a compiled pipeline and follow it.

    Args:
        package: The compiled file.
        arguments: Pipeline parameters.
        directory: Empty; gets ``log.txt``, ``run.json``, and the artifacts of every step under ``steps/``.
        environment: For the steps: where store and MLflow are.
        say: Called with each line for the user.
        runner: Each step is a process of this machine, or a container.
    """
    directory = directory.absolute()
    log = directory / "log.txt"
    command = [sys.executable, "-m", "pipelines.engine", str(package), str(directory / "steps")]
    command += [json.dumps(dict(arguments)), runner]
    # kfp.local leaves each step's source in a temporary folder; here it goes with the run's own.
    scratch = directory / "tmp"
    scratch.mkdir()
    environment = {**environment, "SLIPWAY_RUN": directory.name, "TMPDIR": str(scratch)}
    with (
        log.open("w", encoding="utf-8") as file,
        _cleared(directory, runner),
        _engine(command, environment) as engine,
    ):
        steps = follow(_copied(engine, file), say)
    shutil.rmtree(scratch)
    for page in (*directory.glob("steps/*/prepare/profile"), *directory.glob("steps/*/assess/report")):
        shutil.copyfile(page, directory / f"{page.name}.html")
    outcome = Outcome(
        code=exit_code(engine.returncode, steps, published=_content(directory, "publish/record") is not None),
        config={**arguments.get("config", {}), **_chosen(directory)},
        steps=steps,
        directory=directory,
        metrics=(_content(directory, "assess/evaluation/evaluation.json") or {}).get("metrics"),
        data=(_content(directory, "prepare/splits/rows.json") or {}).get("digest"),
        published=_content(directory, "publish/record"),
    )
    _save(outcome)
    if outcome.code != PASSED:
        _tell_failure(outcome, log, say)
    return outcome


def _tell_failure(outcome: Outcome, log: Path, say: Callable[[str], None]) -> None:
    failed = [step for step in outcome.steps if step.state == "failed"]
    told = error_of("\n".join(failed[-1].log) if failed else log.read_text(encoding="utf-8"))
    cause = killed(outcome.config) if told == "Killed" else told
    name = failed[-1].name if failed else "run"
    say(cause if outcome.code == REFUSED else f"{name} failed: {cause}")
    say(f"log       {log}")


def _cleared(directory: Path, runner: Runner) -> AbstractContextManager[None]:
    """Leave no container behind; entered before the engine, so that whatever could start one has ended."""
    if runner == "subprocess":
        return nullcontext()
    from pipelines.containers import cleared

    return cleared(directory)


@contextmanager
def _engine(command: list[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Start the engine; whatever ends the wait for it, an interrupt too, ends it together with its steps."""
    with subprocess.Popen(  # noqa: S603 (our own module)
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        # Without the safe path, folders of the user's own that are called components or serving would be imported.
        env={**os.environ, **environment, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as engine:
        try:
            yield engine
        except BaseException:
            os.killpg(engine.pid, signal.SIGTERM)
            raise


def follow(lines: Iterator[str], say: Callable[[str], None]) -> list[StepRun]:
    """Read the engine's output and say what a person wants to know of it.

    Args:
        lines: Output lines of the engine.
        say: Called with each line for the user.

    Returns:
        The steps, in the order in which they started.
    """
    steps: list[StepRun] = []
    for raw in lines:
        line = ANSI.sub("", raw.rstrip("\n"))
        running = [step for step in steps if step.state == "running"]
        if match := STARTED.search(line):
            steps.append(StepRun(match[1]))
        elif match := ENDED.search(line):
            if match[2] == "FAILURE" or match[1] != PARALLEL:
                step = next((step for step in running if step.name == match[1]), steps[-1])
                broke = any("[slipway] error: " in told for told in step.log)  # see exit_code
                _end(step, say, succeeded=match[2] == "SUCCESS" and not broke)
        elif running:
            for step in running:
                step.log.append(line)
            if match := SAID.match(line):
                _told(running[0], match[1], say)
    return steps


def _end(step: StepRun, say: Callable[[str], None], *, succeeded: bool) -> None:
    step.end(succeeded=succeeded)
    state = "refused" if step.name == "refuse" else step.state
    say(f"{step.name:<9} {state:<8} {step.seconds:6.1f} s")


def _told(step: StepRun, text: str, say: Callable[[str], None]) -> None:
    if used := USED.match(text):
        step.peak_mb = int(used[1])
        # Of steps that run side by side kfp loses some of the lines that tell their end; their own word always comes.
        if step.name == PARALLEL:
            _end(step, say, succeeded=True)
    elif not TOLD_ERROR.match(text):
        say(f"  {step.name}: {text}")


def exit_code(engine: int, steps: list[StepRun], *, published: bool) -> int:
    """Return how the run ended: 0 passed, 1 refused by the gate, 2 error.

    Args:
        engine: Exit code of the engine.
        steps: Of the run, at its end.
        published: The run left the record of a publication.
    """
    # kfp takes a container that is gone before it was asked for its exit code for one that succeeded (one in a few
    # hundred on a busy machine), so what the steps told and left has the last word.
    if engine == 0 and published:
        return PASSED
    failed = [step.name for step in steps if step.state == "failed"]
    refused = failed == ["refuse"] or (engine == 0 and any(step.name == "refuse" for step in steps))
    return REFUSED if refused else ERROR


def refuse_unusable(config: Mapping[str, Any], home: Path, runner: Runner = "subprocess") -> None:
    """Refuse what would go wrong in a library's silence.

    Without containers, kfp's local mode puts its interpreter for the text ``python3`` wherever it occurs; with them, a
    colon ends the path of a mount. The path of an sqlite file inside MLflow's address can't have characters that mean
    something in an address.

    Args:
        config: Content of the configuration.
        home: Slipway's folder.
        runner: How steps run.

    Raises:
        RunError: The text or a character occurs.
    """
    for where, value in (("the configuration", json.dumps(config)), ("the folder of the run", str(home))):
        if runner == "subprocess" and "python3" in value:
            raise RunError(
                f"{where} contains 'python3', which kfp's local mode replaces by a path; choose another name"
            )
    for character, by in (*((character, "MLflow") for character in "%?#"), (":", "a container's mount")):
        if character in str(home) and (character != ":" or runner == "docker"):
            raise RunError(
                f"{home} contains {character!r}, which {by} can't have there; set SLIPWAY_HOME to another folder"
            )


def _copied(engine: "subprocess.Popen[str]", file: Any) -> Iterator[str]:
    if engine.stdout is None:
        return
    for line in engine.stdout:
        file.write(line)
        yield line


def _content(directory: Path, artifact: str) -> dict[str, Any] | None:
    """Return the content of a JSON artifact of the run, if the run got that far."""
    path = next(iter(directory.glob(f"steps/*/{artifact}")), None)
    if path is None:
        return None
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def _chosen(directory: Path) -> dict[str, Any]:
    """Return the configuration that a sweep chose; nothing of a run without one."""
    found = _content(directory, "choose/executor_output.json") or {}
    chosen: dict[str, Any] = found.get("parameterValues", {}).get("config", {})
    return chosen


def _save(outcome: Outcome) -> None:
    steps = [asdict(step) for step in outcome.steps]
    for step in steps:
        del step["log"], step["started"]
    content = {
        "code": outcome.code,
        "config": dict(outcome.config),
        "data": outcome.data,
        "metrics": outcome.metrics,
        "steps": steps,
        "published": outcome.published,
    }
    (outcome.directory / "run.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
