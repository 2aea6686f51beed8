"""A real, tiny ONNX file in Ultralytics' layout, written by hand (protocol buffers, onnx.proto3), for the real runtime.

Its network answers with boxes that are written into it, times the brightest value of the picture it is shown.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FLOAT, INT = 1, 2


def write_detector(
    path: Path, boxes: list[tuple[float, ...]], names: dict[int, str] | None, *, height: int = 64, width: int = 64
) -> Path:
    """`boxes`: centre x, centre y, width, height in px of the network's picture, then one score for each class."""
    answer = np.array(boxes, np.float32).T[None]
    constant = _text(8, "boxes") + b"".join(_number(1, side) for side in answer.shape) + _number(2, FLOAT)
    constant += _bytes(9, answer.tobytes())
    keep = _text(1, "keepdims") + _number(3, 0) + _number(20, INT)
    brightest = _text(1, "images") + _text(2, "top") + _text(4, "ReduceMax") + _bytes(5, keep)
    times = _text(1, "boxes") + _text(1, "top") + _text(2, "output0") + _text(4, "Mul")
    graph = _bytes(1, brightest) + _bytes(1, times) + _text(2, "detector") + _bytes(5, constant)
    graph += _bytes(11, _value("images", (1, 3, height, width))) + _bytes(12, _value("output0", answer.shape))
    model = _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))
    if names is not None:
        model += _bytes(14, _text(1, "names") + _text(2, repr(names)))
    path.write_bytes(model)
    return path


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    sides = b"".join(_bytes(1, _number(1, side)) for side in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, sides)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def write_matting(path: Path, *, side: int = 32) -> Path:
    """A network in U2-Net's layout ([1, 3, side, side] -> [1, 1, side, side]) that calls bright places subject: logits
    of 40 times (the brightest channel - 0.5)."""
    axes = _text(1, "axes") + _number(8, 1) + _number(20, 7)
    nodes = _text(1, "picture") + _text(2, "top") + _text(4, "ReduceMax") + _bytes(5, axes)
    graph = _bytes(1, nodes)
    for given, constant, result, kind in (("top", "half", "centred", "Sub"), ("centred", "steep", "matte", "Mul")):
        graph += _bytes(1, _text(1, given) + _text(1, constant) + _text(2, result) + _text(4, kind))
    graph += _text(2, "matting")
    for name, value in (("half", 0.5), ("steep", 40.0)):
        graph += _bytes(5, _text(8, name) + _number(2, FLOAT) + _bytes(9, np.float32(value).tobytes()))
    graph += _bytes(11, _value("picture", (1, 3, side, side))) + _bytes(12, _value("matte", (1, 1, side, side)))
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13)))
    return path
