"""What a variant's package says, and where it goes."""

import numpy as np
import pytest
from small_network import Network

from components.destination import Destination
from components.graph import run_graph
from components.optimize import Accepted, optimize, publish_variant
from components.optimize.judgement import TOLERANCE
from components.record import runs
from components.store import open_store
from modelpackage import load


@pytest.fixture(scope="module")
def accepted(network: Network, lenient, tmp_path_factory) -> Accepted:
    place = tmp_path_factory.mktemp("variant")
    _, found = optimize(network.package, "builtin://digits", lenient, place / "package", place / "cache")
    return found


def test_the_lineage_leads_back_to_the_original_and_its_data(network: Network, accepted):
    known, made = network.package.descriptor.lineage, accepted.package.descriptor.lineage
    assert made.data == known.data
    how = {"method": "int8", "from": f"sha256:{network.package.digest}", "calibration_rows": 256}
    assert made.parameters == {**known.parameters, "optimize": how}
    assert {**made.software, **known.software} == made.software
    assert "onnxruntime" in made.software


def test_golden_inputs_are_the_originals_and_outputs_the_variants_own(network: Network, accepted):
    golden, known = accepted.package.golden(), network.package.golden()
    assert (golden.inputs["image"] == known.inputs["image"]).all()
    assert accepted.package.descriptor.tolerance == TOLERANCE
    golden.check(lambda inputs: {"probabilities": run_graph(accepted.package.graph(), [inputs])}, 0.0)
    assert np.abs(golden.outputs["probabilities"] - known.outputs["probabilities"]).max() > 0


def test_metrics_and_reference_are_measured_anew_under_the_same_names(network: Network, accepted):
    made, known = accepted.package.descriptor.metrics, network.package.descriptor.metrics
    assert made.keys() == known.keys()
    assert made["log_loss"] != known["log_loss"]
    reference, before = accepted.package.reference(), network.package.reference()
    assert reference.inputs == before.inputs
    assert sum(reference.classes.values()) == sum(reference.confidence.counts) == made["test_rows"]


def test_the_card_tells_how_it_was_made(network: Network, accepted):
    card = accepted.package.read("card.md").decode()
    assert "## How it was optimised" in card and f"beside its original sha256:{network.package.digest}" in card


def test_it_is_published_under_its_digest_as_a_challenger_and_a_second_time_changes_nothing(
    accepted, tmp_path, mlflow_uri
):
    destination = Destination(store=(tmp_path / "store").as_uri(), tracking=mlflow_uri)
    published, again = (
        publish_variant(accepted.package, accepted.config, accepted.evaluation, destination) for _ in range(2)
    )
    assert published == again
    assert published.uri.endswith(f"/digits/sha256-{accepted.package.digest}/")
    assert (published.version, published.aliases) == ("1", ("challenger",))
    assert load(published.uri.removeprefix("file://")).digest == accepted.package.digest
    assert runs(open_store(destination.store)) == [("digits", f"int8-{accepted.package.digest[:12]}")]
