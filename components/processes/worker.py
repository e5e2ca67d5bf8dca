"""One process of a training, as ``torchrun`` starts it: ``python -m components.processes.worker JOB``."""

import json
import os
import sys
from pathlib import Path

from components import console
from components.errors import SlipwayError, Stopped, StoreError
from components.processes.parent import end_with_parent
from components.processes.verdict import STOPPED, read_verdict, write_verdict


def main(job: Path) -> None:
    """Train, as one of several.

    An end by its own word is a verdict, which those that torchrun starts in its place respect. A store that can't be
    reached is none: the next try may find it.

    Args:
        job: File with ``config``, ``fingerprint``, ``splits`` and ``model``.
    """
    end_with_parent()
    if read_verdict(job.parent) is not None:  # torchrun starts all anew after one ended by its own word
        return
    # They bring torch, which takes seconds, in which a parent may be lost.
    from components.config import Config
    from components.dataset import Splits
    from components.destination import run_checkpoints
    from components.models.group import Group
    from components.provenance import run_key
    from components.train import train

    group = Group.join()
    if group.rank != 0:
        console.mute()
    if lost := int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")):
        console.say(f"a process was lost; all start anew from the last checkpoint, for time {lost}")
    content = json.loads(job.read_bytes())
    config = Config.build(content["config"])
    kept = run_checkpoints(config.name, run_key(config, content["fingerprint"]))
    try:
        train(config, Splits(Path(content["splits"])), Path(content["model"]), kept)
    except StoreError as error:
        console.say(f"{error}")
        _leave_at_once(1)
    except SlipwayError as error:
        write_verdict(job.parent, group.rank, str(error))
        _leave_at_once(1)
    except Stopped:
        write_verdict(job.parent, group.rank, STOPPED)
        _leave_at_once(0)
    group.leave()


def _leave_at_once(code: int) -> None:
    """End without a word to the others: they may wait for this one where no word is heard, and torchrun ends them."""
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
