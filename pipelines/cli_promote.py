"""``slipway promote``: a verified package into an InferenceService, and the wait until it serves; imports wait."""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cli_sign import takes_keys, trusted

if TYPE_CHECKING:
    from pipelines.promote import Promotion


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", profile: argparse.ArgumentParser
) -> None:
    """Register ``promote``."""
    promote = commands.add_parser("promote", parents=[profile], help="let an InferenceService serve a package")
    promote.add_argument("package", metavar="REFERENCE", help="NAME@ALIAS, or s3://bucket/name/sha256-...")
    promote.add_argument("--service", required=True, metavar="NAME", help="the InferenceService, which exists")
    promote.add_argument("--namespace", default="slipway", metavar="NAME", help="default: slipway")
    promote.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="default: 300")
    promote.add_argument("--dry-run", action="store_true", help="let the API server check the change, and no more")
    promote.add_argument("--take-over", action="store_true", help="even from another manager, which may take it back")
    takes_keys(promote)
    promote.set_defaults(command=_promote)


def _promote(options: argparse.Namespace) -> int:
    from components.kube import Cluster
    from pipelines.promote import apply, current
    from pipelines.proof import wait
    from pipelines.rollout import model_of

    say = partial(print, flush=True)
    promotion = _promotion(options)
    cluster = Cluster.connect()
    before = current(cluster, promotion)
    _verify(promotion, options)
    say(f"package   {promotion.uri}, whole and unchanged")
    apply(cluster, before, promotion, take_over=options.take_over, dry_run=options.dry_run)
    say(f"service   {promotion.namespace}/{promotion.service}, before: {model_of(before).get('storageUri', 'nothing')}")
    if options.dry_run:
        say("checked   the API server would take it; nothing was changed")
        return 0
    wait(cluster, promotion, before, options.timeout, lambda text: say(f"rollout   {text}"))
    say(f"serving   sha256:{promotion.digest}")
    return 0


def _promotion(options: argparse.Namespace) -> "Promotion":
    from pipelines.promote import Promotion, addressed

    uri, digest = addressed(options.package if "://" in options.package else _registered(options.package))
    return Promotion(uri=uri, digest=digest, namespace=options.namespace, service=options.service)


def _registered(what: str) -> str:
    """Return the URI of a registered version."""
    from pipelines.errors import RunError

    if "@" not in what:
        raise RunError(f"{what} is neither NAME@ALIAS nor s3://bucket/name/sha256-...; slipway models shows them")
    from pipelines.cli_models import _places as places
    from pipelines.trace import find

    _, registry = places()
    return find(registry.versions(what.partition("@")[0]), what).uri


def _verify(promotion: "Promotion", options: argparse.Namespace) -> None:
    """Refuse a package that is not whole, before the cluster hears of it."""
    from components.fetch import fetch

    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        fetch(promotion.uri, Path(scratch), trusted(options))
