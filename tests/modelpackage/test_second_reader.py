"""A reader written from docs/model-package.md alone agrees with ours, on good packages and on damaged ones.

It shares no line with the contract: hashlib, json, re, struct and zipfile, as another language would have them.
"""

import hashlib
import json
import math
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_table

import modelpackage

LISTED = ("card.md", "golden.npz", "model.onnx", "reference.json")
TYPES = {
    "BOOL": "|b1", "UINT8": "|u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "|i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
    "BYTES": "text",
}  # fmt: skip
DIGEST = re.compile("[0-9a-f]{64}")
TENSOR = {
    "name": re.compile("[A-Za-z_][A-Za-z0-9_.-]{0,63}"), "datatype": re.compile("|".join(TYPES)),
    "shape": [int], "fields?": [str], "minimum?": float, "maximum?": float, "missing?": bool,
}  # fmt: skip
DESCRIPTOR = {
    "format": int, "name": re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"), "task": re.compile("classification"),
    "kind": re.compile("tabular|image"), "signature": {"inputs": [TENSOR], "outputs": [TENSOR]}, "labels": [str],
    "preprocessing": dict, "tolerance": float, "metrics": {"*": float},
    "lineage": {"data": DIGEST, "code": DIGEST, "software": {"*": str}, "parameters": dict},
    "files": {name: {"sha256": DIGEST, "size": int} for name in LISTED},
}  # fmt: skip
HISTOGRAM = {"edges": [float], "counts": [int]}
REFERENCE = {
    "rows": int, "inputs": {"*": HISTOGRAM}, "confidence": HISTOGRAM, "classes": {"*": int}, "missing?": {"*": int},
    "texts?": {"*": {"counts": {"*": int}, "others": int}},
}  # fmt: skip


def need(fact: object) -> None:
    if not fact:
        raise ValueError


def fits(value: Any, rule: Any) -> bool:
    """Whether a JSON value has the fields and types of a rule; ``?`` ends optional ones, ``*`` is any key."""
    if isinstance(rule, re.Pattern):
        return isinstance(value, str) and rule.fullmatch(value) is not None
    if isinstance(rule, list):
        return isinstance(value, list) and all(fits(item, rule[0]) for item in value)
    if not isinstance(rule, dict):
        return type(value) is rule
    if not isinstance(value, dict) or "*" in rule:
        return isinstance(value, dict) and all(fits(item, rule["*"]) for item in value.values())
    optional = {key.rstrip("?") for key in rule if key.endswith("?")}
    known = {key.rstrip("?"): part for key, part in rule.items()}
    return known.keys() - optional <= value.keys() <= known.keys() and all(fits(value[k], known[k]) for k in value)


def parse(raw: bytes, rule: Any) -> dict[str, Any]:
    value = json.loads(raw)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False)
    need(fits(value, rule) and text.encode() + b"\n" == raw)
    return value


def check_tensors(tensors: list[dict[str, Any]]) -> None:
    need(tensors and len({tensor["name"] for tensor in tensors}) == len(tensors))
    for tensor in tensors:
        shape, fields = tensor["shape"], tensor.get("fields")
        need(len(shape) <= 7 and all(1 <= size <= 2147483647 for size in shape))
        need(fields is None or (shape == [len(fields)] and len(set(fields)) == len(fields)))
        need(tensor.get("minimum", -math.inf) <= tensor.get("maximum", math.inf))
        need(
            tensor.get("missing", True) and ("missing" not in tensor or tensor["datatype"] in ("FP32", "FP64", "BYTES"))
        )
        need(tensor["datatype"] != "BYTES" or not {"minimum", "maximum"} & tensor.keys())


def read(folder: Path) -> dict[str, Any]:
    """Check a package as the page says, 1 to 10, and return its descriptor."""
    raw = (folder / "model.json").read_bytes()
    seal = hashlib.sha256(raw).hexdigest() + "  model.json\n"
    need(len(raw) <= 4194304 and (folder / "model.json.sha256").read_bytes() == seal.encode())
    model = parse(raw, DESCRIPTOR)
    labels, inputs, outputs = model["labels"], model["signature"]["inputs"], model["signature"]["outputs"]
    need(model["format"] in (1, 2) and len(set(labels)) == len(labels) >= 2 and 0 <= model["tolerance"] <= 0.1)
    check_tensors(inputs)
    check_tensors(outputs)
    need(all(tensor["datatype"] != "BYTES" for tensor in outputs))
    need(model["format"] == 2 or not any("missing" in t or t["datatype"] == "BYTES" for t in inputs))
    need(outputs[0]["shape"] == [len(labels)] and all(file["size"] >= 0 for file in model["files"].values()))
    found = {path.name: path for path in folder.iterdir()}
    need(set(found) == {*LISTED, "model.json", "model.json.sha256"})
    need(all(path.is_file() and not path.is_symlink() for path in found.values()))
    for name, file in model["files"].items():
        content = found[name].read_bytes()
        need(len(content) == file["size"] and hashlib.sha256(content).hexdigest() == file["sha256"])
    return model


