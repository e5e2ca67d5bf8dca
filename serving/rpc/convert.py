"""v2 gRPC messages to the object that REST parses, and answers to messages.

Refuses what only a message can say wrong: contents beside raw contents, of several types, or not one for each input.
"""

from typing import Any

from serving.codec.answer import Answer, Output, Writer
from serving.codec.binary import raw
from serving.errors import InvalidInputError
from serving.rpc.messages import pb

#: Where a message keeps the values of a datatype; FP16 has no place and travels raw.
CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
#: Parameters that a request can have; the others are ignored, as over REST.
PARAMETERS = ("min_confidence",)


def read(message: Any) -> dict[str, Any]:
    """Return a ModelInferRequest as the v2 JSON object, with raw contents as bytes.

    Raises:
        InvalidInputError: Raw contents are neither absent nor one for each input, or an input has several contents.
    """
    raw_contents = message.raw_input_contents
    if raw_contents:
        if len(raw_contents) != len(message.inputs):
            raise InvalidInputError(
                f"{len(message.inputs)} inputs come with {len(raw_contents)} raw contents; give one for each or none"
            )
        if any(item.HasField("contents") for item in message.inputs):
            raise InvalidInputError("an input has contents beside raw contents; give one of them")
    values = list(raw_contents) or [_values(item) for item in message.inputs]
    fields: dict[str, Any] = {
        "id": message.id,
        "inputs": [
            {"name": item.name, "datatype": item.datatype, "shape": list(item.shape), "data": data}
            for item, data in zip(message.inputs, values, strict=True)
        ],
    }
    if message.outputs:
        fields["outputs"] = [{"name": item.name} for item in message.outputs]
    if message.parameters:
        given = message.parameters
        fields["parameters"] = {name: _parameter(given[name]) for name in PARAMETERS if name in given}
    return fields


def write(answer: Answer, writer: Writer, *, raw_contents: bool) -> Any:
    """Return an answer as a ModelInferResponse.

    Args:
        answer: What to write.
        writer: Whose answer.
        raw_contents: Whether the client sent raw contents and so gets them; FP16 is always raw.
    """
    raw_contents = raw_contents or any(output.datatype not in CONTENTS for output in answer.outputs)
    message = pb.ModelInferResponse(model_name=writer.name, model_version=writer.version, id=answer.id)
    message.parameters["package"].string_param = writer.package
    if answer.abstained is not None:
        message.parameters["abstained"].int64_param = answer.abstained
    for output in answer.outputs:
        tensor = message.outputs.add(name=output.name, datatype=output.datatype, shape=output.array.shape)
        if raw_contents:
            message.raw_output_contents.append(raw(output.datatype, output.array))
        else:
            getattr(tensor.contents, CONTENTS[output.datatype]).extend(_listed(output))
    return message


def _values(item: Any) -> list[Any] | None:
    if len(item.contents.ListFields()) > 1:
        raise InvalidInputError("an input has contents of several types; give those of its datatype alone")
    field = CONTENTS.get(item.datatype)
    return list(getattr(item.contents, field)) if field else None


def _listed(output: Output) -> list[Any]:
    values: list[Any] = output.array.ravel().tolist()
    return [value.encode() for value in values] if output.datatype == "BYTES" else values


def _parameter(parameter: Any) -> Any:
    field = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, field) if field else None
