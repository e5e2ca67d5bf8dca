"""gRPC messages: good ones, changed field by field or byte by byte, and what they say as a REST call."""

import math
from random import Random
from typing import Any
from urllib.parse import quote

from attack import words
from attack.client import Call
from attack.mutate import body_bytes
from attack.rules import fields_fault
from attack.seeds import Seeds, binary_call, dumped, raw

from serving.rpc.messages import pb

METHOD = "/inference.GRPCInferenceService/ModelInfer"
PLACES = {
    "BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
#: The status of a call over gRPC by that over REST.
SAME = {200: "OK", 400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 413: "RESOURCE_EXHAUSTED"}
#: What a message may weigh beside its values before gRPC itself refuses it.
OVERHEAD = 1 << 16


def good_message(random: Random, seeds: Seeds) -> tuple[Any, list[int]]:
    """Return a good message, typed or raw, and the golden rows that it asks about."""
    rows = seeds.rows(random)
    kind = random.choice([kind for kind in seeds.kinds if not kind.startswith("v1") and kind != "nested"])
    message = pb.ModelInferRequest(model_name=seeds.model.name)
    as_raw = kind == "binary"
    for item in seeds.inputs(kind, rows):
        tensor = message.inputs.add(name=item["name"], datatype=item["datatype"], shape=item["shape"])
        if kind == "pictures":
            tensor.contents.bytes_contents.extend(seeds.model.encoded(row) for row in rows)
        elif as_raw or item["datatype"] not in PLACES:
            message.raw_input_contents.append(item["data"] if as_raw else _raw(seeds, item["name"], rows))
        else:
            getattr(tensor.contents, PLACES[item["datatype"]]).extend(map(_typed, item["data"]))
    return message, rows


def mutated_message(random: Random, message: Any) -> Any:
    """Change a message in none to three fields, in place; return it."""
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3))):
        try:
            random.choice(CHANGES)(random, message)
        except (ValueError, TypeError, IndexError):  # a value that the field can't hold, or no input left
            continue
    return message


def mutated_bytes(random: Random, message: Any) -> bytes:
    """Return a message's bytes with one to three changes."""
    call = Call("", "", message.SerializeToString())
    for _ in range(random.randint(1, 3)):
        call = body_bytes(random, call)
    return call.body


def expected(content: bytes, seeds: Seeds) -> tuple[str, str]:
    """Return the status that a message should get, and why it is not OK."""
    model = seeds.model
    if len(content) > model.limits["max_body_bytes"] + OVERHEAD:
        return "RESOURCE_EXHAUSTED", "too many bytes"
    try:
        message = pb.ModelInferRequest.FromString(content)
    except Exception:  # noqa: BLE001  # protobuf's own error has no type information
        return "INVALID_ARGUMENT", "no message"
    if message.model_name != model.name or message.model_version not in ("", model.version):
        return "NOT_FOUND", "model"
    fault = contents_fault(message) or fields_fault(as_fields(message), model)
    return ("INVALID_ARGUMENT", fault) if fault else ("OK", "")


def contents_fault(message: Any) -> str:
    """Return the rule that contents break which only a message can break."""
    if message.raw_input_contents and len(message.raw_input_contents) != len(message.inputs):
        return "raw contents"
    for item in message.inputs:
        held = {field.name for field, _ in item.contents.ListFields()}
        if item.HasField("contents") and message.raw_input_contents:
            return "contents beside raw contents"
        if held - {PLACES.get(item.datatype)}:
            return "contents of another datatype"
    return ""


