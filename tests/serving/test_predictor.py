import asyncio

import pytest
import tiny
from prometheus_client import REGISTRY

from modelpackage import Golden, GoldenError
from serving import VERSION
from serving.errors import InvalidInputError, NotReadyError, UnknownModelError
from serving.predictor import Plane, Predictor

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}
STAGES = ("request_preprocess_seconds", "request_predict_seconds", "request_postprocess_seconds")


def make(package, name=None):
    return Predictor(package, name=name, threads=1, max_rows=8)


@pytest.fixture
def predictor(sealed):
    made = make(sealed)
    made.load()
    yield made
    made.stop()


def counts(name):
    return [REGISTRY.get_sample_value(f"{stage}_count", {"model_name": name}) for stage in STAGES]


def test_an_answer_is_what_the_model_says(predictor):
    images = tiny.rows(3, seed=2)
    fields = {"inputs": [IMAGE | {"shape": [3, 2, 2], "data": images.ravel().tolist()}]}
    answer = asyncio.run(predictor.answer(fields, "7"))
    assert answer.outputs[0].array == pytest.approx(tiny.answers(images), abs=1e-6)
    assert answer.id == "7"


def test_the_histograms_of_kserve_count_each_stage_that_was_reached(sealed):
    predictor = make(sealed, name="counted")
    predictor.load()
    asyncio.run(predictor.answer({"inputs": [IMAGE]}, "7"))
    assert counts("counted") == [1, 1, 1]
    with pytest.raises(InvalidInputError):
        asyncio.run(predictor.answer({"inputs": []}, "7"))
    assert counts("counted") == [2, 1, 1]
    predictor.stop()


def test_nothing_is_answered_before_the_package_is_proven_or_after_the_stop(sealed):
    predictor = make(sealed)
    with pytest.raises(NotReadyError, match="'tiny' is not ready"):
        asyncio.run(predictor.answer({"inputs": [IMAGE]}, "7"))
    assert not asyncio.run(predictor.healthy())
    predictor.load()
    assert asyncio.run(predictor.healthy())
    predictor.stop()
    with pytest.raises(NotReadyError):
        asyncio.run(predictor.answer({"inputs": [IMAGE]}, "7"))


def test_a_package_that_does_not_reproduce_itself_never_gets_ready(place):
    golden = Golden(inputs={"image": tiny.rows()}, outputs={"probabilities": 1 - tiny.answers(tiny.rows())})
    predictor = make(tiny.seal(place, golden=golden))
    with pytest.raises(GoldenError):
        predictor.load()
    assert not predictor.ready


def test_a_draining_server_is_not_ready_and_still_answers(predictor):
    predictor.draining = True
    assert not asyncio.run(Plane(predictor).ready())
    assert not asyncio.run(Plane(predictor).model_ready("tiny"))
    assert asyncio.run(predictor.answer({"inputs": [IMAGE]}, "7")).rows == 1


def test_the_name_is_the_packages_own_or_the_given_one(sealed):
    assert make(sealed).name == "tiny"
    assert make(sealed, name="other").name == "other"


def test_only_this_model_in_this_version_is_known(predictor, sealed):
    for version in (None, "", sealed.digest[:12]):
        predictor.check("tiny", version)
    with pytest.raises(UnknownModelError, match="this server has 'tiny'"):
        predictor.check("other", None)
    with pytest.raises(UnknownModelError, match=f"this server has '{sealed.digest[:12]}'"):
        predictor.check("tiny", "1")


def test_the_metadata_comes_from_the_signature(predictor, sealed):
    plane = Plane(predictor)
    assert plane.metadata() == {"name": "slipway", "version": VERSION, "extensions": []}
    assert asyncio.run(plane.model_metadata("tiny")) == {
        "name": "tiny",
        "versions": [sealed.digest[:12]],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ],
    }
    for ask in (plane.model_metadata, plane.model_ready):
        with pytest.raises(UnknownModelError):
            asyncio.run(ask("other"))


def test_loading_publishes_which_package_is_served(predictor, sealed):
    labels = {"name": "tiny", "digest": sealed.digest, "format": "2"}
    assert REGISTRY.get_sample_value("slipway_package_info", labels) == 1
    assert 0 < REGISTRY.get_sample_value("slipway_load_seconds") < 10
