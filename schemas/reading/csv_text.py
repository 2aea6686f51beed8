"""Rows of a spreadsheet -> Tree of assets, one a row: CSV text (comma, semicolon, tab), or the first sheet of an .xlsx.

The first row names fields, dotted ones too: `name`, `prompt`, `values.colour`, `controls.0.image`, `loras.hero/style`.
An empty cell says nothing; `a | b` is a list. Headers count in any case. What is wrong with a header is said once, at
the header, and its column is left out.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from schemas.errors import Problem
from schemas.manifest import ASSET_KINDS, Control, Reference
from schemas.names import suggest_names
from schemas.reading.tree import Path, SourcePosition, Tree, find_unstorable, make_problem, parse_scalar, refuse
from schemas.settings import Limits

FIELDS = tuple({name: None for kind in ASSET_KINDS.values() for name in kind.model_fields})
_PARTS: dict[str, tuple[str, ...]] = {
    "controls": tuple(Control.model_fields),
    "references": tuple(Reference.model_fields),
}
_LISTED = 8
"""Controls or references of one asset."""
COLUMNS = 1_000
_TEXT_COLUMNS = re.compile(
    r"name|kind|(negative_)?prompt(_2)?|values\..+|style|tier|scheduler|model|vae|note|delivery_name|sources|seamless|recipe|mask"
    r"|criteria|zip|controls\.\d+\.(type|image|condition|model)|references\.\d+\.(image|model)"
)
_FILES = re.compile(r"sources|mask|.*\.(image|condition)")
"""Columns of paths, which are bytes to a file system and stay as they are."""

Row = tuple[int, int, Sequence[str]]
"""Line in the file, row as a spreadsheet counts, cells."""


def read_csv(text: str, name: str, limits: Limits) -> Tree:
    """A tree whose data is a list of mappings. Raises ManifestError and nothing else."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    return read_rows(_rows(text, name, delimiter), name, limits)


