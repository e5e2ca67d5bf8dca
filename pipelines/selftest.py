"""``slipway --self-test``: proves that this installation can do the whole of its work, with nothing from outside.

Runs the compiled pipeline on built-in data in a temporary folder, with the records in the store alone, and verifies the
package that it published. Where torch is installed the model is a network, so that training and export are proven, too.
"""

import argparse
import importlib.util
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.errors import RunError

#: Quick, and of every step something.
TABLE = {
    "name": "self-test",
    "data": {"source": "builtin://iris"},
    "split": {"test": 0.2},
    "train": {"model": "logistic_regression"},
    "gate": {"metric": "accuracy", "minimum": 0.8},
}
#: One epoch does better than chance, which is all that is asked of it here.
NETWORK = {
    "name": "self-test",
    "data": {"source": "builtin://digits"},
    "train": {"model": "mnist_cnn", "epochs": 1},
    "gate": {"metric": "accuracy", "minimum": 0.3},
}
#: A process of its own: the pipeline's side imports no torch.
COMPUTE = """
import torch
device = "cuda" if torch.cuda.is_available() else "cpu"
assert (torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)).sum().item() == 512
name = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
print(f"torch {torch.__version__} computes on {name}")
"""


class SelfTest(argparse.Action):
    """The flag that runs the test in place of a command and ends the process, like ``--version``."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Run the test; being terminated ends what it started, too."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            parser.exit(self_test())
        except KeyboardInterrupt:
            parser.exit(130)


def self_test(say: Callable[[str], None] = print) -> int:
    """Prove this installation; return 0 if it works, else 1 after one line on standard error.

    Args:
        say: Called with the one line that tells what was proven.
    """
    from components.errors import SlipwayError
    from modelpackage import PackageError

    began = time.monotonic()
    networks = importlib.util.find_spec("torch") is not None
    try:
        with tempfile.TemporaryDirectory(prefix="slipway-self-test-") as folder:
            digest = run_pipeline(NETWORK if networks else TABLE, Path(folder))
        computes = f"; {_computes()}" if networks else ""
    except (SlipwayError, PackageError, RunError, OSError) as error:
        print(f"self-test failed: {error}", file=sys.stderr)  # noqa: T201 (the command line prints)
        return 1
    say(
        f"self-test passed in {time.monotonic() - began:.1f} s: the pipeline prepared, trained, assessed, sealed and "
        f"published a model, and its package sha256:{digest[:12]} is whole{computes}"
    )
    return 0


def run_pipeline(content: dict[str, Any], folder: Path) -> str:
    """Run the pipeline with all its files in a folder.

    Args:
        content: Of a configuration.
        folder: Empty.

    Returns:
        Digest of the package that it published.

    Raises:
        RunError: A step failed or the gate refused; the message has the step's own error.
        PackageError: What was published is not a whole package.
    """
    from components.config import Config
    from components.fetch import fetch
    from pipelines.home import Home
    from pipelines.local import refuse_unusable, run_local

    config = Config.build(content).plain()
    refuse_unusable(config, folder)
    # Not the environment's: nothing of a self-test may end up in the store and the registry of others.
    home = Home({"SLIPWAY_HOME": str(folder), "MLFLOW_TRACKING_URI": "none"})
    said: list[str] = []
    outcome = run_local(
        Path(__file__).with_name("training.yaml"),
        {"config": config},
        home.new_run("self-test"),
        home.destinations() | home.quiet(),
        said.append,
    )
    if outcome.code or not outcome.published:
        # The last line is where the log is, and that is gone with the folder.
        raise RunError(said[-2] if len(said) > 1 else "the pipeline did not start")
    return fetch(outcome.published["uri"], folder / "packages").digest


def _computes() -> str:
    done = subprocess.run([sys.executable, "-c", COMPUTE], capture_output=True, text=True, check=False)  # noqa: S603 (our own text)
    if done.returncode:
        raise RunError(f"torch can't compute: {(done.stderr.strip().splitlines() or ['it ended without a word'])[-1]}")
    return done.stdout.strip()
