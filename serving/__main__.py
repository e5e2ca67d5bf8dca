"""``python -m serving``: settings, load, prove, start. A refusal is one line on standard error and exit code 1."""

import os
import sys
from collections.abc import Sequence

from modelpackage import PackageError, load
from serving.errors import SettingsError
from serving.log import log
from serving.predictor import Predictor
from serving.server import run
from serving.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Serve a package until the process is asked to end; return its exit code."""
    try:
        settings = Settings.read(arguments, os.environ)
        log("start", package=str(settings.package))
        package = load(settings.package, digest=settings.digest)
        predictor = Predictor(package, name=settings.name, threads=settings.threads, max_rows=settings.max_rows)
        predictor.load()
        run(predictor, settings)
    except (PackageError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
