import asyncio
import base64
import json

import asking
import kserve
import numpy as np
import poisoned
import pytest
import tiny
import tiny_picture
import tiny_table

from serving.codec.binary import LENGTH_HEADER, raw_texts

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}
GOOD = {"id": "7", "inputs": [IMAGE]}
INFER, PREDICT = "/v2/models/tiny/infer", "/v1/models/tiny:predict"
SCORES = tiny.answers(np.float32([[[1, 2], [3, 4]]]))[0]
PICTURES = "/v2/models/tiny-picture/infer"
PIXELS = tiny_picture.pixels(2, seed=5)
TABLE = "/v2/models/tiny-table/infer"


@pytest.fixture(scope="module")
def line(server):
    with asking.line(server) as kept:
        yield kept


@pytest.fixture(scope="module")
def pictures(picture_server):
    with asking.line(picture_server) as kept:
        yield kept


@pytest.fixture(scope="module")
def rows(table_server):
    with asking.line(table_server) as kept:
        yield kept


def outputs(reply):
    """The outputs of an answer by name; raw ones are read from what follows the JSON."""
    assert reply.status == 200, reply.body
    length = int(reply.headers.get(LENGTH_HEADER, len(reply.body)))
    tail, found = reply.body[length:], {}
    for output in json.loads(reply.body[:length])["outputs"]:
        if "data" in output:
            numbers = output["datatype"] == "FP32"
            found[output["name"]] = np.float32(output["data"]).tolist() if numbers else output["data"]
            continue
        size = output["parameters"]["binary_data_size"]
        content, tail = tail[:size], tail[size:]
        found[output["name"]] = content if output["datatype"] == "BYTES" else np.frombuffer(content, "<f4").tolist()
    assert not tail
    return found


def test_a_good_request_is_answered_with_the_package_behind_it(line, sealed):
    reply = line.post(INFER, GOOD)
    assert reply.status == 200
    assert reply.headers["x-slipway-package"] == f"sha256:{sealed.digest}"
    assert reply.headers["content-type"] == "application/json"
    fields = reply.fields
    assert (fields["id"], fields["model_name"], fields["model_version"]) == ("7", "tiny", sealed.digest[:12])
    assert fields["parameters"] == {"package": f"sha256:{sealed.digest}"}
    probabilities, label, confidence = fields["outputs"]
    assert probabilities["data"] == pytest.approx(SCORES.tolist(), abs=1e-6)
    assert (label["datatype"], label["shape"], label["data"]) == ("BYTES", [1], ["right"])
    assert (confidence["datatype"], confidence["shape"]) == ("FP32", [1])
    assert confidence["data"] == [max(probabilities["data"])]


def test_an_absent_id_is_generated_and_different_each_time(line):
    found = {line.post(INFER, {"inputs": [IMAGE]} | absent).fields["id"] for absent in ({}, {"id": ""}, {"id": None})}
    assert len(found) == 3
    assert all(len(value) == 32 for value in found)


def test_the_version_of_the_package_may_be_named(line, sealed):
    versions = f"/v2/models/tiny/versions/{sealed.digest[:12]}"
    assert line.post(f"{versions}/infer", GOOD).status == 200
    assert line.ask("GET", f"{versions}/ready").fields == {"name": "tiny", "ready": True}
    assert line.ask("GET", versions).fields == line.ask("GET", "/v2/models/tiny").fields


def test_the_client_of_kserve_gets_its_answer(server):
    async def ask(*, binary):
        async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
            tensor = kserve.InferInput("image", [2, 2, 2], "FP32")
            tensor.set_data_from_numpy(tiny.rows(2), binary_data=binary)
            wanted = {"binary_data_output": True} if binary else None
            request = kserve.InferRequest("tiny", [tensor], parameters=wanted)
            assert await client.is_server_ready(server.http)
            assert await client.is_model_ready(server.http, "tiny")
            return await client.infer(server.http, request, model_name="tiny")

    for binary in (False, True):
        answer = asyncio.run(ask(binary=binary))
        np.testing.assert_allclose(answer.outputs[0].as_numpy(), tiny.answers(tiny.rows(2)), atol=1e-6)
        assert set(answer.outputs[1].as_numpy().tolist()) <= set(tiny.LABELS)


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8", "Application/JSON", None])
def test_json_is_read_under_each_of_its_names(line, media):
    headers = {} if media is None else {"content-type": media}
    assert line.ask("POST", INFER, json.dumps(GOOD).encode(), headers).status == 200
    assert (
        line.ask("POST", PREDICT, b'{"instances": [[1, 2, 3, 4]]}', headers | {"content-encoding": "Identity"}).status
        == 200
    )


@pytest.mark.parametrize("padding", range(8))
def test_a_binary_request_is_answered_wherever_its_bytes_begin(line, padding):
    sent = asking.binary(GOOD | {"x": "." * padding})
    assert outputs(line.ask("POST", INFER, *sent)) == outputs(line.post(INFER, GOOD))


