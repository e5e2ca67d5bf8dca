"""``python -m pipelines`` is ``slipway``."""

import sys

from pipelines.cli import main

sys.exit(main())
