import asking
import numpy as np
import pytest
import tiny
import tiny_picture
import tiny_table

from serving import metadata
from serving.monitoring.metrics import Metrics
from serving.predictor import Predictor
from serving.rpc.messages import pb
from serving.settings import Settings

ADDED = [
    {"name": "label", "datatype": "BYTES", "shape": [-1]},
    {"name": "confidence", "datatype": "FP32", "shape": [-1]},
]


def described(package):
    return metadata.model(Predictor(package, Settings(), Metrics()))


def test_a_model_is_described_as_the_protocol_says(sealed):
    found = described(sealed)
    assert (found["name"], found["versions"], found["platform"]) == ("tiny", [sealed.digest[:12]], "onnxruntime_onnx")
    assert found["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}, *ADDED]
    assert found["parameters"] == {"kind": "image", "labels": list(tiny.LABELS), "package": f"sha256:{sealed.digest}"}
    (image,) = found["inputs"]
    assert (image["name"], image["datatype"], image["shape"]) == ("image", "FP32", [-1, 2, 2])
    assert image["parameters"] == {"minimum": 0, "maximum": 16, "example": tiny.rows()[0].ravel().tolist()}


def test_a_table_is_described_with_its_columns_gaps_and_choices(table):
    found = described(table)
    numbers, categories = found["inputs"]
    assert numbers["parameters"] == {"fields": ("age", "visits"), "missing": True, "example": [30, 1]}
    choices = {"town": sorted(town for town in tiny_table.TOWNS if town)}
    assert categories["parameters"] == {"fields": ("town",), "missing": True, "choices": choices, "example": ["Zürich"]}
    assert found["parameters"]["kind"] == "tabular"


def test_an_example_with_a_gap_has_null(place):
    package = tiny_table.seal(place, first=1)
    assert [item["data"] for item in metadata.example(package)["inputs"]] == [[None, 2], [""]]
    assert described(package)["inputs"][0]["parameters"]["example"] == [None, 2]


def test_a_model_of_pictures_says_what_it_takes(pictured):
    found = described(pictured)
    assert found["parameters"]["picture"] == {"height": 5, "width": 3, "colour": "rgb"}
    assert found["inputs"][0]["shape"] == [-1, *tiny_picture.PICTURE.shape()]
    assert np.uint8(found["inputs"][0]["parameters"]["example"]).tolist() == tiny_picture.pixels()[0].ravel().tolist()


@pytest.mark.parametrize("fixture", ["sealed", "table", "pictured"])
def test_the_example_is_answered(request, fixture):
    package = request.getfixturevalue(fixture)
    reader = Predictor(package, Settings(), Metrics()).reader
    query = reader.read(metadata.example(package), "7")
    if query.pictures:
        reader.decode_pictures(query)
    assert query.rows == 1 and query.inputs.keys() == reader.inputs.keys()


@pytest.mark.parametrize("fixture", ["server", "table_server", "picture_server"])
def test_rest_and_grpc_describe_the_same_model(request, fixture):
    running = request.getfixturevalue(fixture)
    with asking.line(running) as line, asking.rpc(running) as rpc:
        (name,) = line.ask("GET", "/v2/models").fields["models"]
        rest = line.ask("GET", f"/v2/models/{name}").fields
        content = rpc.call("ModelMetadata", pb.ModelMetadataRequest(name=name))
        served = line.ask("GET", "/v2").fields
        server = pb.ServerMetadataResponse.FromString(rpc.call("ServerMetadata", b""))
        # What is shown as an example is answered.
        example = line.ask("GET", "/openapi.json").fields["components"]["requestBodies"]["Inference"]
        body = example["content"]["application/json"]["examples"]["rows"]["value"]
        assert line.post(f"/v2/models/{name}/infer", body).status == 200
    found = pb.ModelMetadataResponse.FromString(content)
    assert (found.name, list(found.versions), found.platform) == (rest["name"], rest["versions"], rest["platform"])
    for role in ("inputs", "outputs"):
        mine = [(item.name, item.datatype, list(item.shape)) for item in getattr(found, role)]
        assert mine == [(item["name"], item["datatype"], item["shape"]) for item in rest[role]]
    assert served == {"name": server.name, "version": server.version, "extensions": list(server.extensions)}