def check_text(content: bytes, width: int, tensor: dict[str, Any]) -> None:
    values = [content[place : place + width].rstrip(b"\0") for place in range(0, len(content), width)]
    need(max(1, *map(len, values)) == width)
    for value in values:
        need(len(value.decode()) <= 1024 and b"\0" not in value and (value or "missing" in tensor))


def golden(folder: Path, model: dict[str, Any]) -> dict[str, tuple[list[int], bytes]]:
    """Return shape and values of every golden array."""
    signature = model["signature"]
    tensors = {f"{role}:{t['name']}.npy": t for role in ("input", "output") for t in signature[role + "s"]}
    arrays = {}
    with zipfile.ZipFile(folder / "golden.npz") as archive:
        need(sorted(archive.namelist()) == sorted(tensors))
        for name, tensor in tensors.items():
            need(archive.getinfo(name).compress_type == 0)
            npy = archive.read(name)
            (length,) = struct.unpack_from("<8xH", npy)
            header = re.fullmatch(
                r"\{'descr': '(.*)', 'fortran_order': False, 'shape': \((.*)\), \} *\n", npy[10 : 10 + length].decode()
            )
            text = tensor["datatype"] == "BYTES"
            need(npy[:8] == bytes.fromhex("934e554d50590100") and header)
            need(re.fullmatch(r"\|S[1-9]\d{0,3}", header[1]) if text else header[1] == TYPES[tensor["datatype"]])
            shape = [int(size) for size in header[2].split(",") if size]
            need(shape[0] >= 1 and shape[1:] == tensor["shape"])
            arrays[name] = shape, npy[10 + length :]
            need(len(arrays[name][1]) == math.prod(shape) * int(header[1][2:]))
            if text:
                check_text(arrays[name][1], int(header[1][2:]), tensor)
    need(len({shape[0] for shape, _ in arrays.values()}) == 1)
    return arrays


