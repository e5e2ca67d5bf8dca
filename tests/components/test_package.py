"""Packaging proves the graph and seals what it proved."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelpackage
from components.errors import ParityError
from components.graph import run_graph
from components.package import check_parity, package


@pytest.fixture(scope="module")
def packaged(forest_run, tmp_path_factory):
    target = tmp_path_factory.mktemp("packaged") / "package"
    return package(forest_run.config, forest_run.splits, forest_run.model, forest_run.evaluation, target)


def test_the_package_carries_what_was_measured_and_where_it_came_from(forest_run, packaged):
    descriptor = modelpackage.load(packaged.path).descriptor
    assert descriptor.metrics == forest_run.evaluation.metrics
    assert descriptor.lineage.data == forest_run.splits.rows.digest
    assert descriptor.lineage.parameters == forest_run.config.identity()
    assert descriptor.labels == tuple("0123456789")


def test_golden_examples_are_the_trained_models_own_answers_and_cover_every_class(forest_run, packaged):
    golden = packaged.golden()
    answers = golden.outputs["probabilities"]
    assert len(answers) == 20
    native = np.load(forest_run.model / "native.npy")
    assert {row.tobytes() for row in answers} <= {row.tobytes() for row in native}
    golden.check(
        lambda inputs: {"probabilities": run_graph(packaged.graph(), [inputs])},
        packaged.descriptor.tolerance,
    )


def test_the_reference_counts_training_rows_and_test_answers(forest_run, packaged):
    reference = packaged.reference()
    assert reference.rows == len(forest_run.splits.part("train").y)
    assert sum(reference.inputs["brightness"].counts) == reference.rows
    assert sum(reference.classes.values()) == len(forest_run.splits.part("test").y)
    assert sum(reference.confidence.counts) == len(forest_run.splits.part("test").y)


def test_what_was_left_to_the_machine_is_sealed_as_it_came_out(forest_run, tmp_path, place):
    shutil.copytree(forest_run.model, tmp_path / "model")
    path = tmp_path / "model" / "training.json"
    settled = {"device": "cuda", "precision": "bfloat16"}
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"settled": settled}))
    sealed = package(forest_run.config, forest_run.splits, tmp_path / "model", forest_run.evaluation, place)
    expected = forest_run.config.identity()
    assert sealed.descriptor.lineage.parameters == expected | {"train": expected["train"] | settled}


def test_packaging_twice_gives_the_same_digest(forest_run, packaged, place):
    again = package(forest_run.config, forest_run.splits, forest_run.model, forest_run.evaluation, place)
    assert again.digest == packaged.digest


def test_a_graph_that_is_not_the_trained_model_is_not_packaged(forest_run, tmp_path, place):
    shutil.copytree(forest_run.model, tmp_path / "model")
    native = np.load(tmp_path / "model" / "native.npy")
    native[3, 0] += 0.01
    np.save(tmp_path / "model" / "native.npy", native)
    with pytest.raises(ParityError, match=r"differs from the trained model by 0.01 \(test row 3\)"):
        package(forest_run.config, forest_run.splits, tmp_path / "model", forest_run.evaluation, place)
    assert not place.exists()


@given(st.integers(0, 4), st.integers(0, 2), st.sampled_from([float("nan"), 0.2, -0.2]))
def test_one_wrong_number_anywhere_is_seen(row, column, change):
    native = np.full((5, 3), 1 / 3, np.float32)
    served = native.copy()
    served[row, column] += change
    with pytest.raises(ParityError):
        check_parity(served, native, 1e-4)


def test_shapes_that_differ_are_seen():
    with pytest.raises(ParityError, match="shape"):
        check_parity(np.ones((2, 3), np.float32), np.ones((3, 3), np.float32), 1e-4)


def test_equal_answers_pass():
    native = np.full((5, 3), 1 / 3, np.float32)
    assert check_parity(native + np.float32(5e-5), native, 1e-4) == pytest.approx(5e-5, rel=1e-2)
