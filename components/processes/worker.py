"""One process of a training, as ``torchrun`` starts it: ``python -m components.processes.worker JOB``."""

import json
import sys
from pathlib import Path

from components import console
from components.config import Config
from components.dataset import Splits
from components.destination import run_checkpoints
from components.errors import SlipwayError, Stopped
from components.models.group import Group
from components.processes.parent import end_with_parent
from components.processes.verdict import STOPPED, write_verdict
from components.provenance import run_key
from components.train import train


def main(job: Path) -> None:
    """Train, as one of several.

    An end by its own word is a verdict and exit code 0, so that torchrun does not start it again.

    Args:
        job: File with ``config``, ``fingerprint``, ``splits`` and ``model``.
    """
    end_with_parent()
    group = Group.join()
    if group.rank != 0:
        console.mute()
    content = json.loads(job.read_bytes())
    config = Config.build(content["config"])
    kept = run_checkpoints(config.name, run_key(config, content["fingerprint"]))
    try:
        train(config, Splits(Path(content["splits"])), Path(content["model"]), kept)
        group.meet()
    except SlipwayError as error:
        write_verdict(job.parent, group.rank, str(error))
    except Stopped:
        write_verdict(job.parent, group.rank, STOPPED)
    group.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
