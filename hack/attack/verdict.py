"""What an answer must be like, whatever was asked: short, plain, and true to the rules."""

import json
import math
import re
from typing import Any

from attack.client import Answer, Call
from attack.model import Model
from attack.rules import LENGTH

MAX_ERROR = 1024
#: More of a request than this, in one piece, is no word of it any more.
WORD, PROBE = 40, 20
#: What tells a reader of an error that this is a Python program, and which.
PYTHON = re.compile(
    r"Traceback|[a-z]Error\b|Exception|Warning\b|numpy|orjson|pydantic|PIL\b|Pillow|onnx|object at 0x|NoneType"
    r"|<class|<built-in|\bdtype|serving\.|modelpackage|google\.|\.py\b|line \d+, in|\bnp\.|\bself\b|memoryview"
    r"|float(16|32|64)|u?int(8|16|32|64)|asyncio|grpc\.|__"
)
NUMBERS = re.compile(rb"[-+0-9eE., \[\]]*")


def answer_fault(answer: Answer, call: Call, status: int, model: Model) -> str:
    """Return what is wrong with an answer that should have this status, if anything."""
    if answer.status >= 500:
        return f"{answer.status} for a client's fault"
    if (answer.status, status) in ((200, 200), (200, 0)):
        return body_fault(answer, call, model) if call.method == "POST" else ""
    if call.method == "HEAD" or answer.status == 200:
        return "" if answer.status == status else f"{answer.status}, the rules say {status}"
    if fault := error_fault(answer.body, call.body + call.path.encode("latin-1")):
        return fault
    return "" if status in (0, answer.status) else f"{answer.status}, the rules say {status}"


def error_fault(body: bytes, sent: bytes) -> str:
    """Return what is wrong with the body of an error, if anything."""
    if len(body) >= MAX_ERROR:
        return f"an error of {len(body)} bytes"
    try:
        found = json.loads(body)
    except ValueError:
        return "an error that is no JSON"
    if not isinstance(found, dict) or list(found) != ["error"] or not isinstance(found["error"], str):
        return 'an error that is not {"error": "..."}'
    return sentence_fault(found["error"], sent)


def sentence_fault(sentence: str, sent: bytes) -> str:
    """Return what is wrong with the sentence of an error, if anything."""
    if not sentence or len(sentence.encode(errors="replace")) >= MAX_ERROR:
        return "no sentence, or a very long one"
    if not sentence.isprintable():
        return "an error with control characters"
    if (found := PYTHON.search(sentence)) and found[0].encode() not in sent:
        return f"an error that says {found[0]!r}"
    if len(piece := _longest_piece(sentence.encode(errors="replace"), sent)) > WORD:
        return f"an error that repeats {len(piece)} bytes of the request"
    return ""


def body_fault(answer: Answer, call: Call, model: Model) -> str:
    """Return what is wrong with an answer of 200 as the answer of v2 or v1, if anything."""
    length = answer.headers.get(LENGTH)
    body = answer.body if length is None else answer.body[: int(length)]
    try:
        found = json.loads(body, parse_constant=_refuse)
        if "predictions" in found:  # v1 knows no header of lengths
            return _v1_fault(found["predictions"], len(json.loads(call.body)["instances"]), model)
        asked = json.loads(call.body[: int(call.headers.get(LENGTH, len(call.body)))])
        return _v2_fault(found, asked, len(answer.body) - len(body), model)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return f"an answer that is neither v2 nor v1: {type(error).__name__} {error}"


def _v1_fault(predictions: list[dict[str, Any]], rows: int, model: Model) -> str:
    if len(predictions) != rows or any(row.keys() != {"label", "confidence", "probabilities"} for row in predictions):
        return "other predictions than asked for"
    labels = {*model.labels, ""}
    return "" if all(row["label"] in labels and 0 <= row["confidence"] <= 1 for row in predictions) else "a prediction"


def _v2_fault(found: dict[str, Any], asked: dict[str, Any], tail: int, model: Model) -> str:
    if (found["model_name"], found["model_version"]) != (model.name, model.version):
        return "an answer of another model"
    if not isinstance(found["id"], str) or not found["id"] or found["id"] != (asked.get("id") or found["id"]):
        return "an answer with another id"
    names = [item["name"] for item in asked.get("outputs") or []] or list(model.outputs)
    if [output["name"] for output in found["outputs"]] != names:
        return "other outputs than asked for"
    if tail != sum(output.get("parameters", {}).get("binary_data_size", 0) for output in found["outputs"]):
        return "an answer whose sizes do not add up"
    rows = asked["inputs"][0]["shape"][0]
    return next(filter(None, (_output_fault(output, rows, model) for output in found["outputs"])), "")


def _output_fault(output: dict[str, Any], rows: int, model: Model) -> str:
    datatype, shape = model.outputs[output["name"]]
    if output["datatype"] != datatype or output["shape"] != [rows, *shape]:
        return "an output of another type or shape"
    if "data" not in output:
        return "" if "parameters" in output else "an output without data"
    values = output["data"]
    if len(values) != math.prod(output["shape"]):
        return "an output that does not fill its shape"
    kinds = str if datatype == "BYTES" else (int, float)
    return "" if all(isinstance(value, kinds) for value in values) else "an output with other values"


def _longest_piece(sentence: bytes, sent: bytes) -> bytes:
    """Return the longest part of a sentence that was sent, digits of shapes aside; short ones are not looked for."""
    best = b""
    for start in range(0, len(sentence) - PROBE + 1, PROBE):
        if sentence[start : start + PROBE] not in sent:
            continue
        low, high = start, start + PROBE
        while low and sentence[low - 1 : high] in sent:
            low -= 1
        while high < len(sentence) and sentence[low : high + 1] in sent:
            high += 1
        if high - low > len(best) and not NUMBERS.fullmatch(sentence[low:high]):
            best = sentence[low:high]
    return best


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
