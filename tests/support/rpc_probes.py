"""What a predictor of the tiny model must refuse over gRPC, and what must get one verdict in every form."""

import asking
import grpc
from probes import CANARY, GOOD, HEAD, IMAGE, RAW, image

from serving.rpc.messages import pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def unfit(**changes):
    return asking.message(image(**changes), model="tiny")


def built(change, *, raw=False):
    made = asking.message(GOOD, model="tiny", raw_contents=raw)
    change(made)
    return made


def doubled(made):
    made.raw_input_contents.append(made.raw_input_contents[0])


def cut(made):
    made.raw_input_contents[0] = made.raw_input_contents[0][:-1]


def lengthened(made):
    made.raw_input_contents[0] += b"\0"


def retyped(made):
    made.inputs[0].ClearField("contents")
    made.inputs[0].contents.int_contents.extend([1] * 4)


def of_true(made):
    made.parameters["min_confidence"].bool_param = True


MESSAGES = {
    "no message": (b"\xff\xff\xff", INVALID),
    "name no UTF-8": (b"\x0a\x02\xff\xfe", INVALID),
    "empty message": (b"", grpc.StatusCode.NOT_FOUND),
    "other model": (built(lambda made: setattr(made, "model_name", CANARY)), grpc.StatusCode.NOT_FOUND),
    "other version": (built(lambda made: setattr(made, "model_version", "1")), grpc.StatusCode.NOT_FOUND),
    "no inputs": (pb.ModelInferRequest(model_name="tiny"), INVALID),
    "name unknown": (unfit(name=CANARY), INVALID),
    "input twice": (asking.message({"inputs": [IMAGE, IMAGE]}, model="tiny"), INVALID),
    "output unknown": (asking.message(GOOD | {"outputs": [{"name": CANARY}]}, model="tiny"), INVALID),
    "output twice": (asking.message(GOOD | {"outputs": [{"name": "label"}] * 2}, model="tiny"), INVALID),
    "datatype unknown": (built(lambda made: setattr(made.inputs[0], "datatype", CANARY)), INVALID),
    "datatype of other contents": (built(lambda made: setattr(made.inputs[0], "datatype", "INT8")), INVALID),
    "datatype FP16": (built(lambda made: setattr(made.inputs[0], "datatype", "FP16")), INVALID),
    "contents of another type": (built(retyped), INVALID),
    "contents of two types": (built(lambda made: made.inputs[0].contents.int_contents.append(1)), INVALID),
    "no contents": (built(lambda made: made.inputs[0].ClearField("contents")), INVALID),
    "too little": (unfit(data=[1.0]), INVALID),
    "too much": (unfit(data=[1.0] * 5), INVALID),
    "NaN": (unfit(data=[1, 2, 3, float("nan")]), INVALID),
    "infinity": (unfit(data=[1, 2, 3, float("inf")]), INVALID),
    "above the maximum": (unfit(data=[1, 2, 3, 17]), INVALID),
    "no shape": (unfit(shape=[]), INVALID),
    "shape -1": (unfit(shape=[-1, 2, 2]), INVALID),
    "shape overflows": (unfit(shape=[2**62, 2**62, 4]), INVALID),
    "too many rows": (unfit(shape=[9, 2, 2], data=[1] * 36), INVALID),
    "id too long": (asking.message(GOOD | {"id": "a" * 129}, model="tiny"), INVALID),
    "no share": (asking.message(GOOD | {"parameters": {"min_confidence": "x"}}, model="tiny"), INVALID),
    "share true": (built(of_true), INVALID),
    "raw twice": (built(doubled, raw=True), INVALID),
    "raw one short": (built(cut, raw=True), INVALID),
    "raw one long": (built(lengthened, raw=True), INVALID),
    "raw beside contents": (built(lambda made: made.raw_input_contents.append(RAW[HEAD:])), INVALID),
    "too large": (unfit(shape=[40_000, 2, 2], data=[0.0] * 160_000), grpc.StatusCode.RESOURCE_EXHAUSTED),
}  # fmt: skip


SAME = {
    "good": (GOOD, 200),
    "two rows": (image(shape=[2, 2, 2], data=[1.0] * 8), 200),
    "one output": (GOOD | {"outputs": [{"name": "label"}]}, 200),
    "all rows": (image(shape=[8, 2, 2], data=[1.0] * 32), 200),
    "longest id": (GOOD | {"id": "a" * 128}, 200),
    "unknown input": (image(name="picture"), 400),
    "input twice": ({"inputs": [IMAGE, IMAGE]}, 400),
    "unknown output": (GOOD | {"outputs": [{"name": "x"}]}, 400),
    "output twice": (GOOD | {"outputs": [{"name": "label"}] * 2}, 400),
    "wrong datatype": (image(datatype="FP64"), 400),
    "integers": (image(datatype="INT32", data=[1, 2, 3, 4]), 400),
    "texts": (image(datatype="BYTES", data=["a"] * 4), 400),
    "no shape": (image(shape=[]), 400),
    "wrong shape": (image(shape=[1, 4]), 400),
    "no rows": (image(shape=[0, 2, 2], data=[]), 400),
    "too many rows": (image(shape=[9, 2, 2], data=[1.0] * 36), 400),
    "huge shape": (image(shape=[2**62, 2, 2]), 400),
    "too little": (image(data=[1.0]), 400),
    "too much": (image(data=[1.0] * 5), 400),
    "too small": (image(data=[1.0, 2.0, 3.0, -1.0]), 400),
    "too large": (image(data=[1.0, 2.0, 3.0, 17.0]), 400),
    "beyond FP32": (image(data=[1.0, 2.0, 3.0, 3.4e38]), 400),
    "long id": (GOOD | {"id": "a" * 129}, 400),
    "no share": (GOOD | {"parameters": {"min_confidence": "2"}}, 400),
}