def reference(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    content = parse((folder / "reference.json").read_bytes(), REFERENCE)
    need(content["rows"] >= 1 and content["classes"].keys() == set(model["labels"]))
    for histogram in (content["confidence"], *content["inputs"].values()):
        edges, counts = histogram["edges"], histogram["counts"]
        need(sorted(edges) == edges and len(edges) == len(counts) + 1 >= 2 and min(counts) >= 0)
    need(min(content.get("missing", {}).values(), default=1) >= 1)
    for values in content.get("texts", {}).values():
        need(min(values["counts"].values(), default=1) >= 1 and values["others"] >= 0)
    return content


def loads(reader: Callable[[Path], Any], folder: Path) -> bool:
    try:
        reader(folder)
    except (ValueError, OSError):
        return False
    return True


def mutations(raw: bytes) -> Iterator[bytes]:
    """Every byte changed twice and left out; every line left out, doubled and overwritten; other words for some."""
    for i, byte in enumerate(raw):
        yield raw[:i] + bytes([byte ^ 1]) + raw[i + 1 :]
        yield raw[:i] + b"-" + raw[i + 1 :]
        yield raw[:i] + raw[i + 1 :]
    lines = raw.splitlines(keepends=True)
    for i in range(len(lines)):
        yield b"".join(lines[:i] + lines[i + 1 :])
        yield b"".join(lines[:i] + lines[i : i + 1] + lines[i:])
        yield b"".join(lines[:i] + lines[i + 1 : i + 2] + lines[i + 1 :])
    for value in (b"null", b"1", b"-1.0", b"1e999", b"NaN", b"1e-05", b'"x"', b"[]", b"{}", b"true", b'"\\ud800"'):
        for match in re.finditer(rb"(?<=: )[^\s,{\[]+", raw):
            yield raw[: match.start()] + value + raw[match.end() :]


@pytest.fixture
def copy(sealed: modelpackage.Package, place: Path) -> Path:
    """A package that the test may damage."""
    return Path(shutil.copytree(sealed.path, place))


def test_both_readers_read_the_same(sealed: modelpackage.Package):
    model = read(sealed.path)
    assert model == json.loads(sealed.descriptor.render())
    arrays, ours = golden(sealed.path, model), sealed.golden()
    for role, tensors in (("input", ours.inputs), ("output", ours.outputs)):
        for name, array in tensors.items():
            shape, values = arrays[f"{role}:{name}.npy"]
            assert (tuple(shape), values) == (array.shape, array.tobytes())
    assert reference(sealed.path, model) == json.loads(sealed.reference().render())


def test_the_second_reader_reads_a_table_with_text_and_gaps():
    kept = Path(__file__).parent / "formats" / "2"
    model = read(kept)
    shape, values = golden(kept, model)["input:categories.npy"]
    width = len(values) // math.prod(shape)
    texts = [values[place : place + width].rstrip(b"\0").decode() for place in range(0, len(values), width)]
    assert texts == tiny_table.TEXT.ravel().tolist()
    assert reference(kept, model)["texts"]["town"]["others"] == 1
    assert modelpackage.load(kept).golden().inputs["categories"].ravel().tolist() == texts


def test_the_second_reader_reads_the_kept_package():
    kept = Path(__file__).parent / "formats" / "1"
    model = read(kept)
    assert model["name"] == "tiny"
    assert golden(kept, model).keys() == {"input:image.npy", "output:probabilities.npy"}
    assert reference(kept, model)["rows"] == 6


def test_both_readers_read_every_datatype_and_optional_field(place: Path):
    types = modelpackage.signature.NUMPY_TYPES
    rows = [np.full((2, 3), "ä", object) if kind == "BYTES" else np.ones((2, 3), types[kind]) for kind in types]
    inputs = {f"x.{array.dtype}": array for array in rows}
    kinds = dict(zip(inputs, TYPES, strict=True))
    outputs = tiny.SIGNATURE.outputs
    signature = modelpackage.Signature(
        inputs=tuple(
            modelpackage.Tensor(
                name=name,
                datatype=kind,
                shape=(3,),
                fields=("a", "ä", "c"),
                maximum=None if kind == "BYTES" else 9.5,
                missing=True if kind in ("FP32", "BYTES") else None,
            )
            for name, kind in kinds.items()
        ),
        outputs=outputs,
    )
    answers = {outputs[0].name: np.full((2, 3), 1 / 3, np.float32)}
    package = tiny.seal(
        place,
        kind="tabular",
        signature=signature,
        golden=modelpackage.Golden(inputs=inputs, outputs=answers),
        preprocessing={'é\u2028\x7f/\\"\t\x01😀': [None, True, -0.0, 1e16, 1e-5, 0.1, 10**18, {}, []]},
    )
    assert golden(place, read(place)).keys() == {f"input:{n}.npy" for n in inputs} | {
        f"output:{n}.npy" for n in answers
    }
    assert package.golden().inputs.keys() == inputs.keys()


def test_both_readers_agree_on_every_damaged_descriptor_under_a_fitting_seal(copy: Path):
    verdicts = []
    for raw in mutations((copy / "model.json").read_bytes()):
        (copy / "model.json").write_bytes(raw)
        (copy / "model.json.sha256").write_text(f"{hashlib.sha256(raw).hexdigest()}  model.json\n")
        verdicts.append(loads(modelpackage.load, copy))
        assert loads(read, copy) == verdicts[-1], raw.decode(errors="replace")
    assert 0 < sum(verdicts) < len(verdicts) / 2  # another name, label or metric is another package


def test_both_readers_agree_on_every_damaged_reference(copy: Path):
    model, labels = read(copy), tiny.LABELS
    verdicts = []
    for raw in mutations((copy / "reference.json").read_bytes()):
        (copy / "reference.json").write_bytes(raw)
        verdicts.append(loads(lambda _, raw=raw: modelpackage.Reference.parse(raw).match(labels), copy))
        assert loads(lambda folder: reference(folder, model), copy) == verdicts[-1], raw.decode(errors="replace")
    assert 0 < sum(verdicts) < len(verdicts) / 2


@pytest.mark.parametrize("name", [*LISTED, "model.json", "model.json.sha256"])
@pytest.mark.parametrize("damage", ["removed", "emptied", "flipped", "linked", "made a folder"])
def test_both_readers_refuse_every_damaged_file(copy: Path, tmp_path: Path, name: str, damage: str):
    content = (copy / name).read_bytes()
    (copy / name).rename(tmp_path / name)
    if damage == "emptied":
        (copy / name).touch()
    elif damage == "flipped":
        (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "linked":
        (copy / name).symlink_to(tmp_path / name)
    elif damage == "made a folder":
        (copy / name).mkdir()
    assert not loads(modelpackage.load, copy)
    assert not loads(read, copy)


def test_both_readers_refuse_a_file_more(copy: Path):
    (copy / "notes.txt").touch()
    assert not loads(modelpackage.load, copy)
    assert not loads(read, copy)
