"""Approved images in one sheet, with a JSON of frames in the shape of TexturePacker's "JSON (Hash)".

The same images and options give the same bytes. Places are rectpack's (MaxRects, best short side); trimming, padding,
extrusion and pages are here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import rectpack
from numpy.typing import NDArray

from schemas.errors import InputError
from schemas.settings import Limits
from schemas.spec import ImageSpec
from storage.image_metadata import COMPOSITE_SOURCE, DIGITAL_SOURCE, find_digital_source, make_xmp_packet
from storage.ledger import Ledger
from storage.objects import Store
from storage.pictures import decode_kept
from storage.texture_files import encode_png
from tasks.delivery.deliver import gives_way
from tasks.delivery.names import fold_name, make_delivery_path
from tasks.delivery.target import write_file

APP = "dailies"
SIBLINGS = "related_multi_packs"
"""TexturePacker's word for the other pages of one atlas."""
SMALLEST = 64
"""px of a page's side, where it grows from."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sprite:
    """`pixels`: uint8 [height, width, 4], straight alpha, what trimming left. `left`, `top`: where that was in the
    image, which is `size` (width, height)."""

    name: str
    digest: str
    pixels: Pixels
    left: int
    top: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """`padding`: clear px between two frames and at the edges. `extrude`: how often a frame's border is repeated around
    it, so that filtering does not fetch its neighbour. `most`: px of a page's longest side."""

    padding: int = 2
    extrude: int = 1
    most: int = 4096
    power_of_two: bool = False


@dataclass(frozen=True)
class Page:
    pixels: Pixels
    frames: Mapping[str, tuple[Sprite, int, int]]
    """Name -> the sprite, and the left and top of its own pixels."""


def list_sprites(
    ledger: Ledger, store: Store, project: str, *, assets: Sequence[str] = (), trim: bool = True
) -> list[tuple[Sprite, ImageSpec]]:
    """Those that stand approved now, by name. `assets`: names or patterns (`ui *`). Raises InputError where there is
    none, or two have one name."""
    chosen = _find_assets(assets, {count.asset for count in ledger.assets(project)}, project)
    waiting = [row for row in ledger.deliverable(project=project, again=True) if row[1].asset in chosen]
    briefs = ledger.briefs([image.digest for image, _, _ in waiting])
    found: dict[str, tuple[Sprite, ImageSpec]] = {}
    for image, spec, _ in waiting:
        if gives_way(spec, briefs[image.digest]):
            continue
        name = make_delivery_path(spec, "{Asset}_{Variant}.png", ending="png").rpartition("/")[2]
        if (other := found.get(fold_name(name))) is not None:
            raise InputError(
                f"got two images that would be the frame {name}: {other[1].digest[:12]} and {spec.digest[:12]}; "
                "expected one of them approved"
            )
        data = store.get(image.object_key)
        limits = Limits(source_bytes=len(data), source_pixels=image.width * image.height)
        found[fold_name(name)] = cut_sprite(name, spec.digest, decode_kept(data, limits=limits), trim=trim), spec
    if not found:
        raise InputError(f"got the project {project!r}, of which no image is approved; expected one or more")
    return [found[name] for name in sorted(found)]


def _find_assets(wanted: Iterable[str], known: set[str], project: str) -> set[str]:
    """A name is itself before it is a pattern; without any, all."""
    chosen: set[str] = set()
    for word in wanted:
        found = {word} & known or {name for name in known if fnmatchcase(name.casefold(), word.casefold())}
        if not found:
            raise InputError(f"--asset: got {word!r}; expected an asset of {project!r}: {', '.join(sorted(known))}")
        chosen |= found
    return chosen or known


def cut_sprite(name: str, digest: str, pixels: Pixels, *, trim: bool) -> Sprite:
    """pixels: uint8 [height, width, 3 or 4]. Clear rows and columns at the edges go; one pixel always stays."""
    height, width = pixels.shape[:2]
    if pixels.shape[2] == 3:
        pixels = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
    top, bottom, left, right = 0, height, 0, width
    if trim:
        rows, columns = np.nonzero(pixels[..., 3].any(axis=1))[0], np.nonzero(pixels[..., 3].any(axis=0))[0]
        if rows.size:
            top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        else:
            bottom, right = 1, 1
    cut = np.ascontiguousarray(pixels[top:bottom, left:right])
    return Sprite(name, digest, cut, int(left), int(top), (width, height))


