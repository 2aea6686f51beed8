"""Plain values and the place of each in the file they were read from; what YAML, JSON and CSV reading share.

Scalars follow YAML 1.2's core schema: `no` and `2026-12-01` are text, `1e3` is a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from schemas.errors import ManifestError, Problem
from schemas.names import OneOf
from schemas.settings import Limits

Path = tuple[str | int, ...]
Broken = tuple[Path, str, str | OneOf]
"""A rule that is broken: where, what came, what is allowed."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True)
class SourcePosition:
    """Lines and columns count from 1. In a CSV the column is the spreadsheet's."""

    file: str
    line: int
    column: int
    cell: str = ""
    """Row and column as the spreadsheet shows them: C4."""


@dataclass
class Tree:
    """Plain values and where they stand. `keys` has the place of a mapping's key, `values` of what it maps to."""

    data: Any = None
    text: str = ""
    """Of the file, where it is one of lines."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with single places, where the rest could be read."""
    values: dict[Path, SourcePosition] = field(default_factory=dict)
    keys: dict[Path, SourcePosition] = field(default_factory=dict)

    def nearest(self, path: Path) -> tuple[Path, SourcePosition]:
        """The longest beginning of `path` that stands in the file, and its place."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.values:
                return path[:end], self.values[path[:end]]
        raise KeyError(path)


def spell_path(path: Path) -> str:
    """("assets", 2, "controls", 0, "type") -> "assets[2].controls[0].type"; the whole is "manifest"."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "manifest"


def decode_text(data: bytes, name: str, limits: Limits) -> str:
    """UTF-8 text, without a byte order mark."""
    if len(data) > limits.manifest_bytes:
        refuse(SourcePosition(name, 1, 1), (), f"got {len(data)} bytes", f"at most {limits.manifest_bytes} bytes")
    if kind := next((kind for start, kind in _MAGIC.items() if data.startswith(start)), None):
        refuse(SourcePosition(name, 1, 1), (), f"got {kind}", _NO_TEXT)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:400].count(0) * 4 > len(data[:400]):
        refuse(SourcePosition(name, 1, 1), (), "got text in UTF-16", "UTF-8: save it again with that encoding")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        before = data[: wrong.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        letter = data[wrong.start : wrong.start + 1].decode("cp1252", "replace")
        came = f"got the byte 0x{data[wrong.start]:02x} ({letter} in Windows-1252)"
        refuse(SourcePosition(name, line, column), (), came, "text in UTF-8: save it again with that encoding")


_MAGIC = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a WebP picture",
    b"PK\x03\x04": "a ZIP file, as spreadsheets and documents are",
    b"%PDF": "a PDF",
    b"SQLite": "a database",
}
_NO_TEXT = "a manifest, which is YAML or JSON; pictures and tables are named in it (`sources`, `assets: rows.csv`)"


def refuse(place: SourcePosition, path: Path, came: str, allowed: str) -> NoReturn:
    raise ManifestError([make_problem(place, path, came, allowed)])


def make_problem(place: SourcePosition, path: Path, came: str, allowed: object) -> Problem:
    """`allowed`: text, or what spells it when it is shown (schemas/names.py)."""
    shown = _shown(spell_path(path)), _shown(came), _shown(str(allowed))
    return Problem(place.file, place.line, place.column, *shown, place.cell)


def _shown(text: str) -> str:
    """On one line, without what could steer a terminal, and not endless."""
    text = text if len(text) <= 1000 else text[:997] + "..."
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def parse_scalar(text: str) -> Any:
    """A plain scalar's meaning: nothing, true or false, a number, or the text itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= 40:
        if _INTEGER.fullmatch(text):
            return int(text)
        if text.isdecimal():
            return text  # 01 is a name or a number of digits, and stays what it is
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def find_unstorable(text: str) -> str | None:
    """What a database would refuse in this text: NUL, or half of a surrogate pair."""
    if "\0" in text:
        return "a NUL character"
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        return "half of a surrogate pair"
    return None
