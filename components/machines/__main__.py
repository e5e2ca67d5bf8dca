"""What each machine of a training runs: ``python -m components.machines URI``.

Exit codes, which ``manifests/trainer`` reads: 0 the model is in the store; 1 training failed, and would fail again;
75 a process, a peer or the store was lost, and a restart goes on from the last checkpoint; 143 ended by SIGTERM.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

from components.console import say
from components.errors import SlipwayError, Stopped, StoreError
from components.machines.folder import Folder
from components.processes import LOST, train_together
from components.train import USAGE
from components.usage import Usage


def main(uri: str) -> int:
    """Do this machine's share of the work.

    Args:
        uri: Of the folder with the work.

    Returns:
        The exit code.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        _train(Folder(uri))
    except Stopped as stopped:
        return stopped.code
    except StoreError as error:
        say(f"error: {error}")
        return LOST
    except SlipwayError as error:
        say(f"error: {error}")
        return 1
    return 0


def _stop(*_: object) -> None:
    raise Stopped


def _train(folder: Folder) -> None:
    if folder.done():  # a machine was lost after the end of training
        return
    with tempfile.TemporaryDirectory() as scratch:
        work, model = folder.take(Path(scratch)), Path(scratch) / "model"
        model.mkdir()
        settings = work.config.train.model_dump()
        with Usage(model / USAGE, gpus=settings["processes"] // settings["machines"]):
            train_together(work.config, work.fingerprint, work.splits, model)
        if os.environ.get("PET_NODE_RANK", "0") == "0":
            folder.hand_back(model)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
