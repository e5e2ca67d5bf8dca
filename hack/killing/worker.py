"""One watched process of a training in several: ``python -m killing.worker JOB``; what works is the real one."""

import os
import sys
from pathlib import Path

from killing.watch import VARIABLE, Watch

from components.processes.worker import main

if __name__ == "__main__":
    Watch(Path(os.environ[VARIABLE])).begin(int(os.environ["RANK"]))
    main(Path(sys.argv[1]))
