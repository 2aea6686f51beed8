"""CSV text -> Tree of assets, one a row, as a spreadsheet exports it (comma, semicolon or tab).

The first row names fields, dotted ones too: `name`, `prompt`, `values.colour`, `controls.0.image`, `loras.hero/style`.
An empty cell says nothing; `a | b` is a list.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from schemas.errors import ManifestError, Problem
from schemas.settings import Limits
from schemas.tree import Path, Place, Tree, problem, refuse, scalar, unstorable

_TEXT_COLUMNS = re.compile(
    r"name|kind|(negative_)?prompt(_2)?|values\..+|style|tier|scheduler|model|vae|note|delivery_name|sources|seamless|recipe|mask"
    r"|criteria|zip|controls\.\d+\.(type|image|condition|model)"
)


def read_csv(text: str, name: str, limits: Limits) -> Tree:
    """A tree whose data is a list of mappings. Raises ManifestError and nothing else."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    tree = Tree(data=[], values={(): Place(name, 1, 1)})
    problems: list[Problem] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    nodes, line = 0, 1
    try:
        for row in reader:
            start, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = [cell.strip() for cell in row]
                problems += _header_problems(header, name, start)
                continue
            nodes += len(row)
            if nodes > limits.nodes:
                refuse(Place(name, start, 1), (), f"came more than {limits.nodes} cells", f"at most {limits.nodes}")
            if len(row) > len(header):
                came = f"came {len(row)} cells"
                problems.append(
                    problem(Place(name, start, len(header) + 1), (), came, f"{len(header)}, as in the header")
                )
            index = len(tree.data)
            tree.values[(index,)] = Place(name, start, 1)
            asset: dict[str, Any] = {}
            for column, (path, cell) in enumerate(zip(header, row, strict=False), 1):
                if cell.strip() and path:
                    place = Place(name, start, column)
                    if bad := unstorable(cell):
                        problems.append(problem(place, (index, path), f"came {bad}", "text that can be kept"))
                    _put(asset, path, _cell(path, cell), tree, (index,), place)
            tree.data.append(asset)
    except csv.Error as wrong:
        problems.append(problem(Place(name, line, 1), (), f"came no CSV: {wrong}", "CSV as a spreadsheet exports it"))
    if not header:
        problems.append(problem(Place(name, 1, 1), (), "came an empty file", "a first row with the fields' names"))
    if problems:
        raise ManifestError(problems)
    return tree


def _header_problems(header: list[str], name: str, line: int) -> list[Problem]:
    found = []
    for column, path in enumerate(header, 1):
        place = Place(name, line, column)
        if path and path in header[: column - 1]:
            found.append(problem(place, (path,), f"came the column {path!r} again", "each column once"))
        numbers = [int(part) for part in path.split(".") if part.isdecimal() and len(part) < 9]
        if len(path) > 200 or (path.startswith("controls.") and any(number > 7 for number in numbers)):
            found.append(problem(place, (path[:40],), f"came {path[:40]!r}", "controls.0 to controls.7"))
    return found


def _cell(path: str, cell: str) -> Any:
    """Text stays text in text columns, numbers become numbers in the others; `|` parts a list."""
    plain = _TEXT_COLUMNS.fullmatch(path)

    def read(part: str) -> Any:
        return part.strip() if plain else scalar(part.strip())

    return [read(part) for part in cell.split("|") if part.strip()] if "|" in cell else read(cell)


def _put(asset: dict[str, Any], dotted: str, value: Any, tree: Tree, at: Path, place: Place) -> None:
    """Puts `controls.0.image` where it belongs; a model alias after `loras.` keeps its dots."""
    parts = dotted.split(".", 1) if dotted.startswith(("loras.", "values.")) else dotted.split(".")
    inside: Any = asset
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        key: str | int = int(part) if isinstance(inside, list) and part.isdecimal() and len(part) < 3 else part
        at = (*at, key)
        tree.values.setdefault(at, place)
        tree.keys.setdefault(at, place)
        fresh: Any = value if following is None else ([] if following.isdecimal() else {})
        if isinstance(inside, list):
            if not isinstance(key, int):
                return
            inside.extend({} for _ in range(key + 1 - len(inside)))
            if following is None:
                inside[key] = value
            inside = inside[key]
        elif isinstance(inside, dict):
            inside = inside.setdefault(key, fresh)
        else:
            return
    if isinstance(value, list):
        for index in range(len(value)):
            tree.values[(*at, index)] = place
