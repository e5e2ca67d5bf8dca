import json

import numpy as np
import pytest
import tiny

from serving.codec.answer import Scores, Writer
from serving.codec.query import Query

ALL = ("probabilities", "label", "confidence")
PROBABILITIES = np.float32([[0.5, 0.25, 0.25], [0.125, 0.875, 0], [0.25, 0.25, 0.5]])
SCORES = Scores({"probabilities": PROBABILITIES}, PROBABILITIES.argmax(axis=1), PROBABILITIES.max(axis=1))


@pytest.fixture(scope="module")
def writer(sealed):
    return Writer(sealed.descriptor, "tiny")


def query(outputs=ALL, binary=(), min_confidence=None):
    return Query("é", 3, {}, [], outputs, frozenset(binary), min_confidence)


def test_an_answer_names_the_model_the_package_and_the_most_probable_class(writer, sealed):
    body, length = writer.render(writer.answer(query(), SCORES))
    assert length is None
    assert json.loads(body) == {
        "model_name": "tiny",
        "model_version": sealed.digest[:12],
        "id": "é",
        "parameters": {"package": f"sha256:{sealed.digest}"},
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [3, 3], "data": PROBABILITIES.ravel().tolist()},
            {"name": "label", "datatype": "BYTES", "shape": [3], "data": ["left", "right", "none"]},
            {"name": "confidence", "datatype": "FP32", "shape": [3], "data": [0.5, 0.875, 0.5]},
        ],
    }


def test_outputs_come_in_the_order_they_were_asked_for(writer):
    fields = json.loads(writer.render(writer.answer(query(("label", "probabilities")), SCORES))[0])
    assert [output["name"] for output in fields["outputs"]] == ["label", "probabilities"]


@pytest.mark.parametrize(
    ("bound", "labels"),
    [(0, ["left", "right", "none"]), (0.5, ["left", "right", "none"]), (0.51, ["", "right", ""]), (1, ["", "", ""])],
)
def test_a_row_below_the_bound_has_no_label_and_is_counted(writer, bound, labels):
    fields = json.loads(writer.render(writer.answer(query(min_confidence=bound), SCORES))[0])
    assert fields["outputs"][1]["data"] == labels
    assert fields["outputs"][2]["data"] == [0.5, 0.875, 0.5]
    assert fields["parameters"]["abstained"] == labels.count("")
    predictions = json.loads(writer.predictions(query(min_confidence=bound), SCORES))["predictions"]
    assert [each["label"] for each in predictions] == labels


def test_abstaining_is_counted_where_the_label_was_not_asked_for(writer):
    fields = json.loads(writer.render(writer.answer(query(("confidence",), min_confidence=0.6), SCORES))[0])
    assert fields["parameters"]["abstained"] == 2


def test_a_label_of_one_answer_is_kept_from_the_next(writer):
    writer.answer(query(min_confidence=1), SCORES)
    assert writer.answer(query(), SCORES).outputs[1].array.tolist() == ["left", "right", "none"]


def test_raw_outputs_follow_the_json_in_order(writer):
    body, length = writer.render(writer.answer(query(binary=("probabilities", "label")), SCORES))
    fields = json.loads(body[:length])
    sizes = [output.get("parameters", {}).get("binary_data_size") for output in fields["outputs"]]
    assert sizes == [36, 25, None]
    assert ["data" in output for output in fields["outputs"]] == [False, False, True]
    assert body[length:] == PROBABILITIES.tobytes() + b"\4\0\0\0left\5\0\0\0right\4\0\0\0none"


def test_the_answer_of_v1_has_the_id_and_an_object_for_each_row(writer):
    fields = json.loads(writer.predictions(query(), SCORES))
    predictions = fields["predictions"]
    assert fields == {"id": "é", "predictions": predictions}
    assert predictions[1] == {"label": "right", "confidence": 0.875, "probabilities": [0.125, 0.875, 0]}
    assert len(predictions) == 3


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_scores_of_any_float_are_written(sealed, kind):
    descriptor = sealed.descriptor
    datatype = {np.float16: "FP16", np.float64: "FP64"}[kind]
    outputs = (tiny.SIGNATURE.outputs[0].model_copy(update={"datatype": datatype}),)
    signature = descriptor.signature.model_copy(update={"outputs": outputs})
    writer = Writer(descriptor.model_copy(update={"signature": signature}), "tiny")
    scores = Scores({"probabilities": PROBABILITIES.astype(kind)}, SCORES.classes, SCORES.confidence)
    output = json.loads(writer.render(writer.answer(query(), scores))[0])["outputs"][0]
    assert (output["datatype"], output["data"]) == (datatype, PROBABILITIES.ravel().tolist())
    assert json.loads(writer.predictions(query(), scores))["predictions"][1]["probabilities"] == [0.125, 0.875, 0]
