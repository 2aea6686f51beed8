"""The trail of decisions as files: CSV for spreadsheets, JSON for everything else."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

FORMULA = frozenset("=+-@")
AFTER_SEPARATOR = re.compile(r"(;\s*)(?=\S)")
"""Where a spreadsheet of a country that separates cells by semicolons begins a new one."""


def is_formula(text: str) -> bool:
    """Whether a spreadsheet could read a cell as a formula: also after white space, quotes and other invisible signs,
    and in the full-width forms that some programs take for the plain ones."""
    for letter in text:
        if unicodedata.category(letter)[0] in "ZC" or letter in '",;|':
            continue
        return unicodedata.normalize("NFKC", letter)[:1] in FORMULA
    return False


def guard(value: object) -> object:
    """The cell, with an apostrophe before whatever a spreadsheet would compute, and before a line break or a tab at its
    start, since programs differ about where such a cell begins."""
    if not isinstance(value, str):
        return value
    guarded = AFTER_SEPARATOR.sub(lambda found: found[1] + "'" * is_formula(value[found.end() :]), value)
    return f"'{guarded}" if is_formula(value) or value[:1] in ("\t", "\r", "\n") else guarded


def as_csv(rows: Iterable[dict[str, Any]], fields: Sequence[str]) -> bytes:
    whole = io.BytesIO()
    out = io.TextIOWrapper(whole, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.DictWriter(out, fields)
    writer.writeheader()
    for row in rows:
        cells = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        writer.writerow({name: guard(value) for name, value in cells.items()})
    return whole.getvalue()


def as_json(rows: Iterable[dict[str, Any]]) -> bytes:
    lines = (json.dumps(row, default=lambda value: value.isoformat(), ensure_ascii=False).encode() for row in rows)
    return b"[\n" + b",\n".join(lines) + b"\n]\n"