def _rows(text: str, name: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for number, row in enumerate(reader, 1):
            yield line, number, row
            line = reader.line_num + 1
    except csv.Error as wrong:
        refuse(SourcePosition(name, line, 1), (), f"got no CSV: {wrong}", "CSV as a spreadsheet exports it")


def read_rows(rows: Iterable[Row], name: str, limits: Limits) -> Tree:
    """The rows of any table; `problems` has what is wrong with single cells. Raises ManifestError and nothing else."""
    tree = Tree(data=[], values={(): SourcePosition(name, 1, 1)})
    header: list[str] | None = None
    nodes = 0
    for line, number, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            if len(row) > COLUMNS:
                refuse(SourcePosition(name, line, 1), (), f"got {len(row):,} columns", f"at most {COLUMNS:,}")
            header = _header(row, SourcePosition(name, line, number), tree.problems)
            continue
        nodes += len(row)
        if nodes > limits.nodes:
            refuse(SourcePosition(name, line, 1), (), f"got more than {limits.nodes} cells", f"at most {limits.nodes}")
        if any(cell.strip() for cell in row[len(header) :]):
            place = SourcePosition(name, line, len(header) + 1, cell=f"{column_letters(len(header) + 1)}{number}")
            came = f"got {len(row)} cells"
            tree.problems.append(make_problem(place, (), came, f"{len(header)}, as in the header"))
        index = len(tree.data)
        tree.values[(index,)] = SourcePosition(name, line, 1, cell=f"A{number}")
        asset: dict[str, Any] = {}
        for column, (path, cell) in enumerate(zip(header, row, strict=False), 1):
            if path and cell.strip():
                place = SourcePosition(name, line, column, cell=f"{column_letters(column)}{number}")
                if bad := find_unstorable(cell):
                    tree.problems.append(make_problem(place, (index, path), f"got {bad}", "text that can be kept"))
                _put(asset, path, _cell(path, cell), tree, (index,), place)
        tree.data.append(asset)
    if header is None:
        refuse(SourcePosition(name, 1, 1), (), "got an empty file", "a first row with the fields' names")
    return tree


def _header(row: Sequence[str], at: SourcePosition, problems: list[Problem]) -> list[str]:
    """The columns' fields, as they are spelt here; empty where a header is wrong. `at.column` is the row's number."""
    header: list[str] = []
    seen: set[str] = set()
    for column, cell in enumerate(row, 1):
        path = _spelt(unicodedata.normalize("NFC", cell.strip()))
        if wrong := _wrong_header(path, seen):
            place = SourcePosition(at.file, at.line, column, cell=f"{column_letters(column)}{at.column}")
            problems.append(make_problem(place, (path[:40],), *wrong))
            path = ""
        seen.add(path)
        header.append(path)
    return header


def _spelt(path: str) -> str:
    """`Prompt`, `VALUES.Colour`: fields in any case; names of values and models as they stand."""
    first, dot, rest = path.partition(".")
    spelt = first.strip().lower().replace(" ", "_")
    if spelt not in FIELDS:
        return path
    return f"{spelt}{dot}{rest if spelt in ('values', 'loras') else rest.lower()}"


def _wrong_header(path: str, seen: set[str]) -> tuple[str, str] | None:
    """What came and what is allowed."""
    if not path:
        return None
    if path in seen:
        return f"got the column {path[:40]!r} again", "each column once"
    first, _, rest = path.partition(".")
    parts = rest.split(".") if rest else []
    if len(path) > 200 or first not in FIELDS:
        from schemas.reading.validation_errors import MEANT

        return f"got the column {path[:40]!r}", suggest_names(first[:40], FIELDS, meant=MEANT.get(first.lower()))
    if first in _PARTS:
        listed = len(parts) >= 2 and parts[0].isdecimal() and len(parts[0]) < 3 and int(parts[0]) < _LISTED
        if not listed or parts[1] not in _PARTS[first] or len(parts) > 3:
            return f"got {path[:40]!r}", f"{first}.0.FIELD to {first}.7.FIELD, with {', '.join(_PARTS[first])}"
    elif first not in ("values", "loras") and len(parts) > 1:
        return f"got {path[:40]!r}", f"{first}, or {first}.FIELD"
    return None


def column_letters(column: int) -> str:
    """1 -> A, 27 -> AA, as a spreadsheet names its columns."""
    text = ""
    while column:
        column, letter = divmod(column - 1, 26)
        text = chr(65 + letter) + text
    return text


def _cell(path: str, cell: str) -> Any:
    """Text stays text in text columns, numbers become numbers in the others; `|` parts a list."""
    plain = _TEXT_COLUMNS.fullmatch(path)
    if not _FILES.fullmatch(path):
        cell = unicodedata.normalize("NFC", cell)

    def read(part: str) -> Any:
        return part.strip() if plain else parse_scalar(part.strip())

    return [read(part) for part in cell.split("|") if part.strip()] if "|" in cell else read(cell)


def _put(asset: dict[str, Any], dotted: str, value: Any, tree: Tree, at: Path, place: SourcePosition) -> None:
    """Puts `controls.0.image` where it belongs; a model alias after `loras.` keeps its dots."""
    parts = dotted.split(".", 1) if dotted.startswith(("loras.", "values.")) else dotted.split(".")
    inside: Any = asset
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        key: str | int = int(part) if isinstance(inside, list) else part
        at = (*at, key)
        tree.values.setdefault(at, place)
        tree.keys.setdefault(at, place)
        fresh: Any = value if following is None else ([] if part in _PARTS else {})
        if isinstance(inside, list) and isinstance(key, int):
            inside.extend({} for _ in range(key + 1 - len(inside)))
            inside = inside[key]
        elif isinstance(inside, dict):
            inside = inside.setdefault(key, fresh)
        else:
            return
    if isinstance(value, list):
        for index in range(len(value)):
            tree.values[(*at, index)] = place
