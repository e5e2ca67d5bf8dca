"""The way from ``slipway run`` to the first training step; for ``hack/bench-training --start``."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEP = "kfp.dsl.executor_main"
Moments = list[tuple[int, float, str]]


def start(root: Path) -> str:
    """Run digits with a small network up to its first step, and return a table of moments."""
    with tempfile.TemporaryDirectory() as home:
        file, begun = Path(home) / "moments", time.time()
        places = {"SLIPWAY_HOME": home, "SLIPWAY_STORE": f"file://{home}/store", "MLFLOW_TRACKING_URI": "none"}
        marked = {"PYTHONPATH": str(root / "hack" / "bench" / "moments"), "BENCH_MOMENTS": str(file)}
        command = [sys.executable, "-m", "pipelines", "run", "configs/digits.yaml"]
        command += ["--set=train.model=mnist_cnn", "--set=train.epochs=1", "--set=gate.minimum=0"]
        with subprocess.Popen(
            command, cwd=root, env={**os.environ, **places, **marked}, stdout=subprocess.PIPE, text=True
        ) as run:
            # What follows the first step is of no interest; an interrupt ends the run and all its steps.
            while run.poll() is None and not (file.exists() and file.read_text().endswith("first step\n")):
                time.sleep(0.05)
            run.send_signal(signal.SIGINT)
            told, _ = run.communicate()
        if not file.read_text().endswith("first step\n"):
            raise SystemExit(f"the run ended with {run.returncode}, before its first step:\n{told}")
        lines = [line.split("\t") for line in file.read_text().splitlines()]
    return table(begun, [(int(pid), float(moment), what) for pid, moment, what in lines])


def table(begun: float, moments: Moments) -> str:
    """Return the way as a table, each part with its share."""
    (step,) = {pid for pid, _, what in moments if what == "first step"}
    steps = [pid for pid, _, what in moments if what.startswith("process") and STEP in what]
    parts = [
        ("the command: imports, checks of the configuration", first(moments, "process", "pipelines.engine")),
        ("the engine: kfp, until it starts a step", at(moments, steps[0], "process")),
        ("step prepare, from its start to that of the next", at(moments, step, "process")),
        ("step train: Python and kfp", at(moments, step, "import components.steps")),
        ("step train: until our loop is imported", at(moments, step, "imported components.models.loop")),
        ("step train: until the first step is done", at(moments, step, "first step")),
    ]
    whole, before, rows = parts[-1][1] - begun, begun, ["| part | s | of all | since the start |", "|---|---|---|---|"]
    for what, moment in parts:
        rows.append(f"| {what} | {moment - before:.2f} | {(moment - before) / whole:.0%} | {moment - begun:.2f} |")
        before = moment
    rows += ["", "| imported by step train, with what it imports | s |", "|---|---|"]
    for pid, moment, what in moments:
        if pid == step and (name := what.removeprefix("imported ")) != what and "components" not in name:
            rows.append(f"| {name} | {moment - at(moments, step, f'import {name}'):.2f} |")
    return "\n".join(rows)


def first(moments: Moments, *words: str) -> float:
    return next(moment for _, moment, what in moments if all(word in what for word in words))


def at(moments: Moments, process: int, what: str) -> float:
    return next(moment for pid, moment, told in moments if pid == process and told.startswith(what))