@pytest.mark.parametrize("binary", [False, True], ids=["JSON", "binary"])
def test_raw_outputs_are_those_of_json(line, binary):
    def ask(**fields):
        body, headers = asking.binary(GOOD | fields) if binary else (json.dumps(GOOD | fields).encode(), asking.JSON)
        return line.ask("POST", INFER, body, headers)

    listed = outputs(ask())
    every = ask(parameters={"binary_data_output": True})
    assert every.headers["content-type"] == "application/octet-stream"
    assert outputs(every) == listed | {"label": raw_texts([b"right"])}
    one = ask(outputs=[{"name": "label", "parameters": {"binary_data": True}}, {"name": "confidence"}])
    assert outputs(one) == {"label": raw_texts([b"right"]), "confidence": listed["confidence"]}


def test_a_row_of_too_little_confidence_gets_no_label(line):
    bound = max(SCORES.tolist())
    for share, abstained in ((0, 0), (bound - 0.01, 0), (bound + 0.01, 1), (1, 1)):
        fields = line.post(INFER, GOOD | {"parameters": {"min_confidence": share}}).fields
        assert fields["parameters"]["abstained"] == abstained
        assert fields["outputs"][1]["data"] == ["" if abstained else "right"]
        instances = {"instances": [[1, 2, 3, 4]], "parameters": {"min_confidence": share}}
        assert line.post(PREDICT, instances).fields["predictions"][0]["label"] == ("" if abstained else "right")


def test_v1_answers_with_an_object_for_each_instance(line):
    (found,) = line.post(PREDICT, {"instances": [[[1, 2], [3, 4]]]}).fields["predictions"]
    assert found["label"] == "right"
    assert found["probabilities"] == pytest.approx(SCORES.tolist(), abs=1e-6)
    assert found["confidence"] == max(found["probabilities"])


def test_a_request_as_large_as_a_batch_may_be_is_answered_and_one_row_more_is_not(line):
    images = tiny.rows(9)
    for count, status in ((8, 200), (9, 400)):
        item = IMAGE | {"shape": [count, 2, 2], "data": images[:count].ravel().tolist()}
        assert line.post(INFER, {"inputs": [item]}).status == status
        assert line.post(PREDICT, {"instances": images[:count].tolist()}).status == status


def test_a_table_is_answered_by_tensors_by_columns_and_by_v1(rows):
    numbers = [[None if np.isnan(value) else float(value) for value in row] for row in tiny_table.NUMBERS]
    towns = ["Zürich", None, "東京", "Paris"]
    tensors = [
        {"name": "numbers", "datatype": "FP32", "shape": [4, 2], "data": numbers},
        {"name": "categories", "datatype": "BYTES", "shape": [4, 1], "data": towns},
    ]
    columns = [
        {"name": "town", "datatype": "BYTES", "shape": [4], "data": towns},
        {"name": "visits", "datatype": "FP64", "shape": [4, 1], "data": [row[1] for row in numbers]},
        {"name": "age", "datatype": "FP32", "shape": [4], "data": [row[0] for row in numbers]},
    ]
    for inputs in (tensors, columns):
        found = outputs(rows.post(TABLE, {"inputs": inputs}))
        assert found["probabilities"] == pytest.approx(tiny_table.answers().ravel().tolist(), abs=1e-6)
    instances = [
        {"age": age, "visits": visits, "town": town} for (age, visits), town in zip(numbers, towns, strict=True)
    ]
    predictions = rows.post("/v1/models/tiny-table:predict", {"instances": instances}).fields["predictions"]
    assert [each["label"] for each in predictions] == found["label"]


COLUMNS = [
    {"name": "age", "datatype": "FP32", "shape": [1], "data": [30]},
    {"name": "visits", "datatype": "FP32", "shape": [1], "data": [1]},
    {"name": "town", "datatype": "BYTES", "shape": [1], "data": ["a"]},
]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (COLUMNS[:2], "columns are missing: 'town'"),
        ([*COLUMNS, COLUMNS[0]], "input 'age' is given twice"),
        ([*COLUMNS, COLUMNS[0] | {"name": "x"}], "there is no input 'x'"),
        ([COLUMNS[0], {"name": "categories", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}], "are mixed"),
        ([*COLUMNS[:2], COLUMNS[2] | {"shape": [2], "data": ["a", "b"]}], "differ in their number of rows"),
        ([COLUMNS[0] | {"datatype": []}, *COLUMNS[1:]], "column 'age' has datatype a list"),
        ([COLUMNS[0] | {"datatype": "BOOL", "data": [True]}, *COLUMNS[1:]], "it takes a numeric datatype"),
        ([COLUMNS[0] | {"shape": [1, True]}, *COLUMNS[1:]], "needs a 'shape' of whole numbers"),
        ([COLUMNS[0] | {"data": ["30"]}, *COLUMNS[1:]], "input 'age' holds a string"),
        ([COLUMNS[0] | {"datatype": "FP64", "data": [1e39]}, *COLUMNS[1:]], "NaN or infinite"),
        ([*COLUMNS[:2], COLUMNS[2] | {"data": [5]}], "input 'town' holds a number, BYTES takes text or null"),
        ([*COLUMNS[:2], COLUMNS[2] | {"data": ["\0"]}], "U+0000"),
    ],
)
def test_columns_that_do_not_fit_are_refused_and_the_connection_goes_on(rows, inputs, told):
    reply = rows.post(TABLE, {"inputs": inputs})
    assert (reply.status, told in reply.error) == (400, True), reply.error
    assert rows.post(TABLE, {"inputs": COLUMNS}).status == 200


