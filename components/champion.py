"""Champion and challenger: the candidate and the model that is champion, answering the same held-out rows.

A champion that can't be asked decides nothing; why is said. For ``components/steps.py`` and what reads an evaluation.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.optimize import brentq
from scipy.stats import binomtest

from components.config import Action, Challenge, Config
from components.dataset import Splits
from components.destination import Destination
from components.errors import StoreError, TrackingError
from components.fetch import fetch
from components.graph import run_graph
from components.metrics import Z_95
from components.train import GRAPH
from modelpackage import Package, PackageError, Tensor

if TYPE_CHECKING:
    from components.tracking.registry import Version

#: What looking for the champion may take.
LOOK_SECONDS = 20.0
SMALLEST_VARIANCE = 1e-12
Verdict = Literal["first", "better", "equal", "unclear", "worse"]


class Comparison(BaseModel):
    """How a candidate compares with the champion.

    Attributes:
        verdict: ``first`` where there is no champion to compare with.
        action: What the configuration makes of it.
        reason: The comparison in one sentence.
        version: The champion's version in MLflow, where there is a champion.
        digest: Of the champion's package.
        difference: Candidate's accuracy minus the champion's, with the ends of its 95 % interval; of a pair that could
            not be compared there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    action: Action
    reason: str
    version: str | None = None
    digest: str | None = None
    difference: tuple[float, float, float] | None = None


def challenge(config: Config, splits: Splits, model: Path, destination: Destination, scratch: Path) -> Comparison:
    """Compare a trained model with the champion of its name.

    Args:
        config: The run.
        splits: The data; both models answer its test rows.
        model: What training wrote.
        destination: Where the champion is.
        scratch: Where the champion's package is put.
    """
    policy = config.champion
    champion = None
    try:
        champion = _champion(config.name, destination)
        package = _rival(champion, splits, scratch)
    except _NoContestError as error:
        named = {"version": champion.version, "digest": champion.digest} if champion else {}
        return _judged(policy, error.verdict, str(error), **named)
    graph = (model / GRAPH).read_bytes()
    if package.graph() == graph:
        reason = f"it is champion version {champion.version} itself"
        return _judged(policy, "equal", reason, version=champion.version, digest=champion.digest)
    ours, theirs = _right(splits, graph, splits.rows.labels), _right(splits, package.graph(), package.descriptor.labels)
    found = compare(policy, ours, theirs, champion.version, champion.digest)
    known, held = package.descriptor.lineage, _held(config)
    if known.data == splits.rows.digest and held == {name: known.parameters.get(name) for name in held}:
        return found
    # Only a candidate that wins all the same has been compared.
    verdict: Verdict = "better" if found.verdict == "better" else "unclear"
    reason = f"{found.reason}; the champion may have trained on some of these rows"
    if found.verdict != verdict:
        reason = f"unclear, though {reason}"
    return found.model_copy(update={"verdict": verdict, "action": getattr(policy, verdict), "reason": reason})


class _NoContestError(Exception):
    """There is nobody to compare with."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict


def _champion(name: str, destination: Destination) -> "Version":
    if destination.tracking is None:
        raise _NoContestError("first", "there is no MLflow, and so no champion")
    from components.tracking import Tracking
    from components.tracking.registry import Registry

    try:
        champion = Registry(Tracking(destination.tracking, LOOK_SECONDS)).champion(name)
    except TrackingError as error:
        raise _NoContestError("unclear", f"can't tell who is champion: {error}") from None
    if champion is None:
        raise _NoContestError("first", "there is no champion yet")
    return champion


def _rival(champion: "Version", splits: Splits, scratch: Path) -> Package:
    """Return the champion's package if it can answer the same rows."""
    called = f"champion version {champion.version}"
    try:
        package = fetch(champion.uri, scratch)
    except PackageError as error:
        raise _NoContestError("first", f"the package of {called} is gone or damaged: {error}") from None
    except StoreError as error:
        raise _NoContestError("unclear", f"the package of {called} can't be had: {error}") from None
    if _shape(package.descriptor.signature.inputs) != _shape(splits.rows.tensors()):
        raise _NoContestError("unclear", f"{called} takes other inputs")
    if set(package.descriptor.labels) != set(splits.rows.labels):
        raise _NoContestError("unclear", f"{called} knows other labels")
    return package


def compare(
    policy: Challenge, ours: NDArray[np.bool_], theirs: NDArray[np.bool_], version: str, digest: str
) -> Comparison:
    """Judge a candidate by the rows that only one of the two gets right.

    Args:
        policy: What each verdict leads to, and from which difference on models count as different.
        ours: Whether the candidate is right, shape (rows,).
        theirs: Whether the champion is, same rows.
        version: The champion's.
        digest: Of the champion's package.
    """
    gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    difference, (low, high) = (gained - lost) / len(ours), paired_interval(gained, lost, len(ours))
    p_value = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    verdict: Verdict = "unclear"
    if low > 0 or high < 0:
        verdict = "better" if low > 0 else "worse"
    elif -policy.margin <= low and high <= policy.margin:
        verdict = "equal"
    words = {"equal": f"equal within {policy.margin:g} to", "unclear": "not told apart from"}
    reason = (
        f"{words.get(verdict, f'{verdict} than')} champion version {version}: accuracy {difference:+.4f}, 95 % "
        f"interval {low:+.4f} to {high:+.4f} (of {len(ours)} test rows {gained} gained, {lost} lost, p {p_value:.2g})"
    )
    rounded = tuple(round(value, 6) for value in (difference, low, high))
    return _judged(policy, verdict, reason, version=version, digest=digest, difference=rounded)


def paired_interval(gained: int, lost: int, rows: int) -> tuple[float, float]:
    """Return the 95 % score interval of the difference of two shares over the same rows (Tango 1998).

    Args:
        gained: Rows that only the first has right.
        lost: Rows that only the second has right.
        rows: All rows, at least one.
    """

    def score(difference: float) -> float:
        """How many standard errors what was seen is above a supposed difference."""
        b = (2 * rows - gained + lost) * difference - gained - lost
        c = -lost * difference * (1 - difference)
        only_second = (math.sqrt(b * b - 8 * rows * c) - b) / (4 * rows)
        variance = rows * (2 * only_second + difference * (1 - difference))
        return (gained - lost - rows * difference) / math.sqrt(max(variance, SMALLEST_VARIANCE))

    end = 1 - 1e-9
    low = -1.0 if lost == rows else brentq(lambda difference: score(difference) - Z_95, -end, end)
    high = 1.0 if gained == rows else brentq(lambda difference: score(difference) + Z_95, -end, end)
    return float(low), float(high)


def _judged(policy: Challenge, verdict: Verdict, reason: str, **more: object) -> Comparison:
    action: Action = "promote" if verdict == "first" else getattr(policy, verdict)
    return Comparison.model_validate({"verdict": verdict, "action": action, "reason": reason, **more})


def _shape(tensors: Iterable[Tensor]) -> list[dict[str, object]]:
    return [tensor.model_dump(include={"name", "datatype", "shape", "fields"}) for tensor in tensors]


def _held(config: Config) -> dict[str, object]:
    """Return the settings that decide which rows are held out."""
    return {name: value for name, value in config.identity().items() if name in ("seed", "split")}


def _right(splits: Splits, graph: bytes, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return for each test row whether a graph, whose classes are called so, is right."""
    test = splits.part("test")
    answers = np.array(labels)[run_graph(graph, test.batches()).argmax(axis=1)]
    right: NDArray[np.bool_] = answers == np.array(splits.rows.labels)[test.y]
    return right
