"""A faster variant of a sealed package, kept only if it is faster and surely about as accurate as the original.

The variant is an int8 graph. Refused, as an error, are a graph with nothing to quantise and data that is not the
package's own; a variant that breaks a bound is judged so and never sealed. The command line may import it.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from components.config import Config
from components.evaluate import Evaluation
from components.optimize.int8 import check_quantizable, quantize
from components.optimize.judgement import Bounds, Judgement, judge
from components.optimize.original import find_source, rebuild
from components.optimize.variant import describe, publish_variant, seal_variant
from modelpackage import Package

__all__ = ["Accepted", "Bounds", "Judgement", "find_source", "optimize", "publish_variant"]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A variant that holds the bounds.

    Attributes:
        package: The sealed variant.
        config: The original's configuration.
        evaluation: What was measured of the variant.
    """

    package: Package
    config: Config
    evaluation: Evaluation


def optimize(
    original: Package, source: str, bounds: Bounds, directory: Path, cache: Path
) -> tuple[Judgement, Accepted | None]:
    """Make the int8 variant of a package, judge it, and seal it if it holds the bounds.

    Equal packages give equal variants on equal machines: nothing of the clock gets into the variant.

    Args:
        original: A verified package.
        source: Where the data is that it was made from, as ``data.source`` takes it.
        bounds: What the variant must hold.
        directory: Where the variant shall be; must not exist. A refused one leaves nothing there.
        cache: A folder for downloads.

    Returns:
        How the variant compares with its original, and the sealed variant; none where it was refused.

    Raises:
        OptimizeError: There is nothing to quantise, or the data is not the package's own.
        SlipwayError: The data can't be used or reached.
    """
    graph = original.graph()
    check_quantizable(graph)
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        config, splits = rebuild(original, source, Path(scratch), cache)
        variant = quantize(graph, splits.part("train"))
        judgement = judge(original, variant, splits, config.gate, bounds)
        if judgement.faults:
            return judgement, None
        evaluation = describe(original, splits, config, judgement)
        package = seal_variant(original, variant, splits, evaluation, judgement, directory)
    return judgement, Accepted(package=package, config=config, evaluation=evaluation)
