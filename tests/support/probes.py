"""What a predictor of the tiny model must refuse or answer over REST, as tables of requests and their status.

A canary in them is long enough to be seen in an echo, and nowhere else.
"""

import gzip
import json

import asking
import numpy as np
import pytest
from asking import JSON

from serving.codec.binary import LENGTH_HEADER

INFER, PREDICT = "/v2/models/tiny/infer", "/v1/models/tiny:predict"
IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1.0, 2.0, 3.0, 4.0]}
GOOD = {"id": "7", "inputs": [IMAGE]}
CANARY = "canary" * 20


def image(**changes):
    """A request whose image is changed; None leaves a field out."""
    return {"inputs": [{key: value for key, value in (IMAGE | changes).items() if value is not None}]}


def body(fields):
    return json.dumps(fields).encode()


BODIES = {
    "empty": b"",
    "blank": b" ",
    "bad JSON": b'{"inputs": [',
    "null": b"null",
    "list": b"[]",
    "number": b"5",
    "text": body(CANARY),
    "two values": b"{} {}",
    "invalid UTF-8": b'{"id": "\xff"}',
    "half a surrogate pair": b'{"id": "\\ud800"}',
    "byte order mark": b"\xef\xbb\xbf" + body(GOOD),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "NaN": body(image(data=[1, 2, 3, float("nan")])),
    "Infinity": body(image(data=[1, 2, 3, float("inf")])),
    "1e400": b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 1e400]}]}',
    "nested 100": b'{"inputs": ' + b"[" * 100 + b"]" * 100 + b"}",
    "nested 60,000": b"[" * 60_000,
    "gzip without a word": gzip.compress(body(GOOD)),
}
FIELDS = {
    "no inputs": {},
    "inputs null": {"inputs": None},
    "inputs empty": {"inputs": []},
    "inputs an object": {"inputs": {"image": IMAGE}},
    "inputs text": {"inputs": CANARY},
    "input a number": {"inputs": [1]},
    "input null": {"inputs": [None]},
    "input a list": {"inputs": [[IMAGE]]},
    "no name": image(name=None),
    "name a number": image(name=1),
    "name unknown": image(name=CANARY),
    "name empty": image(name=""),
    "input twice": {"inputs": [IMAGE, IMAGE]},
    "input too many": {"inputs": [IMAGE, IMAGE | {"name": "other"}]},
    "no shape": image(shape=None),
    "shape text": image(shape=CANARY),
    "shape an object": image(shape={}),
    "shape of text": image(shape=["1", "2", "2"]),
    "shape of fractions": image(shape=[1.0, 2, 2]),
    "shape of 1.5": image(shape=[1.5, 2, 2]),
    "shape of true": image(shape=[True, 2, 2]),
    "shape empty": image(shape=[]),
    "shape too short": image(shape=[4]),
    "shape flat": image(shape=[1, 4]),
    "shape too long": image(shape=[1, 1, 2, 2]),
    "shape of 65 dimensions": image(shape=[1] * 65),
    "shape of 10,000 dimensions": image(shape=[1] * 10_000),
    "shape zero": image(shape=[0, 2, 2], data=[]),
    "shape -1": image(shape=[-1, 2, 2]),
    "shape two -1": image(shape=[-1, -1, 2]),
    "shape -2": image(shape=[-2, 2, 2]),
    "shape 10^12": image(shape=[10**12, 2, 2]),
    "shape 2^63": image(shape=[2**63, 2, 2]),
    "shape overflows": image(shape=[2**62, 2**62, 4]),
    "shape nested": image(shape=[[1, 2, 2]]),
    "no datatype": image(datatype=None),
    "datatype a number": image(datatype=1),
    "datatype an object": image(datatype={}),
    "datatype unknown": image(datatype=CANARY),
    "datatype in small letters": image(datatype="fp32"),
    "datatype FP16": image(datatype="FP16"),
    "datatype FP64": image(datatype="FP64"),
    "datatype INT32": image(datatype="INT32", data=[1, 2, 3, 4]),
    "datatype BYTES": image(datatype="BYTES", shape=[1], data=["YWJj"]),
    "no data": image(data=None),
    "data a number": image(data=1),
    "data text": image(data=CANARY),
    "data an object": image(data={"a": 1}),
    "data empty": image(data=[]),
    "data too little": image(data=[1, 2, 3]),
    "data too much": image(data=[1, 2, 3, 4, 5]),
    "data ragged": image(data=[[[1, 2], [3]]]),
    "data nested too deep": image(data=[[[[1], [2]], [[3], [4]]]]),
    "data nested too little": image(data=[[1, 2], [3, 4]]),
    "data half nested": image(data=[[[1, 2], 3]]),
    "data of text": image(data=["1", "2", "3", CANARY]),
    "data of true": image(data=[1, 2, 3, True]),
    "data of null": image(data=[1, 2, 3, None]),
    "data of objects": image(data=[1, 2, 3, {}]),
    "data 1e39": image(data=[1, 2, 3, 1e39]),
    "data 10^400": image(data=[1, 2, 3, 10**400]),
    "data below the minimum": image(data=[1, 2, 3, -1]),
    "data above the maximum": image(data=[1, 2, 3, 16.5]),
    "too many rows": image(shape=[9, 2, 2], data=[1] * 36),
    "outputs an object": GOOD | {"outputs": {}},
    "outputs text": GOOD | {"outputs": CANARY},
    "output a name": GOOD | {"outputs": ["label"]},
    "output unknown": GOOD | {"outputs": [{"name": CANARY}]},
    "output twice": GOOD | {"outputs": [{"name": "label"}] * 2},
    "parameters a list": GOOD | {"parameters": []},
    "parameters nested": GOOD | {"parameters": {"a": {"b": CANARY}}},
    "parameters of an input nested": image(parameters={"a": [1]}),
    "parameters of an input text": image(parameters=CANARY),
    "parameter no flag": GOOD | {"parameters": {"binary_data_output": 1}},
    "parameter no share": GOOD | {"parameters": {"min_confidence": 1.5}},
    "id a number": GOOD | {"id": 7},
    "id an object": GOOD | {"id": {}},
    "id too long": GOOD | {"id": "a" * 129},
    "raw size without the header": image(data=None, parameters={"binary_data_size": 16}),
}
RAW, RAW_HEADERS = asking.binary(GOOD)
HEAD = int(RAW_HEADERS[LENGTH_HEADER])


