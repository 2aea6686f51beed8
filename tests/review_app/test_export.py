"""Cells of the exported trail are read as text by spreadsheets, whatever somebody wrote into a note."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from review_app.export import as_csv, as_json, guard

RUNS = "=1+1"


@pytest.mark.parametrize(
    "cell",
    [
        RUNS, "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\nplain", "\tplain", " =1", "\u00a0=1", "\u200b=1",
        "\ufeff=1", "＝1", "＋1", "－1", "＠A", "﹦1", '"=1', ";=1", "; =1", ",=1", "|=1", " \n =1",
    ],
)  # fmt: skip
def test_a_formula_gets_an_apostrophe(cell: str) -> None:
    assert str(guard(cell)).startswith("'")


@pytest.mark.parametrize("cell", ["plain", "a=b", "1-2", "hands; feet", "", "日本語", "a\n- b", 7, None, 1.5, "'=1"])
def test_other_cells_stay_as_they_are(cell: object) -> None:
    assert guard(cell) == cell


def test_a_semicolon_begins_no_formula() -> None:
    assert guard("see;=1+1;  ＝2; fine") == "see;'=1+1;  '＝2; fine"


def test_the_file_reads_back() -> None:
    rows: list[dict[str, Any]] = [
        {"note": 'a "quoted", line\nand more', "seconds": 1.5},
        {"note": RUNS, "seconds": None},
    ]
    text = as_csv(rows, ("note", "seconds")).decode("utf-8-sig")
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["note"] for row in read] == ['a "quoted", line\nand more', f"'{RUNS}"]
    assert json.loads(as_json(rows)) == rows
