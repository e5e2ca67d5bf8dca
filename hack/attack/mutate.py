"""Good calls made bad, or differently good: by the grammar of the protocol, by the byte, and in the head."""

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from attack import words
from attack.client import Call
from attack.rules import LENGTH
from attack.seeds import dumped

Node = dict[str, Any] | list[Any]
#: A body much larger than this is not made larger.
LARGE = 60_000


def mutated(random: Random, call: Call) -> Call:
    """Return a call changed in one to three places, or in none."""
    for _ in range(random.choice((0, 1, 1, 1, 1, 2, 2, 3))):
        change = random.choices((grammar, body_bytes, head, target), (70, 18, 10, 2))[0]
        call = change(random, call)
    return replace(call, chunked=True) if random.random() < 0.05 else call


def grammar(random: Random, call: Call) -> Call:
    """Change the JSON of a call; the bytes behind it and their length go along, or lie."""
    size = _head_size(call)
    try:
        fields = json.loads(call.body[:size])
    except (ValueError, RecursionError):  # an earlier change broke it
        return call
    if not isinstance(fields, dict):
        return call
    change = random.choice(CHANGES)
    change(random, fields)
    text, tail = spelled(random, dumped(fields)), call.body[size:]
    if LENGTH not in call.headers:
        return replace(call, body=text)
    if random.random() < 0.15:
        tail = random.choice((tail[:-1], tail + b"\0", b"", tail * 2, tail[1:]))
    return replace(call, body=text + tail, headers={**call.headers, LENGTH: str(len(text))})


def spelled(random: Random, text: bytes) -> bytes:
    """Put in the numbers that Python can't hold, and now and then whitespace that changes nothing."""
    text = text.replace(dumped(words.HUGE), random.choice((b"1e999", b"-1e999", b"1e-999", b"1E400")))
    text = text.replace(dumped(words.MANY_DIGITS), random.choice((b"9", b"0.", b"-1")) + b"7" * 5000)
    return b" \r\n\t" + text.replace(b'":', b'" : ') + b"\n" if random.random() < 0.05 else text


def body_bytes(random: Random, call: Call) -> Call:
    """Change a body by the byte."""
    body = bytearray(call.body)
    place, end = sorted((random.randint(0, len(body)), random.randint(0, len(body))))
    end = min(end, place + random.choice((1, 4, 64, 4096)))
    how = random.randrange(6)
    if how == 0 and body:
        body[min(place, len(body) - 1)] ^= 1 << random.randrange(8)
    elif how == 1:
        del body[place:]
    elif how == 2:
        body[place:place] = random.choice(words.BYTES)
    elif how == 3 and len(body) < LARGE:
        body[place:place] = body[place:end]
    elif how == 4:
        del body[place:end]
    else:
        body[place:end] = random.choice(words.BYTES)
    return replace(call, body=bytes(body))


def head(random: Random, call: Call) -> Call:
    """Change what the headers say."""
    headers = dict(call.headers)
    how = random.randrange(4)
    if how == 0:
        headers["content-type"] = random.choice(words.MEDIA)
    elif how == 1:
        size = _head_size(call)
        near = (str(size), str(size - 1), str(size + 1), f"00{size}", str(len(call.body)), str(len(call.body) + 1))
        headers[LENGTH] = random.choice((*near, *words.LENGTHS))
    elif how == 2 and headers:
        del headers[random.choice(list(headers))]
    else:
        name = random.choice(list(words.HEADERS))
        headers[name] = random.choice(words.HEADERS[name])
    return replace(call, headers=headers)


def target(random: Random, call: Call) -> Call:
    """Ask for something else, or for the same in other words."""
    path = call.path
    if random.random() < 0.3:
        return replace(call, method=random.choice(words.METHODS))
    start, _, last = path.rpartition("/")
    others = (
        path + "?x=1", path + "/", path.upper(), path[:-1], start, f"{start}/load", f"{start}/unload", "/", "//",
        f"/v2/models/..%2f..%2fetc/{last}", path.replace("i", "%69", 1), path.replace("/v2", "/v3"), path + "%00",
        path.replace("models/", "models/x"), f"{start}/versions/1/infer", f"/v2/repository/models{last}/load",
        path + "%0d%0a", "/" + "a" * 4000, path.replace("/", "//"), f"{start}/%ff", "/v2/models/%E2%82%AC/infer",
    )  # fmt: skip
    return replace(call, path=random.choice(others))