def pack_sprites(sprites: Sequence[Sprite], layout: Layout) -> list[Page]:
    """As few pages as it takes, each as small as it can be. Raises InputError for a sprite that fits on none."""
    around = 2 * layout.extrude + layout.padding
    sizes = [(sprite.pixels.shape[1] + around, sprite.pixels.shape[0] + around) for sprite in sprites]
    sides = _list_sides(layout)
    for sprite, size in zip(sprites, sizes, strict=True):
        if max(size) > sides[-1] - layout.padding:
            height, width = sprite.pixels.shape[:2]
            raise InputError(f"--max-size: got {sides[-1]} for {sprite.name} of {width}x{height}; expected more")
    places = _place(sizes, [side - layout.padding for side in sides])
    pages = []
    for number in range(1 + max(page for page, _, _ in places)):
        chosen = [(sprite, x, y) for sprite, (page, x, y) in zip(sprites, places, strict=True) if page == number]
        pages.append(_draw(chosen, layout))
    return pages


def _list_sides(layout: Layout) -> list[int]:
    """Of pages, px, rising to the largest."""
    sides = [SMALLEST]
    while sides[-1] < layout.most:
        sides.append(2 * sides[-1] if layout.power_of_two else sides[-1] + max(8, sides[-1] // 8))
    return [side for side in sides if side <= layout.most] + [layout.most] * (not layout.power_of_two)


def _place(sizes: Sequence[tuple[int, int]], sides: Sequence[int]) -> list[tuple[int, int, int]]:
    """(page, left, top) of each. Of pages that hold all, the smallest; else full pages of the largest size."""
    for before, side in zip([sides[0], *sides], sides, strict=False):
        for height in dict.fromkeys((before, side)):
            if (found := _try(sizes, side, height, pages=1)) is not None:
                return found
    found = _try(sizes, sides[-1], sides[-1], pages=len(sizes))
    assert found is not None  # each fits on a page of its own
    return found


def _try(sizes: Sequence[tuple[int, int]], width: int, height: int, *, pages: int) -> list[tuple[int, int, int]] | None:
    if pages == 1 and sum(w * h for w, h in sizes) > width * height:
        return None
    packer = rectpack.newPacker(
        mode=rectpack.PackingMode.Offline, bin_algo=rectpack.PackingBin.BFF,
        pack_algo=rectpack.MaxRectsBssf, sort_algo=rectpack.SORT_LSIDE, rotation=False,
    )  # fmt: skip
    for number, (w, h) in enumerate(sizes):
        packer.add_rect(w, h, number)
    packer.add_bin(width, height, count=pages)
    packer.pack()
    placed = {number: (page, x, y) for page, x, y, _, _, number in packer.rect_list()}
    return [placed[number] for number in range(len(sizes))] if len(placed) == len(sizes) else None


def _draw(chosen: Sequence[tuple[Sprite, int, int]], layout: Layout) -> Page:
    edge = layout.padding + layout.extrude
    frames = {sprite.name: (sprite, x + edge, y + edge) for sprite, x, y in chosen}
    width = max(x + sprite.pixels.shape[1] + edge for sprite, x, _ in frames.values())
    height = max(y + sprite.pixels.shape[0] + edge for sprite, _, y in frames.values())
    if layout.power_of_two:
        width, height = (1 << (side - 1).bit_length() for side in (width, height))
    sheet = np.zeros((height, width, 4), np.uint8)
    for sprite, x, y in frames.values():
        around = np.pad(sprite.pixels, ((layout.extrude,) * 2, (layout.extrude,) * 2, (0, 0)), mode="edge")
        x, y = x - layout.extrude, y - layout.extrude
        sheet[y : y + around.shape[0], x : x + around.shape[1]] = around
    return Page(sheet, frames)


def write_atlas(path: Path, pages: Sequence[Page], specs: Mapping[str, ImageSpec]) -> list[Path]:
    """NAME.png and NAME.json, or NAME-1.png and so on. `specs`: by digest. Returns the files; InputError, with nothing
    written, where another's file lies under one of the names. Pages of an earlier and larger run go."""
    folder = next(place for place in path.absolute().parents if place.exists())
    if not folder.is_dir():
        raise InputError(f"--out: got {path}, and {folder} is a file; expected a name in a folder")
    files: dict[Path, bytes] = {}
    for number, page in enumerate(pages, 1):
        picture = path if len(pages) == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        own = [specs[sprite.digest] for sprite, _, _ in page.frames.values()]
        packet = make_xmp_packet(own[0], detail="none", source=find_common_source(own))
        texts = {"XML:com.adobe.xmp": packet.decode()}
        # Frames first: they say whose the picture is to a run after one that was cut off between the two.
        files[picture.with_suffix(".json")] = _describe(picture.name, page, pages=len(pages))
        files[picture] = encode_png(page.pixels, texts=texts).data
    pictures = [file for file in files if file.suffix == path.suffix]
    if taken := next((file for file in pictures if _is_anothers(file, is_page=len(pages) > 1)), None):
        raise InputError(f"--out: got {taken}, where another file lies already; expected another name")
    for file, data in files.items():
        write_file(file.parent, file.name, data)
    _remove_pages(path, pictures)
    return list(files)


def find_common_source(specs: Sequence[ImageSpec]) -> str:
    """IPTC's source type of a picture composed of these: theirs where they have one; a composite where some of them,
    or some of each, are a model's; else the first's."""
    sources = list(dict.fromkeys(find_digital_source(spec) for spec in specs))
    if len(sources) > 1 and {DIGITAL_SOURCE, COMPOSITE_SOURCE} & set(sources):
        return COMPOSITE_SOURCE
    return sources[0]


def _remove_pages(path: Path, written: Sequence[Path]) -> None:
    """Pages of ours under this name that are none of this run's, until one is missing."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
    for picture in (path, *takewhile(Path.exists, numbered)):
        if picture not in written and picture.exists() and not _is_anothers(picture, is_page=picture != path):
            picture.unlink()
            picture.with_suffix(".json").unlink()


def _is_anothers(picture: Path, *, is_page: bool) -> bool:
    """Whether a file lies there, and not beside the frames of an atlas of ours (of several pages if `is_page`)."""
    beside = picture.with_suffix(".json")
    if not picture.exists() and not beside.exists():
        return False
    try:
        meta = json.loads(beside.read_text(encoding="utf-8"))["meta"]
        return bool(meta["app"] != APP or (SIBLINGS in meta) != is_page)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return True


def _describe(name: str, page: Page, *, pages: int) -> bytes:
    frames: dict[str, Any] = {}
    for sprite, x, y in page.frames.values():
        height, width = sprite.pixels.shape[:2]
        frames[sprite.name] = {
            "frame": {"x": x, "y": y, "w": width, "h": height},
            "rotated": False,
            "trimmed": (width, height) != sprite.size,
            "spriteSourceSize": {"x": sprite.left, "y": sprite.top, "w": width, "h": height},
            "sourceSize": {"w": sprite.size[0], "h": sprite.size[1]},
            "digest": sprite.digest,
        }
    size = {"w": page.pixels.shape[1], "h": page.pixels.shape[0]}
    meta: dict[str, Any] = {
        "app": APP,
        "version": "1.0",
        "image": name,
        "format": "RGBA8888",
        "size": size,
        "scale": "1",
    }
    if pages > 1:
        stem = name.rpartition("-")[0]
        meta[SIBLINGS] = [f"{stem}-{number}.json" for number in range(1, pages + 1) if f"{stem}-{number}." not in name]
    return (json.dumps({"frames": frames, "meta": meta}, indent=1, ensure_ascii=False) + "\n").encode()
