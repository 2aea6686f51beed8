"""Pictures with their names on pages, as PNG or PDF: for `dailies preview` and `dailies sheet`. Knows no ledger."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont

from schemas.errors import InputError

PAGE = (1754, 1240)
"""px: A4, landscape, at 150 dots an inch"""
DPI = 150
MARGIN, GAP, LINE = 48, 16, 18
BACKGROUND, INK, FAINT, WARNING = "#ffffff", "#1b2130", "#667085", "#c1121f"
ENDINGS = (".png", ".pdf")


@dataclass(frozen=True)
class Tile:
    """`picture`: None where there is none, or a function that opens it when its page is drawn; `lines` stand under it,
    `warning` in red; `frame` is a colour."""

    picture: Image.Image | Callable[[], Image.Image | None] | None
    name: str
    lines: tuple[str, ...] = ()
    warning: str = ""
    frame: str = ""


@dataclass(frozen=True)
class Group:
    title: str
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class _Block:
    """Tiles of a group that stand in one row, from `column` on."""

    group: Group
    tiles: Sequence[Tile]
    column: int
    first: bool


def check_ending(path: Path) -> None:
    """Raises InputError for anything but .png and .pdf."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"--out: got {str(path)!r}; expected a file that ends in {' or '.join(ENDINGS)}")


def write_sheet(path: Path, groups: Sequence[Group], *, title: str, side: int) -> list[Path]:
    """Draws the groups on pages, `side` px a picture, and writes them: one .pdf, or a .png a page. Returns the files.

    A .png of one page is cut below what is on it.
    """
    check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = draw_pages(groups, title=title, side=side)
    first, second = next(pages), next(pages, None)
    rest = () if second is None else chain((second,), pages)
    if path.suffix.lower() == ".pdf":
        first.save(path, "PDF", save_all=True, append_images=rest, resolution=DPI, title=title)
        return [path]
    if second is None:
        first.crop((0, 0, PAGE[0], _used(first))).save(path)
        return [path]
    files = []
    for number, page in enumerate(chain((first,), rest), 1):
        files.append(path.with_name(f"{path.stem}-{number:02}{path.suffix}"))
        page.save(files[-1])
    return files


def draw_pages(groups: Iterable[Group], *, title: str, side: int) -> Iterator[Image.Image]:
    """RGB pages of PAGE px, pictures of about `side` px: as many as fill a row. A group that fits into the rest of a
    row stands there, else it begins the next one; each has its title, again on a new page. At least one page."""
    columns = max(1, round((PAGE[0] - 2 * MARGIN + GAP) / (side + GAP)))
    side = (PAGE[0] - 2 * MARGIN + GAP) // columns - GAP
    page, draw, top = _page(title, 1)
    number = 1
    for row in _rows(groups, columns):
        texts = [[_text(tile, side) for tile in block.tiles] for block in row]
        titles = [block.group.title if block.first else "" for block in row]
        tall = side + LINE * max(len(lines) for some in texts for lines in some) + GAP
        if top + (LINE * 2 if any(titles) else 0) + tall > PAGE[1] - MARGIN and top > MARGIN + 3 * LINE:
            yield page
            number += 1
            page, draw, top = _page(title, number)
            titles = [block.group.title for block in row]
        for block, heading in zip(row, titles, strict=True):
            wide = len(block.tiles) * (side + GAP) - GAP
            draw.text((MARGIN + block.column * (side + GAP), top), _shorten(draw, heading, wide), INK, _font(18))
        top += LINE * 2 if any(titles) else 0
        for block, some in zip(row, texts, strict=True):
            for column, (tile, lines) in enumerate(zip(block.tiles, some, strict=True), block.column):
                _draw_tile(page, draw, tile, lines, left=MARGIN + column * (side + GAP), top=top, side=side)
        top += tall
    yield page


def _rows(groups: Iterable[Group], columns: int) -> Iterator[list[_Block]]:
    row: list[_Block] = []
    used = 0
    for group in groups:
        if row and used + len(group.tiles) > columns:
            yield row
            row, used = [], 0
        for start in range(0, len(group.tiles), columns):
            if used == columns:
                yield row
                row, used = [], 0
            tiles = group.tiles[start : start + columns]
            row.append(_Block(group, tiles, used, first=start == 0))
            used += len(tiles)
    if row:
        yield row


def _shorten(draw: ImageDraw.ImageDraw, text: str, wide: int) -> str:
    while text and draw.textlength(text, _font(18)) > wide:
        text = text[:-2].rstrip() + "…"
    return text


def _page(title: str, number: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    page = Image.new("RGB", PAGE, BACKGROUND)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN - 12), title, INK, _font(24))
    if number > 1:
        draw.text((PAGE[0] - MARGIN, MARGIN - 6), f"page {number}", FAINT, _font(16), anchor="ra")
    return page, draw, MARGIN + 2 * LINE


def _draw_tile(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    lines: list[tuple[str, str]],
    *,
    left: int,
    top: int,
    side: int,
) -> None:
    opened = tile.picture() if callable(tile.picture) else tile.picture
    if opened is None:
        draw.rectangle((left, top, left + side - 1, top + side - 1), outline=FAINT)
        draw.text((left + 10, top + 10), "no picture", FAINT, _font(13))
    else:
        picture = _fit(opened, side)
        page.paste(picture, (left, top + side - picture.height))
    if tile.frame:
        draw.rectangle((left - 4, top - 4, left + side + 3, top + side + 3), outline=tile.frame, width=4)
    for number, (line, colour) in enumerate(lines):
        draw.text((left, top + side + 4 + number * LINE), line, colour, _font(13))


def _fit(picture: Image.Image, side: int) -> Image.Image:
    """Its longer side `side` px. Enlarged by whole pixels where that fits, so that small pictures stay sharp."""
    factor = side / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    filtered = Image.Resampling.LANCZOS if factor < 2 or factor % 1 else Image.Resampling.NEAREST
    return picture.convert("RGB").resize(size, filtered)


def _text(tile: Tile, wide: int) -> list[tuple[str, str]]:
    """(line, colour), in lines that fit."""
    letters = max(8, wide // 7)
    lines = [(line, INK) for line in textwrap.wrap(tile.name, letters)[:2]]
    lines += [(line, FAINT) for text in tile.lines for line in textwrap.wrap(text, letters)[:4]]
    return lines + [(line, WARNING) for line in textwrap.wrap(tile.warning, letters)[:4]]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _used(page: Image.Image) -> int:
    """Height of what is drawn on a page, with a margin below."""
    blank = Image.new("RGB", page.size, BACKGROUND)
    box = ImageChops.difference(page, blank).getbbox()
    return min(page.height, (box[3] if box else 0) + MARGIN // 2)
