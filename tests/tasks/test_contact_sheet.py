"""Contact sheets: every picture is on a page, with its name; PNG and PDF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.errors import InputError
from tasks.contact_sheet import PAGE, Group, Tile, draw_pages, write_sheet


def tiles(count: int, colour: str = "#ff0000") -> list[Tile]:
    return [Tile(Image.new("RGB", (64, 32), colour), f"Potion {n}", ("a red potion, " * 5,)) for n in range(count)]


def red(page: Image.Image) -> int:
    return int((np.asarray(page) == (255, 0, 0)).all(-1).sum())


def test_a_small_sheet_is_one_png_cut_below_its_pictures(tmp_path: Path) -> None:
    (file,) = write_sheet(tmp_path / "sheet.png", [Group("", tiles(2))], title="Shop", side=320)
    with Image.open(file) as page:
        assert page.width == PAGE[0] and page.height < PAGE[1] / 2
        side = red(page.convert("RGB")) / 2
        assert side == pytest.approx(320 * 160, rel=0.2), "two pictures, twice as wide as high"


def test_many_pictures_go_on_pages_and_none_is_lost(tmp_path: Path) -> None:
    groups = [Group("Potion", tiles(30)), Group("Gem", tiles(7)), Group("Wall", [Tile(None, "Wall", (), "NaN")])]
    pages = list(draw_pages(groups, title="Shop", side=240))
    one = red(next(draw_pages([Group("", tiles(1))], title="Shop", side=240)))
    assert len(pages) > 1 and sum(map(red, pages)) == 37 * one
    files = write_sheet(tmp_path / "sheet.png", groups, title="Shop", side=240)
    assert [file.name for file in files] == [f"sheet-{n:02}.png" for n in range(1, len(pages) + 1)]
    (pdf,) = write_sheet(tmp_path / "sheet.pdf", groups, title="Shop", side=240)
    data = pdf.read_bytes()
    assert data.startswith(b"%PDF") and data.count(b"/Type /Page\n") == len(pages)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got '.*sheet.gif'; expected a file that ends in .png or .pdf"):
        write_sheet(tmp_path / "sheet.gif", [Group("", tiles(1))], title="", side=64)