def picture(data, shape=None):
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": shape or [len(data)], "data": data}]}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_answered_like_its_pixels_in_every_form(pictures, form):
    files = [tiny_picture.encoded(pixels, form, scale=4) for pixels in PIXELS]
    texts = [base64.b64encode(content).decode() for content in files]
    pixels = np.stack([tiny_picture.PICTURE.decode(content) for content in files])
    sent = {"name": "image", "datatype": "UINT8", "shape": [2, 5, 3, 3], "data": pixels.ravel().tolist()}
    expected = outputs(pictures.post(PICTURES, {"inputs": [sent]}))
    assert expected["probabilities"] == pytest.approx(tiny_picture.answers(pixels).ravel().tolist(), abs=1e-5)
    assert outputs(pictures.ask("POST", PICTURES, *asking.binary({"inputs": [sent]}))) == expected
    assert outputs(pictures.post(PICTURES, picture(texts))) == expected
    assert outputs(pictures.post(PICTURES, picture(texts, [2, 1]))) == expected
    assert outputs(pictures.ask("POST", PICTURES, *asking.binary(picture(files)))) == expected
    for instances in ([{"b64": text} for text in texts], [{"image": {"b64": text}} for text in texts], pixels.tolist()):
        predictions = pictures.post("/v1/models/tiny-picture:predict", {"instances": instances}).fields["predictions"]
        assert [each["label"] for each in predictions] == expected["label"]


FILE = tiny_picture.encoded(PIXELS[0])
TEXT = base64.b64encode(FILE).decode()
LARGE = base64.b64encode(tiny_picture.encoded(PIXELS[0], scale=9)).decode()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (picture(["YWJj"]), "picture 1 of input 'image'"),
        (picture([TEXT, base64.b64encode(FILE[:-40]).decode()]), "picture 2 of input 'image'"),
        (picture([TEXT, "not base64!"]), "a text that is no base64"),
        (picture([LARGE]), "more than 1000 pixels"),
        (picture([TEXT] * 3), "has 135 values, the most is 90"),
        (picture([TEXT], [2]), "does not fill its shape"),
        (picture([TEXT], [1, 5, 3, 3]), "its shape is [number of pictures]"),
        (picture([[TEXT]], [1, 2]), "its shape is [number of pictures]"),
        (picture([1]), "give each picture as a base64 text"),
        (picture(["a" * 20_001]), "no base64"),
    ],
)
def test_what_is_no_picture_is_refused_and_the_connection_goes_on(pictures, fields, told):
    reply = pictures.post(PICTURES, fields)
    assert (reply.status, told in reply.error) == (400, True), reply.error
    assert len(reply.body) < 1000
    assert pictures.post(PICTURES, picture([TEXT])).status == 200


@pytest.mark.parametrize("change", ["longer", "shorter", "prefix", "huge prefix"])
def test_a_picture_in_bytes_has_exactly_its_length(pictures, change):
    body, headers = asking.binary(picture([FILE]))
    place = int(headers[LENGTH_HEADER])
    length = (2**32 - 1 if change == "huge prefix" else len(FILE) + 1).to_bytes(4, "little")
    if change.endswith("prefix"):
        body = body[:place] + length + body[place + 4 :]
    else:
        body = body + b"\0" if change == "longer" else body[:-1]
    assert pictures.ask("POST", PICTURES, body, headers).status == 400
    assert pictures.post(PICTURES, picture([TEXT])).status == 200


def test_values_for_which_the_model_has_no_numbers_are_refused_and_their_neighbours_answered(launch, place):
    start, stop = launch
    server = start(poisoned.seal(place).path)
    images = tiny.rows(16, seed=4)

    def ask(number):
        with asking.line(server) as own:
            for turn in range(8):
                image = np.roll(images[number], turn)
                bad = number % 4 == 0 and turn % 2 == 0
                values = [poisoned.POISON if bad else image.ravel()[0].item(), *image.ravel()[1:].tolist()]
                request_id = f"{'bad' if bad else 'good'}-{number}-{turn}"
                reply = own.post(INFER, {"id": request_id, "inputs": [IMAGE | {"data": values}]})
                if bad:
                    assert reply.status == 400
                    assert "no finite answer" in reply.error
                else:
                    assert reply.fields["id"] == request_id
                    scores = tiny.answers(np.float32([values]))[0]
                    assert reply.fields["outputs"][0]["data"] == pytest.approx(scores.tolist(), abs=1e-5)

    asking.each(ask, list(range(16)))
    code, out, errors = stop(server)
    assert (code, errors) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert not [event for event in events if event["event"] == "fault"]
    codes = [(event["id"][:3], event["code"]) for event in events if event["event"] == "request"]
    assert sorted(set(codes)) == [("bad", "400"), ("goo", "200")]
    assert len(codes) == 128
