"""The first sheet of an .xlsx -> rows, as a CSV of it would have them. Formulas count as the value that was saved with
them; nothing is computed. Read-only: no macro, link or picture in the file is opened."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from schemas.reading.csv_text import Row, column_letters, read_rows
from schemas.reading.tree import SourcePosition, Tree, refuse
from schemas.settings import Limits

UNPACKED = 20
"""Times the limit on a manifest's bytes that a workbook may have unpacked: its styles and strings are in it too."""
_ERROR = re.compile(r"#(REF!|N/A|NAME\?|VALUE!|DIV/0!|NUM!|NULL!)")


def read_xlsx(data: bytes, name: str, limits: Limits) -> Tree:
    """Raises ManifestError and nothing else. Imports openpyxl."""
    if len(data) > limits.manifest_bytes:
        refuse(SourcePosition(name, 1, 1), (), f"got {len(data)} bytes", f"at most {limits.manifest_bytes} bytes")
    rows: list[tuple[Any, ...]] = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = sum(part.file_size for part in packed.infolist())
        if unpacked <= UNPACKED * limits.manifest_bytes:
            from openpyxl import load_workbook

            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            for row in book.worksheets[0].iter_rows(values_only=True):
                rows.append(row)
                if len(rows) * len(row) > limits.nodes:
                    break
    except Exception as wrong:  # openpyxl raises a dozen kinds for what it cannot read
        came = f"got no workbook ({type(wrong).__name__})"
        refuse(SourcePosition(name, 1, 1), (), came, "an .xlsx, or the CSV that a spreadsheet exports")
    if unpacked > UNPACKED * limits.manifest_bytes:
        most = f"at most {UNPACKED * limits.manifest_bytes}"
        refuse(SourcePosition(name, 1, 1), (), f"got a workbook of {unpacked} bytes when unpacked", most)
    return read_rows(_spoken_rows(rows, name), name, limits)


def _spoken_rows(rows: list[tuple[Any, ...]], name: str) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        for column, value in enumerate(row, 1):
            if isinstance(value, str) and _ERROR.fullmatch(value):
                place = SourcePosition(name, number, column, cell=f"{column_letters(column)}{number}")
                refuse(place, (), f"got {value}, the error of a formula", "a formula that gives a value, or the value")
        yield number, number, [_spoken(value) for value in row]


def _spoken(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)
