"""A package into production: two fields of an InferenceService, applied under a field manager of our own.

Refused: an InferenceService that does not exist, since a partial apply would create an incomplete one; a place that
does not name its package by digest; a field that something else owns, Git above all. For ``pipelines/cli_promote.py``;
``pipelines/proof.py`` waits for what follows.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from components.kube import CONFLICT, Cluster, ClusterError, Json
from pipelines.errors import RunError
from pipelines.rollout import DIGEST_VARIABLE, digest_of, model_of, service_path

MANAGER = "slipway-promote"


@dataclass(frozen=True)
class Promotion:
    """A package and the InferenceService that shall serve it.

    Attributes:
        uri: The package's, ending in a slash.
        digest: The package's, as the URI names it.
        namespace: The InferenceService's.
        service: Its name.
    """

    uri: str
    digest: str
    namespace: str
    service: str

    @property
    def path(self) -> str:
        """Where the API server has the InferenceService."""
        return service_path(self.namespace, self.service)


def addressed(uri: str) -> tuple[str, str]:
    """Return a package's URI as KServe takes it, ending in a slash, and its digest.

    Raises:
        RunError: It is not in an object store, or not named by its digest.
    """
    digest = digest_of(uri)
    if urlsplit(uri).scheme != "s3":
        raise RunError(
            f"{uri} is not in an object store, so no cluster can fetch it; publish to SLIPWAY_STORE=s3://..., "
            "or ask the MLflow of the cluster, with --profile"
        )
    if digest is None:
        raise RunError(
            f"{uri} names no package by its digest, and KServe would not see new bytes there; "
            "give s3://bucket/NAME/sha256-DIGEST/, as slipway models and slipway run print it"
        )
    return f"{uri.rstrip('/')}/", digest


def current(cluster: Cluster, promotion: Promotion) -> Json:
    """Return the InferenceService.

    Raises:
        RunError: There is none.
    """
    service = cluster.find(promotion.path)
    if service is None:
        raise RunError(
            f"InferenceService {promotion.service} does not exist in namespace {promotion.namespace}; apply its "
            "manifest first, as promote changes nothing but the package"
        )
    return service


def apply(
    cluster: Cluster, service: Json, promotion: Promotion, *, take_over: bool = False, dry_run: bool = False
) -> Json:
    """Set the package and the digest that it must have, and return the InferenceService as it is then.

    Args:
        cluster: Where it is.
        service: As it is now.
        promotion: What it shall serve.
        take_over: Whether to take the fields from a manager that owns them.
        dry_run: Whether the API server only says what it would do.

    Raises:
        RunError: Another manager owns one of the two fields.
        ClusterError: The API server refuses for another reason.
    """
    variable = {"name": DIGEST_VARIABLE, "value": promotion.digest}
    fields = {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        # With its uid, what was removed meanwhile is not created anew.
        "metadata": {
            "name": promotion.service,
            "namespace": promotion.namespace,
            "uid": service["metadata"]["uid"],
        },
        "spec": {"predictor": {"model": {"storageUri": promotion.uri, "env": [variable]}}},
    }
    try:
        return cluster.apply(promotion.path, fields, MANAGER, force=take_over, dry_run=dry_run)
    except ClusterError as error:
        causes = (error.body.get("details") or {}).get("causes") or []
        owned = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
        if error.status != CONFLICT or not owned:
            raise
        raise RunError(_conflict(owned, service, promotion)) from None


def _conflict(owned: list[Json], service: Json, promotion: Promotion) -> str:
    """Return what to do where something else owns a field: it would set its own value again."""
    managers = sorted({name for cause in owned for name in re.findall(r'conflict with "([^"]+)"', cause["message"])})
    model = model_of(service)
    old = {"storageUri": model.get("storageUri")} | {
        entry["name"]: entry.get("value") for entry in model.get("env") or [] if entry["name"] == DIGEST_VARIABLE
    }
    new = {"storageUri": promotion.uri, DIGEST_VARIABLE: promotion.digest}
    lines = [f"{sign} {name}: {value}" for name in old for sign, value in (("-", old[name]), ("+", new[name]))]
    told = "\n".join(f"    {line}" for line in lines)
    return (
        f"{' and '.join(managers) or 'another manager'} owns {', '.join(sorted(cause['field'] for cause in owned))} of "
        f"InferenceService {promotion.service} and would take a change back, so nothing was changed; where that "
        "manager applies what Git holds, commit these lines there, else take the fields out of what it applies, "
        "or --take-over:\n"
        f"{told}"
    )
