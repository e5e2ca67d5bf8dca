"""A tiny model of pictures, sealed, and pictures that are small to send and large to decode."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np

import modelpackage
from modelpackage import Golden, Lineage, Picture, Reference, Signature, Tensor, histogram

SIDE, LABELS = 16, ("red", "green", "blue")
#: Decoded, this many pixels take half a gigabyte; encoded, half a megabyte at most.
BOMB = 13_000
WEBP_BOMB = 16_383
#: Where a lossless WebP says how large it is.
WEBP_SIZE = 21


def seal(folder: Path) -> Path:
    """Seal a model that tells the strongest colour of a picture; return its package."""
    picture = Picture(height=SIDE, width=SIDE, colour="rgb")
    rows = np.random.default_rng(0).integers(0, 256, (6, *picture.shape())).astype(np.uint8)
    probabilities = _softmax(rows.astype(np.float32).mean(axis=(1, 2)))
    described = modelpackage.describe(rows, kind="image")
    return modelpackage.seal(
        folder,
        name="colours",
        kind="image",
        signature=Signature(
            inputs=(Tensor(name="image", datatype="UINT8", shape=picture.shape()),),
            outputs=(Tensor(name="probabilities", datatype="FP32", shape=(len(LABELS),)),),
        ),
        labels=LABELS,
        preprocessing={"picture": picture.model_dump(mode="json")},
        tolerance=1e-4,
        metrics={"accuracy": 1.0},
        lineage=Lineage(data="0" * 64, code="1" * 64, software={"numpy": "2"}, parameters={"seed": 0}),
        graph=_graph(),
        golden=Golden(inputs={"image": rows}, outputs={"probabilities": probabilities}),
        reference=Reference(
            rows=len(rows),
            inputs={name: histogram(values) for name, values in described.items()},
            confidence=histogram(probabilities.max(axis=1).astype(float)),
            classes=dict.fromkeys(LABELS, 2),
        ),
    ).path


def bombs() -> dict[str, bytes]:
    """Return pictures of one colour that are as large as their format, or the wire, allows."""
    return {"PNG": _png(BOMB), "JPEG": _jpeg(BOMB), "WEBP": _webp(WEBP_BOMB)}


def _png(side: int) -> bytes:
    """Build a PNG row by row, for a machine that has less memory than its pixels take."""
    squeezed = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    content = b"".join(squeezed.compress(row) for _ in range(side)) + squeezed.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _jpeg(side: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", quality=1)
    return file.getvalue()


def _webp(side: int) -> bytes:
    """Take a lossless WebP of one colour, of which no pixel takes a bit, and say that it has more of them."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(file, "WEBP", lossless=True)
    content = bytearray(file.getvalue())
    (fields,) = struct.unpack_from("<I", content, WEBP_SIZE)
    sizes = (side - 1) | (side - 1) << 14  # fourteen bits each
    struct.pack_into("<I", content, WEBP_SIZE, fields >> 28 << 28 | sizes)
    return bytes(content)


def _graph() -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("Softmax", ["means"], ["probabilities"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(LABELS)])
    axes = numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes")
    body = helper.make_graph(nodes, "colours", [image], [probabilities], [axes])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString(deterministic=True))


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)
