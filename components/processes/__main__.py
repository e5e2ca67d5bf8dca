"""torchrun, which ends when the step that started it does: ``python -m components.processes``."""

import os
import sys

from components.processes.parent import end_with_parent, of_this_process

if __name__ == "__main__":
    end_with_parent()
    os.environ.update(of_this_process())
    # It takes seconds, in which the step may be lost.
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.run import main

    try:
        main()
    except SignalException as error:  # its processes have ended; what they said is all there is to say
        sys.exit(128 + error.sigval)
