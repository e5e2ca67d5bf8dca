"""``python -m serving``: settings, load, prove, start. A refusal is one sentence and exit code 1.

``--health`` asks a running server and ``--self-test`` proves this installation; each stands first, before its settings.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.settings import Settings


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve a package until the process is asked to end; return its exit code."""
    if arguments[:1] == ["--health"]:
        from serving.health import check

        return check(arguments[1:], environment)
    # Imported here so that a health check needs none of it.
    from modelpackage import PackageError
    from serving.errors import SettingsError
    from serving.refusal import refuse
    from serving.settings import Settings

    try:
        if arguments[:1] == ["--self-test"]:
            from serving.selftest import SAMPLE, self_test

            settings = Settings.read(arguments[1:], environment)
            return self_test(settings.package if "package" in settings.model_fields_set else SAMPLE, environment)
        _serve(Settings.read(arguments, environment).fitted(), environment)
    except (PackageError, SettingsError) as error:
        return refuse(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _serve(settings: "Settings", environment: Mapping[str, str]) -> None:
    from modelpackage import load, read_keys
    from serving.log import log

    log("start", package=str(settings.package))
    log("limits", **settings.limits())
    keys = read_keys(settings.public_keys) if settings.public_keys else None
    package = load(settings.package, digest=settings.digest, keys=keys)
    # After the package was verified: what serves it takes longer to import than that.
    from serving.house import serve

    serve(package, settings, environment)


if __name__ == "__main__":
    # Until the server takes its signals: as the first process of a container, this one has no other way to be ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # gRPC's core writes to standard error what clients do wrong.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(main(sys.argv[1:], os.environ))
