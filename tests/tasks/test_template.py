"""A sheet to start from is sound as it is, and explains only columns that a sheet may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner

from engine.model_files import open_model_files
from flows.__main__ import app
from schemas.errors import InputError
from schemas.reading.csv_text import read_csv
from schemas.settings import Limits, Settings
from tasks.planning.submit import read_sound_manifest
from tasks.planning.template import list_columns, write_template


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_template_is_sound_and_warns_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["template", f"--{ending}"])
    assert done.exit_code == 0 and f"assets.{ending}" in done.output
    looked, manifest = read_sound_manifest(Path("assets.yaml"), Settings(), open_model_files(Settings()))
    assert [asset.name for asset in manifest.assets] == ["Potion", "Crown", "Sword"]
    assert manifest.assets[0].values == {"colour": ("red", "blue")} and looked.reading.warnings == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"list.yaml exists; expected a new name"):
        write_template(tmp_path / "list.csv", schema="x")
    assert (tmp_path / "list.yaml").read_text() == "mine" and not (tmp_path / "list.csv").exists()


def test_every_column_that_is_explained_is_one() -> None:
    columns = list(list_columns())
    headers = [column.header.replace("ALIAS", "studio-tiny/style") for column in columns]
    assert read_csv(",".join(headers) + "\n", "rows.csv", Limits()).problems == []
    by_name = {column.header: column for column in columns}
    assert {"prompt", "controls.0.image", "region.x", "text.must_read", "hires.strength"} <= by_name.keys()
    assert by_name["kind"].words == ("render", "texture", "repair", "import") and by_name["seamless"].words[0] == "none"
    assert all(column.meaning for column in columns)


def test_cells_of_the_workbook_are_text(tmp_path: Path) -> None:
    write_template(tmp_path / "list.xlsx", schema="x")
    assets, columns = load_workbook(tmp_path / "list.xlsx").worksheets
    assert assets["A2"].number_format == assets["C40"].number_format == "@" and assets["D2"].number_format != "@"
    assert columns.title == "columns" and columns.max_row == 1 + len(list(list_columns()))
