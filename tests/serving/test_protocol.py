"""Every probe of the protocol, each followed by a good request on the same connection."""

import json
import re

import asking
import grpc
import numpy as np
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from probes import ANSWERED, CANARY, GOOD, INFER, PREDICT, PROBES, body, image
from rpc_probes import MESSAGES, SAME

PYTHON = re.compile(r"\w+(Error|Exception)\b|Traceback|NoneType|numpy|ndarray|<class|object at|\bdict\b|\bstr\b|\.py")


@pytest.fixture(scope="module")
def line(server):
    with asking.line(server) as kept:
        yield kept


@pytest.fixture(scope="module")
def rpc(server):
    with asking.rpc(server) as kept:
        yield kept


@pytest.mark.parametrize(("method", "path", "headers", "sent", "status"), PROBES)
def test_a_refusal_is_short_and_the_connection_goes_on(server, line, method, path, headers, sent, status):
    # After a body over the limit the connection ends, because the rest is not read; all others share one.
    if status == 413:
        with asking.line(server) as own:
            reply = own.ask(method, path, sent, headers)
    else:
        reply = line.ask(method, path, sent, headers)
    assert reply.status == status, reply.body
    assert len(reply.body) < 1000
    assert reply.headers["content-type"] == "application/json"
    assert len(reply.error) > 20
    assert not PYTHON.search(reply.error), reply.error
    assert CANARY not in reply.error
    good = line.post(INFER, GOOD)
    assert (good.status, good.fields["id"]) == (200, "7")


@pytest.mark.parametrize("fields", ANSWERED.values(), ids=ANSWERED)
def test_what_is_at_a_limit_or_ignored_is_answered(line, fields):
    reply = line.post(INFER, fields)
    assert reply.status == 200, reply.body
    assert reply.fields["id"] == (fields.get("id") or reply.fields["id"])
    assert "set-cookie" not in reply.headers


def test_one_level_deeper_is_refused(line):
    deeper = GOOD | {"extra": json.loads("[" * 8 + "]" * 8)}
    assert "nested deeper than 8" in line.post(INFER, deeper).error


def test_a_body_is_as_large_as_allowed(line):
    sent = body(GOOD)
    assert line.ask("POST", INFER, sent + b" " * (65_536 - len(sent))).status == 200


@pytest.mark.parametrize(("message", "code"), MESSAGES.values(), ids=MESSAGES)
def test_a_refusal_over_grpc_is_short_and_the_channel_goes_on(rpc, message, code):
    found, details = rpc.refusal(message)
    assert found is code, details
    assert 20 < len(details) < 1000
    assert not PYTHON.search(details), details
    assert CANARY not in details
    assert rpc.infer(asking.message(GOOD, model="tiny")).id == "7"


def test_fields_that_a_message_does_not_know_are_ignored(rpc):
    unknown = asking.message(GOOD, model="tiny").SerializeToString() + b"\xfa\x3f\x03abc"
    assert rpc.infer(unknown).id == "7"


def forms(line, rpc, fields):
    """The verdict on one request in every form that can say it: the status, and the outputs or the sentence."""
    found = {
        "json": verdict(line.post(INFER, fields)),
        "binary": verdict(line.ask("POST", INFER, *asking.binary(fields))),
    }
    for raw in (False, True):
        try:
            answer = rpc.infer(asking.message(fields, model="tiny", raw_contents=raw))
        except grpc.RpcError as error:
            found[f"grpc {raw}"] = asking.HTTP_OF[error.code()], error.details()
        else:
            found[f"grpc {raw}"] = 200, outputs(answer)
    item = fields["inputs"][0]
    # v1 has neither ids nor outputs nor datatypes; its shape is that of its rows.
    if fields == {"inputs": [item]} and item["datatype"] == "FP32" and item["shape"] == [len(item["data"]) / 4, 2, 2]:
        rows = np.reshape(item["data"], item["shape"]).tolist()
        reply = line.post(PREDICT, {"instances": [{item["name"]: row} for row in rows]})
        found["v1"] = reply.status, reply.fields["predictions"] if reply.status == 200 else reply.error
    return found


def verdict(reply):
    return reply.status, reply.fields["outputs"] if reply.status == 200 else reply.error


def outputs(answer):
    """The outputs of a message, as REST has them."""
    found = []
    for place, output in enumerate(answer.outputs):
        if answer.raw_output_contents:
            content = answer.raw_output_contents[place]
            data = np.frombuffer(content, "<f4").tolist() if output.datatype == "FP32" else texts(content)
        else:
            data = list(output.contents.fp32_contents) or [text.decode() for text in output.contents.bytes_contents]
        shape = list(output.shape)
        found.append({"name": output.name, "datatype": output.datatype, "shape": shape, "data": data})
    return found


def texts(content):
    found = []
    while content:
        size = 4 + int.from_bytes(content[:4], "little")
        found.append(content[4:size].decode())
        content = content[size:]
    return found


def same(found):
    """The one status that all forms got, with the same outputs or, where values are listed, the same sentence."""
    (status,) = {status for status, _ in found.values()}
    if status != 200:
        assert found["json"] == found["grpc False"]
        return status
    for form in ("binary", "grpc False", "grpc True"):
        for ours, theirs in zip(found["json"][1], found[form][1], strict=True):
            assert {**ours, "data": None} == {**theirs, "data": None}
            kind = np.float32 if ours["datatype"] == "FP32" else object
            np.testing.assert_array_equal(np.array(ours["data"], kind), np.array(theirs["data"], kind))
    return status


@pytest.mark.parametrize(("fields", "status"), SAME.values(), ids=SAME)
def test_every_form_gets_the_same_verdict(line, rpc, fields, status):
    assert same(forms(line, rpc, fields)) == status


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(0, 9),
    shape=st.sampled_from([None, [1, 2, 2], [2, 2], [4], [2, 4]]),
    values=st.lists(st.floats(-0.5, 16.5, width=32) | st.sampled_from([0.0, 16.0]), min_size=4, max_size=4),
    more=st.sampled_from([{}, {"outputs": [{"name": "confidence"}]}, {"id": "x" * 129}, {"id": "é"}]),
)
def test_any_request_gets_the_same_verdict_in_every_form(line, rpc, rows, shape, values, more):
    fields = image(shape=shape or [rows, 2, 2], data=values * rows) | more
    assert same(forms(line, rpc, fields)) in (200, 400)


def test_the_same_scores_are_those_of_the_model(line, rpc):
    images = tiny.rows(5, seed=3)
    found = forms(line, rpc, image(shape=[5, 2, 2], data=images.ravel().tolist()))
    expected = tiny.answers(images)
    np.testing.assert_allclose(np.float32(found["json"][1][0]["data"]).reshape(5, 3), expected, atol=1e-6)
    np.testing.assert_allclose([each["probabilities"] for each in found["v1"][1]], expected, atol=1e-6)
    assert [each["label"] for each in found["v1"][1]] == found["json"][1][1]["data"]
