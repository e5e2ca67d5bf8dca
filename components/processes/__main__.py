"""torchrun, which ends when the step that started it does: ``python -m components.processes``."""

from torch.distributed.run import main

from components.processes.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main()
