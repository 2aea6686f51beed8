"""Readers of text: a recognition model (ONNX, in PaddleOCR's layout) and the letters that it knows. Opens no weights.

The letters are in the model's own metadata (`character`), or in a dictionary file of one letter a line. Of an ONNX file
(protocol buffers, onnx.proto3) only the metadata is read.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from schemas.errors import UnfitWeights
from schemas.settings import TextReader

METADATA, KEY, VALUE = 14, 1, 2
"""Fields of `ModelProto`, and of each of its properties."""
LONGEST = 4 * 2**20
"""Bytes of a dictionary, or of one property, at most; the largest dictionary in use has 60 kB."""


def list_letters(reader: TextReader | None) -> frozenset[str] | None:
    """The letters that a reader knows. None: that of rapidocr's wheel; None comes back where that is not installed.

    Raises UnfitWeights, which says what is wrong with the reader's files.
    """
    model = find_shipped() if reader is None else reader.model
    if model is None:
        return None
    letters = reader.letters if reader is not None else None
    try:
        changed = tuple(path.stat().st_mtime_ns for path in (model, letters) if path is not None)
    except OSError as wrong:
        raise UnfitWeights(f"{wrong.filename}: there is no such file, or it cannot be read") from None
    return _read_letters(model, letters, changed)


def find_shipped() -> Path | None:
    """The recognition model in rapidocr's wheel, without importing it."""
    package = find_spec("rapidocr")
    for place in (package.submodule_search_locations or ()) if package is not None else ():
        for model in sorted(Path(place, "models").glob("*_rec_*.onnx")):
            return model
    return None


@lru_cache(maxsize=16)
def _read_letters(model: Path, dictionary: Path | None, changed: tuple[int, ...]) -> frozenset[str]:
    """`changed`: when the files were, so that other bytes are read again."""
    own = read_metadata(model).get("character")
    if own is not None and dictionary is not None:
        raise UnfitWeights(f"{model}: got letters in the model and in {dictionary}; expected one of the two")
    if own is None and dictionary is None:
        raise UnfitWeights(f"{model}: got a model without letters; expected `letters`, a file with one letter a line")
    if own is None and dictionary is not None:
        try:
            with dictionary.open("rb") as opened:
                data = opened.read(LONGEST + 1)
            own = data.decode() if len(data) <= LONGEST else ""
        except (OSError, UnicodeDecodeError):
            own = ""
        if not own.strip():
            raise UnfitWeights(f"{dictionary}: expected letters, one a line, as UTF-8 of at most {LONGEST} bytes")
    return frozenset(letter for line in (own or "").splitlines() for letter in line)


def read_metadata(path: Path) -> dict[str, str]:
    """Name -> value. Raises UnfitWeights for what is no ONNX file."""
    try:
        with path.open("rb") as opened:
            return _scan(opened, path.stat().st_size)
    except (OSError, ValueError, IndexError) as wrong:
        raise UnfitWeights(f"{path}: got no ONNX file ({wrong}); expected a recognition model") from None


def _scan(opened: BinaryIO, size: int) -> dict[str, str]:
    """Fields of the outermost message: the graph, hundreds of megabytes perhaps, is skipped."""
    found: dict[str, str] = {}
    if size == 0:
        raise ValueError("it is empty")
    while opened.tell() < size:
        tag = _read_number(opened)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            _read_number(opened)
        elif kind == 2:
            length = _read_number(opened)
            if length > size - opened.tell():
                raise ValueError("it is cut off")
            if field == METADATA and length <= LONGEST:
                name, value = _read_property(opened.read(length))
                found[name] = value
            else:
                opened.seek(length, 1)
        else:
            raise ValueError(f"a field of kind {kind}")
    return found


def _read_property(data: bytes) -> tuple[str, str]:
    texts, at = {KEY: "", VALUE: ""}, 0
    while at < len(data):
        tag, at = data[at], at + 1
        length, shift = 0, 0
        while True:
            byte, at = data[at], at + 1
            length, shift = length | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        texts[tag >> 3], at = data[at : at + length].decode(), at + length
    return texts[KEY], texts[VALUE]


def _read_number(opened: BinaryIO) -> int:
    """A varint."""
    number, shift = 0, 0
    while shift < 64:
        byte = opened.read(1)
        if not byte:
            raise ValueError("it is cut off")
        number, shift = number | (byte[0] & 127) << shift, shift + 7
        if byte[0] < 128:
            return number
    raise ValueError("a number of more than 64 bits")