def resized(size):
    fields = json.loads(RAW[:HEAD])
    fields["inputs"][0]["parameters"]["binary_data_size"] = size
    return body(fields)


def binary(head, tail=RAW[HEAD:], length=None):
    return head + tail, RAW_HEADERS | {LENGTH_HEADER: str(len(head)) if length is None else length}


BINARY = {
    "length 0": binary(RAW[:HEAD], length="0"),
    "length -5": binary(RAW[:HEAD], length="-5"),
    "length one short": binary(RAW[:HEAD], length=str(HEAD - 1)),
    "length one long": binary(RAW[:HEAD], length=str(HEAD + 1)),
    "length 10^9": binary(RAW[:HEAD], length="1000000000"),
    "length a word": binary(RAW[:HEAD], length="abc"),
    "length empty": binary(RAW[:HEAD], length=""),
    "length a fraction": binary(RAW[:HEAD], length="12.5"),
    "length of 5,000 digits": binary(RAW[:HEAD], length="9" * 5000),
    "tail one short": binary(RAW[:HEAD], RAW[HEAD:-1]),
    "tail one long": binary(RAW[:HEAD], RAW[HEAD:] + b"\0"),
    "tail missing": binary(RAW[:HEAD], b""),
    "tail odd": binary(RAW[:HEAD], b"abc"),
    "size one short": binary(resized(15)),
    "size one long": binary(resized(17)),
    "size one short and tail too": binary(resized(15), RAW[HEAD:-1]),
    "size as text": binary(resized("16")),
    "size negative": binary(resized(-16)),
    "size a fraction": binary(resized(16.0)),
    "size true": binary(resized(size=True)),
    "size huge": binary(resized(2**63)),
    "size null": binary(resized(None)),
    "JSON null": binary(b"null", b""),
    "JSON list": binary(b"[]", b""),
    "JSON empty": binary(b"{}"),
    "JSON no inputs": binary(b'{"inputs": []}', b""),
    "JSON input a number": binary(b'{"inputs": [1]}', b""),
    "JSON no name": binary(resized(16).replace(b'"name"', b'"nome"')),
    "shape text": binary(resized(16).replace(b"[1, 2, 2]", b'"x"')),
    "datatype a number": binary(resized(16).replace(b'"FP32"', b"1")),
    "NaN": binary(RAW[:HEAD], np.float32([1, 2, 3, np.nan]).tobytes()),
    "infinity": binary(RAW[:HEAD], np.float32([1, 2, 3, -np.inf]).tobytes()),
    "below the minimum": binary(RAW[:HEAD], np.float32([1, 2, 3, -1]).tobytes()),
}
MEDIA = {
    "text": ({"content-type": "text/plain"}, 415),
    "form": ({"content-type": "application/x-www-form-urlencoded"}, 415),
    "multipart": ({"content-type": "multipart/form-data; boundary=x"}, 415),
    "binary without the header": ({"content-type": "application/octet-stream"}, 415),
    "text with the header": ({"content-type": "text/plain", LENGTH_HEADER: str(HEAD)}, 415),
    "gzip": (JSON | {"content-encoding": "gzip"}, 415),
    "deflate": (JSON | {"content-encoding": "deflate"}, 415),
    "gzip and binary": (RAW_HEADERS | {"content-encoding": "gzip"}, 415),
    "cloud event": ({"content-type": "application/cloudevents+json"}, 415),
}
INSTANCES = {
    "empty": b"",
    "bad JSON": b"{",
    "list": b"[1]",
    "number": b"5",
    "null": b"null",
    "no instances": b"{}",
    "instances text": body({"instances": CANARY}),
    "instances empty": body({"instances": []}),
    "instances an object": body({"instances": {}}),
    "ragged": body({"instances": [[[1, 2], [3]]]}),
    "wrong width": body({"instances": [[1, 2, 3]]}),
    "text in it": body({"instances": [[1, 2, 3, CANARY]]}),
    "null in it": body({"instances": [[1, 2, 3, None]]}),
    "true in it": body({"instances": [[1, 2, 3, True]]}),
    "unknown name": body({"instances": [{CANARY: 1}]}),
    "different names": body({"instances": [{"image": 1}, {}]}),
    "no picture here": body({"instances": [{"b64": "YWJj"}]}),
    "above the maximum": body({"instances": [[1, 2, 3, 17]]}),
    "too many": body({"instances": [[1, 2, 3, 4]] * 9}),
}
PATHS = {
    ("GET", INFER): 405,
    ("DELETE", "/v2/models/tiny"): 405,
    ("POST", "/v2/health/live"): 405,
    ("PUT", PREDICT): 405,
    ("OPTIONS", INFER): 405,
    ("TRACE", "/metrics"): 405,
    ("POST", "/v2/models/other/infer"): 404,
    ("POST", "/v2/models/tiny/versions/1/infer"): 404,
    ("GET", "/v2/models/tiny/versions/1"): 404,
    ("GET", "/v2/models/tiny/versions/1/ready"): 404,
    ("GET", "/v2/models/other"): 404,
    ("GET", "/v2/models/other/ready"): 404,
    ("POST", "/v1/models/other:predict"): 404,
    ("POST", "/v1/models/other:explain"): 404,
    ("POST", "/v1/models/tiny:explain"): 404,
    ("GET", "/v1/models/other"): 404,
    ("POST", "/v2/models/tiny/generate"): 404,
    ("GET", f"/{CANARY}"): 404,
    ("GET", "/v2/"): 404,
    ("GET", "//v2"): 404,
    ("GET", "/v2/models/../../etc/passwd"): 404,
    ("GET", "/v2/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd"): 404,
    ("POST", "/v2/models/tiny%2Finfer"): 404,
    ("POST", "/v2/models/tiny%2finfer"): 404,
    ("POST", "/v2/models/tiny%00/infer"): 404,
    ("GET", "/v2/models/%ff"): 404,
    ("POST", "/v2/repository/index"): 404,
    ("POST", "/v2/repository/models/tiny/load"): 404,
    ("POST", "/v2/repository/models/tiny/unload"): 404,
    ("POST", "/v2/models/tiny/load"): 404,
    ("POST", "/v2/models/tiny/unload"): 404,
}
PROBES = (
    [pytest.param("POST", INFER, JSON, sent, 400, id=f"body: {name}") for name, sent in BODIES.items()]
    + [pytest.param("POST", INFER, JSON, body(sent), 400, id=f"fields: {name}") for name, sent in FIELDS.items()]
    + [pytest.param("POST", INFER, headers, sent, 400, id=f"binary: {name}")
       for name, (sent, headers) in BINARY.items()]
    + [pytest.param("POST", INFER, headers, body(GOOD), code, id=f"media: {name}")
       for name, (headers, code) in MEDIA.items()]
    + [pytest.param("POST", PREDICT, JSON, sent, 400, id=f"v1: {name}") for name, sent in INSTANCES.items()]
    + [pytest.param(method, path, JSON, body(GOOD), code, id=f"path: {method} {path[:50]}")
       for (method, path), code in PATHS.items()]
    + [pytest.param("POST", INFER, JSON, b" " * 65_537, 413, id="limit: body"),
       pytest.param("POST", INFER, JSON, body({"text": CANARY * 500}), 400, id="limit: a large body is not sent back")]
)  # fmt: skip


ANSWERED = {
    "extra fields": image(extra={"a": 1}) | {"more": []},
    "null for what may be absent": GOOD | {"id": None, "outputs": None, "parameters": None},
    "no outputs asked for": GOOD | {"outputs": []},
    "nested data": image(data=[[[1, 2], [3, 4]]]),
    "whole numbers": image(data=[1, 2, 3, 4]),
    "negative zero and the smallest": image(data=[-0.0, 1e-45, 1e-320, 0]),
    "an id of all kinds": GOOD | {"id": 'é\r\nset-cookie: a"\\\0'},
    "the longest id": GOOD | {"id": "a" * 128},
    "as many rows as may be": image(shape=[8, 2, 2], data=[1] * 32),
    "as deep as may be": GOOD | {"extra": json.loads("[" * 7 + "]" * 7)},
}