def as_fields(message: Any) -> dict[str, Any]:
    """Return a message as the object of v2, raw contents as bytes; contents are in their places."""
    inputs = []
    for place, item in enumerate(message.inputs):
        fields = {"name": item.name, "datatype": item.datatype, "shape": list(item.shape)}
        if message.raw_input_contents:
            fields["data"] = message.raw_input_contents[place]
        elif item.datatype in PLACES:
            values = list(getattr(item.contents, PLACES[item.datatype]))
            # NaN says here what null says in JSON.
            fields["data"] = [None if value != value else value for value in values]  # noqa: PLR0124  # NaN alone
        inputs.append(fields)
    parameters = {}
    for name, parameter in message.parameters.items():
        field = parameter.WhichOneof("parameter_choice")
        parameters[name] = getattr(parameter, field) if field else None
    outputs = [{"name": item.name} for item in message.outputs]
    return {"id": message.id, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def as_call(message: Any) -> Call | None:
    """Return the REST call that says the same; none where JSON has no words for it."""
    if contents_fault(message):
        return None
    path = f"/v2/models/{quote(message.model_name, safe='')}"
    path += f"/versions/{quote(message.model_version, safe='')}" if message.model_version else ""
    fields = as_fields(message)
    for item in fields["inputs"]:
        data = item.get("data", [])
        if not isinstance(data, list):
            continue
        if any(isinstance(value, float) and math.isinf(value) for value in data):
            item["data"] = [words.HUGE if isinstance(value, float) and math.isinf(value) else value for value in data]
        elif any(isinstance(value, bytes) for value in data):
            item["data"] = b"".join(len(value).to_bytes(4, "little") + value for value in data)
    if any(isinstance(item.get("data"), bytes) for item in fields["inputs"]):
        return binary_call(f"{path}/infer", fields)
    return Call("POST", f"{path}/infer", dumped(fields).replace(dumped(words.HUGE), b"1e999"))


def _raw(seeds: Seeds, name: str, rows: list[int]) -> bytes:
    return raw(seeds.model.inputs[name], seeds.model.rows[name][rows])


def _typed(value: Any) -> Any:
    """Return a JSON value as a message holds it."""
    if value is None:
        return math.nan
    return value.encode() if isinstance(value, str) else value


# Changes of a message, in place.


def _names(random: Random, message: Any) -> None:
    field = random.choice(("model_name", "model_version", "id", "id"))
    setattr(message, field, random.choice((*words.TEXTS, message.model_name, "i" * 128, "i" * 129)))


def _parameter(random: Random, message: Any) -> None:
    parameter = message.parameters[random.choice(("min_confidence", "min_confidence", "x", "priority"))]
    choices: tuple[tuple[str, Any], ...] = (
        ("bool_param", True), ("int64_param", 0), ("int64_param", 1), ("int64_param", random.choice((-1, 2, 2**62))),
        ("string_param", random.choice(("0.5", "0", "1", "0.999", "-0.1", "1.5", *words.TEXTS))),
    )  # fmt: skip
    name, value = random.choice(choices)
    setattr(parameter, name, value)


def _inputs(random: Random, message: Any) -> None:
    change = random.randrange(3)
    if change == 0 and message.inputs:
        del message.inputs[random.randrange(len(message.inputs))]
    elif change == 1 and message.inputs:
        message.inputs.add().CopyFrom(message.inputs[0])
    else:
        message.inputs.add(name=random.choice(words.TEXTS))


def _described(random: Random, message: Any) -> None:
    item = random.choice(message.inputs)
    if random.random() < 0.3:
        item.name = random.choice((*words.TEXTS, *(other.name for other in message.inputs)))
    else:
        item.datatype = random.choice(words.DATATYPES)


def _shape(random: Random, message: Any) -> None:
    shape = random.choice(message.inputs).shape
    change = random.randrange(4)
    if change == 0 and shape:
        shape[random.randrange(len(shape))] += random.choice((1, -1))
    elif change == 1 and shape:
        shape.pop()
    elif change == 2:
        shape.insert(random.randint(0, len(shape)), random.choice((1, 0, -1, 2**62, 2**63 - 1, -(2**63))))
    else:
        del shape[:]
        shape.extend(random.choice(([], [1], [-1], [1] * 65, [2**31, 2**31], [2**62, 4])))


def _values(random: Random, message: Any) -> None:
    if message.raw_input_contents:
        place = random.randrange(len(message.raw_input_contents))
        was = message.raw_input_contents[place]
        message.raw_input_contents[place] = random.choice(
            (b"", was[:-1], was + b"\0", was * 2, was[1:], b"\xff" * len(was), b"\0" * len(was), was[::-1])
        )
        return
    item = random.choice(message.inputs)
    values = getattr(item.contents, PLACES.get(item.datatype, "int_contents"))
    change = random.randrange(4)
    if change == 0 and values:
        values.pop()
    elif change == 1 and values:
        values.append(values[0])
    elif change == 2:
        del values[:]
    elif values:
        new = random.choice([number for number in words.NUMBERS if not isinstance(number, str)])
        texts = (b"", b"\xff\xfe", b"\0", b"x" * 1025, "\u00fc".encode())
        values[random.randrange(len(values))] = random.choice(texts) if item.datatype == "BYTES" else new


def _contents(random: Random, message: Any) -> None:
    """Fill a place that belongs to another datatype, or raw contents beside contents."""
    change = random.randrange(3)
    if change == 0:
        item = random.choice(message.inputs)
        place = random.choice(sorted(set(PLACES.values())))
        getattr(item.contents, place).append({"bytes_contents": b"x", "bool_contents": True}.get(place, 1))
    elif change == 1:
        message.raw_input_contents.append(random.choice((b"", b"\0" * 4, b"\1\0\0\0x")))
    elif message.raw_input_contents:
        message.raw_input_contents.pop()


def _outputs(random: Random, message: Any) -> None:
    for _ in range(random.randint(1, 3)):
        message.outputs.add(name=random.choice(("probabilities", "label", "confidence", random.choice(words.TEXTS))))


CHANGES = (_names, _names, _parameter, _inputs, _described, _described, _shape, _shape, _values, _values, _values,
           _contents, _outputs)  # fmt: skip