def _head_size(call: Call) -> int:
    length = call.headers.get(LENGTH, "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 10 else len(call.body)


# Changes of a request's object, in place.


def _anywhere(random: Random, fields: dict[str, Any]) -> None:
    node, key = random.choice(_places(fields))
    change = random.randrange(6)
    if change == 0:
        node.pop(key)
    elif change == 1 and isinstance(node, list):
        node.insert(key, copy.deepcopy(node[key]))
    elif change == 2 and isinstance(node, dict):
        node[_text(random)] = node.pop(key)
    elif change == 3:
        node[key] = random.choice(([node[key]], {"a": node[key]}, str(node[key])))
    else:
        node[key] = _any(random)


def _value(random: Random, fields: dict[str, Any]) -> None:
    """Change one value of the data, and nothing else."""
    item = _input(random, fields)
    data = item.get("data", item.get("instances"))
    while isinstance(data, list) and data:
        place = random.randrange(len(data))
        if not isinstance(data[place], list) or random.random() < 0.1:
            data[place] = random.choice((*words.NUMBERS, *words.TEXTS, *words.OTHERS))
            return
        data = data[place]


def _count(random: Random, fields: dict[str, Any]) -> None:
    """Give too few or too many values."""
    item = _input(random, fields)
    data = item.get("data", item.get("instances"))
    while isinstance(data, list) and data and isinstance(data[0], list) and random.random() < 0.6:
        data = random.choice(data)
    if isinstance(data, list) and data:
        random.choice((data.pop, lambda: data.append(data[0]), data.clear, lambda: data.extend(list(data))))()


def _datatype(random: Random, fields: dict[str, Any]) -> None:
    _input(random, fields)["datatype"] = random.choice((*words.DATATYPES, *words.DATATYPES, *words.OTHERS))


def _shape(random: Random, fields: dict[str, Any]) -> None:
    item = _input(random, fields)
    shape = item.get("shape")
    if isinstance(shape, list) and shape and random.random() < 0.6:
        place = random.randrange(len(shape))
        change = random.randrange(4)
        if change == 0 and isinstance(shape[place], int):
            shape[place] += random.choice((1, -1))
        elif change == 1:
            shape[place] = random.choice((*words.NUMBERS, *words.OTHERS))
        elif change == 2:
            shape.pop(place)
        else:
            shape.insert(place, 1)
    else:
        item["shape"] = copy.deepcopy(random.choice(words.SHAPES))


def _name(random: Random, fields: dict[str, Any]) -> None:
    _input(random, fields)["name"] = _any(random)


def _inputs(random: Random, fields: dict[str, Any]) -> None:
    items = fields.get("inputs", fields.get("instances"))
    if isinstance(items, list) and items:
        random.choice((items.pop, items.reverse, lambda: items.append(copy.deepcopy(items[0])), items.clear,
                       lambda: random.shuffle(items), lambda: items.append(_any(random))))()  # fmt: skip


def _outputs(random: Random, fields: dict[str, Any]) -> None:
    names = ["probabilities", "label", "confidence"]
    some = [{"name": name} for name in random.sample(names, random.randint(1, 3))]
    flag = random.choice((True, False, True, *words.OTHERS))
    fields["outputs"] = random.choice(
        (some, some, some, [*some, some[0]], [{"name": _any(random)}], _any(random),
         [{**item, "parameters": {"binary_data": flag}} for item in some], [{**some[0], "parameters": _any(random)}])
    )  # fmt: skip


def _id(random: Random, fields: dict[str, Any]) -> None:
    fields["id"] = random.choice((_text(random), _text(random), "i" * 128, "i" * 129, _any(random)))


def _parameters(random: Random, fields: dict[str, Any]) -> None:
    share = random.choice((0, 1, 0.5, 0.99, "0.5", "1e-1", 1.01, -0.1, True, _any(random), _text(random)))
    flag = random.choice((True, False, _any(random)))
    fields["parameters"] = random.choice(
        ({"min_confidence": share}, {"min_confidence": share}, {"binary_data_output": flag}, _any(random),
         {_text(random): _any(random)})
    )  # fmt: skip


def _extra(random: Random, fields: dict[str, Any]) -> None:
    """Say something that nobody asked for."""
    random.choice((fields, _input(random, fields)))[random.choice(("priority", "parameters", "x", ""))] = _any(random)


def _sizes(random: Random, fields: dict[str, Any]) -> None:
    """Lie about the bytes of an input."""
    item = _input(random, fields)
    parameters = item.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    lies = (0, 1, -1, size, *words.NUMBERS, *words.OTHERS, *words.TEXTS)
    near = (size + 1, size - 1, size * 2, size + 4) if type(size) is int else ()
    item["parameters"] = {"binary_data_size": random.choice((*near * 8, *lies))}


def _picture(random: Random, fields: dict[str, Any]) -> None:
    """Damage an encoded picture inside its base64."""
    data = _input(random, fields).get("data")
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        return
    try:
        picture = base64.b64decode(data[0].encode(), validate=True)
    except ValueError:
        return
    for _ in range(random.randint(1, 3)):
        picture = body_bytes(random, Call("", "", picture)).body
    data[0] = base64.b64encode(picture).decode()


CHANGES: tuple[Callable[[Random, dict[str, Any]], None], ...] = (
    _anywhere, _anywhere, _value, _value, _value, _count, _datatype, _shape, _shape, _name, _inputs, _outputs,
    _outputs, _id, _id, _parameters, _parameters, _extra, _sizes, _picture,
)  # fmt: skip


def _input(random: Random, fields: dict[str, Any]) -> dict[str, Any]:
    """Return one of the inputs; where there is none, the request itself."""
    items = fields.get("inputs")
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return random.choice(found) if found else fields


def _places(fields: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Return every place in an object; of long lists the first few."""
    found: list[tuple[Any, Any]] = []
    waiting: list[Node] = [fields]
    while waiting:
        node = waiting.pop()
        keys: list[Any] = list(node) if isinstance(node, dict) else list(range(min(len(node), 8)))
        found += [(node, key) for key in keys]
        waiting += [node[key] for key in keys if isinstance(node[key], dict | list)]
    return found or [({"": None}, "")]


def _any(random: Random) -> Any:
    return copy.deepcopy(random.choice(random.choice((words.NUMBERS, words.TEXTS, words.OTHERS))))


def _text(random: Random) -> str:
    return random.choice(words.TEXTS)
