"""``python -m serving``: settings, load, prove, start. A refusal is one line on standard error and exit code 1."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence

from modelpackage import PackageError, load, read_keys
from serving.errors import SettingsError
from serving.log import log
from serving.settings import Settings


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve a package until the process is asked to end; return its exit code."""
    try:
        settings = Settings.read(arguments, environment).fitted()
        log("start", package=str(settings.package))
        log("limits", **settings.limits())
        keys = read_keys(settings.public_keys) if settings.public_keys else None
        package = load(settings.package, digest=settings.digest, keys=keys)
        # After the package was verified: what serves it takes longer to import than that.
        from serving.house import serve

        serve(package, settings, environment)
    except (PackageError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    # Until the server takes its signals: as the first process of a container, this one has no other way to be ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # gRPC's core writes to standard error what clients do wrong.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(main(sys.argv[1:], os.environ))
