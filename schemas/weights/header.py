"""The header of a safetensors file: the name, type and shape of each tensor, and the metadata. No tensor is read.

The format: eight bytes of length (little endian), so many bytes of JSON, then the tensors without gaps. Everything that
the JSON claims is compared with the size of the file, so that a truncated or malformed file is refused here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from schemas.errors import UnfitWeights

LONGEST = 100 * 2**20
"""Bytes of a header at most; the limit of the safetensors library."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """`size`: bytes of the whole file."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    size: int = 0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tensor.shape for name, tensor in self.tensors.items()}


def read_header(opened: BinaryIO, *, size: int, name: str) -> Header:
    """The header of an open file of `size` bytes. Raises UnfitWeights, which names the file and what is wrong."""
    prefix = opened.read(8)
    if len(prefix) < 8:
        raise UnfitWeights(
            f"{name}: got {size} bytes; expected a safetensors file, which begins with 8 bytes of length"
        )
    (length,) = struct.unpack("<Q", prefix)
    if not 2 <= length <= min(LONGEST, size - 8):
        raise UnfitWeights(f"{name}: a header of {length} bytes came in a file of {size} bytes; it is not safetensors")
    try:
        body = json.loads(opened.read(length), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as wrong:
        raise UnfitWeights(f"{name}: the header is not JSON ({wrong}); it is not safetensors") from None
    if not isinstance(body, dict):
        raise UnfitWeights(f"{name}: the header is a {type(body).__name__}; a safetensors header is an object")
    metadata = body.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UnfitWeights(f"{name}: __metadata__ is not a mapping of text to text")
    tensors: dict[str, Tensor] = {}
    places: list[tuple[int, int, str]] = []
    for key, entry in body.items():
        try:
            tensors[key], (start, end) = _tensor(entry)
        except (KeyError, TypeError, ValueError) as wrong:
            raise UnfitWeights(f"{name}: {key}: {wrong}; the header is damaged") from None
        places.append((start, end, key))
    _contiguous(places, size - 8 - length, name)
    return Header(tensors, metadata, size)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a key is there twice")
    return body


def _tensor(entry: Any) -> tuple[Tensor, tuple[int, int]]:
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in BITS:
        raise ValueError(f"the type {dtype!r} is not known")
    if type(shape) is not list or any(type(side) is not int or side < 0 for side in shape):
        raise ValueError(f"the shape {shape!r} is not a list of sizes")
    start, end = offsets
    if type(start) is not int or type(end) is not int:
        raise ValueError(f"the offsets {offsets!r} are not numbers")
    if (end - start) * 8 != prod(shape) * BITS[dtype]:
        raise ValueError(f"got {end - start} bytes for {dtype} of shape {list(shape)}")
    return Tensor(dtype, tuple(shape)), (start, end)


def _contiguous(places: list[tuple[int, int, str]], length: int, name: str) -> None:
    """Tensors fill the rest of the file, one behind the other."""
    expected = 0
    for start, end, key in sorted(places):
        if start != expected:
            raise UnfitWeights(f"{name}: {key} begins at {start}; {expected} was expected, the header is damaged")
        expected = end
    if expected != length:
        raise UnfitWeights(
            f"{name}: got {length} bytes of tensors; expected {expected} from the header: the file is "
            f"{'truncated' if length < expected else 'longer than its header says'}"
        )


def remember_header(path: Path) -> Header:
    """The header of a file on disk; remembered as long as the file does not change. Raises UnfitWeights."""
    stat = path.stat()
    return _remembered(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=512)
def _remembered(path: Path, size: int, time: int) -> Header:
    with path.open("rb") as opened:
        return read_header(opened, size=size, name=str(path))
