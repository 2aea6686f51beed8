"""A manifest and the files that it names: looked at, and frozen by content into the object store.

Only files under the manifest's folder can be reached (or those that came with an upload, or an s3:// prefix that the
settings allow). A picture is opened when its bytes and pixels are known to be within the limits, never before. What the
night would read otherwise than storage/conversion.py says is frozen as a PNG of what it says, with the original beside.
"""

from __future__ import annotations

import errno
import getpass
import hashlib
import io
import os
import posixpath
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from PIL import Image, ImageDraw
from pydantic_core import PydanticCustomError

from schemas.catalogue import Catalogue
from schemas.errors import DailiesError, InputError
from schemas.fields import check_picture_path
from schemas.manifest import FrozenFile, Import, Manifest, PictureReading, Repair
from schemas.reading.manifest_file import Reading, examine
from schemas.review import Drawing, Shape
from schemas.rules.imports import IMPORTED, find_overruled_sources, find_unsaid_sources
from schemas.rules.model_names import find_unknown_models
from schemas.rules.repairs import BACKGROUND, MASK, ORIGINAL, Pixels, find_unfit_repairs, name_mask, to_pixels
from schemas.rules.text_languages import find_unreadable
from schemas.rules.warnings import find_warnings
from schemas.rules.watermarks import find_too_small
from schemas.settings import Limits, Settings
from schemas.spec import to_canonical_json
from storage.formats import FORMATS

if TYPE_CHECKING:  # SQLAlchemy and boto3 cost half of the time that `dailies check` may take
    from schemas.records import Submission
    from storage.conversion import Converted
    from storage.ledger import Ledger
    from storage.objects import Store

TABLES = {
    "csv": ("csv", "text/csv"),
    "xlsx": ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
"""Ending of a table -> ending and media type in the store."""


Role = Literal["", "mask", "import", "background"]
"""What a picture is read for: to start from or to follow, where to paint, to be an image, to stand behind one."""
MASKS: dict[tuple[str | int, ...], str] = {
    ("mask",): "white where to paint",
    ("metallic_mask",): "white where metal is",
}
"""Fields of an asset that hold a mask, and what it is to show."""


class Files(Protocol):
    """Where the files that a manifest names are."""

    def read(self, path: str, most: int) -> bytes:
        """Raises InputError, which completes "came 'x': ...", when there is none or it has more than `most` bytes."""


class Folder:
    """The files under a folder; a symbolic link that leads out of it is refused."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def read(self, path: str, most: int) -> bytes:
        try:
            real = (self.root / path).resolve()
            if not real.is_relative_to(self.root):
                raise InputError("a link that leads out of the manifest's folder")
            opened = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError("there is no such file") from None
        except (OSError, ValueError, RuntimeError) as wrong:
            code = errno.errorcode.get(getattr(wrong, "errno", None) or 0, type(wrong).__name__)
            raise InputError(f"it cannot be read ({code})") from None
        try:
            about = os.fstat(opened)
            if not stat.S_ISREG(about.st_mode):
                raise InputError("it is not a file")
            if about.st_size > most:
                raise InputError(f"it has {about.st_size} bytes")
            with os.fdopen(os.dup(opened), "rb") as file:
                return file.read(most)
        finally:
            os.close(opened)


class Upload:
    """The files that came with a manifest through a browser, by name."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def read(self, path: str, most: int) -> bytes:
        data = self.files.get(path, self.files.get(posixpath.basename(path)))
        if data is None:
            raise InputError("it was not uploaded with the manifest")
        if len(data) > most:
            raise InputError(f"it has {len(data)} bytes")
        return data


@dataclass
class Inspection:
    """A manifest with everything that it names. `frozen` has no keys before `freeze`."""

    reading: Reading
    frozen: dict[str, FrozenFile] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    media: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """What was changed in pictures, or should be known of them."""
        named = ((re.sub(f"^({MASK}|{IMPORTED}|{BACKGROUND})", "", name), file) for name, file in self.frozen.items())
        return [f"{name}: {remark}" for name, file in named for remark in file.remarks]


def inspect_pictures(data: bytes, name: str, files: Files, settings: Settings, catalogue: Catalogue) -> Inspection:
    """Reads a manifest, opens its pictures and looks up its models; `reading.problems` has what is wrong with them.

    Raises ManifestError at once for what is not even YAML, JSON or CSV.
    """
    limits = settings.limits
    looked = Inspection(examine(data, name, limits, beside=lambda path: files.read(path, limits.manifest_bytes)))
    refused: dict[str, str] = {}
    roles: dict[str, set[Role]] = {}
    named = list(looked.reading.pictures())
    imports = _list_imports(looked.reading)
    for at, text in named:
        roles.setdefault(text, set()).add(_find_role(at, imports))
    for at, text in named:
        try:
            path = check_picture_path(text)
        except PydanticCustomError:
            continue  # the reading has complained of it
        if path not in looked.frozen and path not in refused:
            try:
                source = _Buckets(settings) if path.startswith("s3://") else files
                picture = source.read(path, limits.source_bytes)
                doubts = _convert(looked, path, picture, roles=roles[text], limits=limits)
                looked.reading.warn([(at, f"got {text!r}: {doubt}", MASKS.get(at[2:3], "")) for doubt in doubts])
            except InputError as wrong:
                refused[path] = str(wrong)
        if path in refused:
            most = f"of at most {limits.source_bytes} bytes and {limits.source_pixels} pixels"
            looked.reading.complain(at, f"got {text!r}: {refused[path]}", f"a picture ({', '.join(FORMATS)}) {most}")
    if looked.reading.rest is not None:
        looked.reading.judge(find_unfit_repairs(looked.reading.rest, looked.frozen, limits))
        looked.reading.judge(find_unsaid_sources(looked.reading.rest, looked.frozen))
        looked.reading.warn(find_overruled_sources(looked.reading.rest, looked.frozen))
        _draw_regions(looked, looked.reading.rest)
        looked.reading.judge(find_unknown_models(looked.reading.rest, catalogue))
        looked.reading.judge(find_too_small(looked.reading.rest, looked.frozen, catalogue.facts))
    if looked.reading.manifest is not None:
        looked.reading.judge(find_unreadable(looked.reading.manifest, settings.text_readers))
        looked.reading.warn(find_warnings(looked.reading.manifest, catalogue, groups=settings.groups))
    return looked


def inspect_picture(path: Path, settings: Settings, catalogue: Catalogue) -> Inspection:
    """`look` for a manifest on disk. Raises InputError when it cannot be read."""
    try:
        data = Folder(path.parent).read(path.name, settings.limits.manifest_bytes)
    except InputError as wrong:
        raise InputError(
            f"{path}: {wrong}; expected a manifest of at most {settings.limits.manifest_bytes} bytes"
        ) from None
    return inspect_pictures(data, str(path), Folder(path.parent), settings, catalogue)


def compute_submission_digest(looked: Inspection) -> str:
    """SHA-256 over the manifest's bytes and those of every file that it names."""
    reading = looked.reading
    body = {
        "manifest": hashlib.sha256(reading.data).hexdigest(),
        "files": {path: frozen.digest for path, frozen in looked.frozen.items()},
        "rows": {path: hashlib.sha256(data).hexdigest() for path, data in reading.beside.items()},
    }
    return hashlib.sha256(to_canonical_json(body)).hexdigest()


def ingest(looked: Inspection, *, store: Store, ledger: Ledger, submitted_by: str = "") -> tuple[Submission, bool]:
    """Puts everything by content, then writes the record. False when the very same was submitted before.

    Raises ManifestError with every problem when there is any.
    """
    from schemas.records import Submission

    reading = looked.reading
    manifest = reading.sound()
    digest = compute_submission_digest(looked)

    # 1. Bytes first: pictures, the CSV, the manifest as it was sent
    files: dict[str, FrozenFile] = {}
    for path, frozen in looked.frozen.items():
        ending, media_type = looked.media[path]
        key = store.put_content("sources", looked.data[path], extension=ending, media_type=media_type)
        files[path] = frozen.model_copy(update={"key": key})
    for path, data in reading.beside.items():
        ending, media_type = TABLES["xlsx" if path.lower().endswith(".xlsx") else "csv"]
        key = store.put_content("manifests", data, extension=ending, media_type=media_type)
        files[path] = FrozenFile(digest=hashlib.sha256(data).hexdigest(), key=key, width=0, height=0)
    ending = "json" if reading.name.lower().endswith(".json") else "yaml"
    key = store.put_content("manifests", reading.data, extension=ending, media_type=f"application/{ending}")

    # 2. The record last
    submission = Submission(
        digest=digest,
        name=os.path.basename(reading.name)[:200],
        project=manifest.project,
        object_key=key,
        body=manifest.model_dump(mode="json"),
        files={path: frozen.model_dump(mode="json") for path, frozen in files.items()},
        priority=manifest.priority,
        due=manifest.due,
        submitted_by=(submitted_by or manifest.asked_by or make_local_name())[:200],
        submitted_at=datetime.now(UTC),
        warnings=[asdict(warning) for warning in reading.warnings],
    )
    return submission, ledger.submit(submission)


def make_local_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def read_mask(box: Pixels, *, width: int, height: int) -> bytes:
    """White inside (left, top, right, bottom), black outside. The same box, the same bytes."""
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, box)
    data = io.BytesIO()
    mask.save(data, "PNG")
    return data.getvalue()


def draw_mask(place: Drawing, *, width: int, height: int) -> bytes:
    """White where a reviewer's box is, or where the brush went, black elsewhere. The same drawing, the same bytes."""
    if place.shape is not Shape.BRUSH:
        return read_mask(to_pixels(place, width=width, height=height), width=width, height=height)
    mask = Image.new("L", (width, height), 0)
    pen, radius = ImageDraw.Draw(mask), max(0.5, place.thickness * width / 2)
    for stroke in place.strokes:
        points = [(x * width, y * height) for x, y in stroke]
        pen.line(points, fill=255, width=max(1, round(2 * radius)))
        for x, y in points:  # round ends and joints
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    data = io.BytesIO()
    mask.save(data, "PNG")
    return data.getvalue()


def _draw_regions(looked: Inspection, manifest: Manifest) -> None:
    """The masks of repairs that name a region, as files of their own."""
    for asset in manifest.assets:
        if not isinstance(asset, Repair) or asset.region is None:
            continue
        for file in [looked.frozen[source] for source in asset.sources if source in looked.frozen]:
            name, size = name_mask(asset.region, file), {"width": file.width, "height": file.height}
            looked.data[name] = data = read_mask(to_pixels(asset.region, **size), **size)
            looked.media[name] = FORMATS["PNG"]
            looked.frozen[name] = FrozenFile(digest=hashlib.sha256(data).hexdigest(), **size)


def _find_role(at: tuple[str | int, ...], imports: set[tuple[int, ...]]) -> Role:
    if at[2:3] in MASKS:
        return "mask"
    if at[1:2] in imports and at[2:3] == ("sources",):
        return "import"
    return "background" if at[:2] == ("review", "backgrounds") else ""


def _list_imports(reading: Reading) -> set[tuple[int, ...]]:
    """Places of assets that are imported, in the list of assets."""
    assets = reading.rest.assets if reading.rest is not None else ()
    return {(number,) for number, asset in enumerate(assets) if isinstance(asset, Import)}


def _convert(looked: Inspection, path: str, data: bytes, *, roles: set[Role], limits: Limits) -> tuple[str, ...]:
    """Opens it whole, so that a broken picture is found before the night and not in it, and adds what it becomes.

    Bytes that the night would read as these very pixels stay as they are, and so do the digests that follow from them.
    Returns what is allowed and hardly meant, in sentences.
    """
    from storage.conversion import (
        Converted,
        convert_background,
        convert_import,
        convert_mask,
        convert_source,
        open_artwork,
    )

    rest = looked.reading.rest
    reading = rest.pictures if rest is not None else PictureReading()
    artwork = open_artwork(data, reading=reading, limits=limits)
    as_source = convert_source(data, artwork, reading=reading, limits=limits) if "" in roles else None
    as_mask = convert_mask(data, artwork, limits=limits) if "mask" in roles else None
    as_import = convert_import(data, artwork, limits=limits) if "import" in roles else None
    as_background = convert_background(artwork) if "background" in roles else None
    sent = Converted(*artwork.size, artwork.media)
    others = (as_mask, as_import, as_background)
    as_it_is = next((one for one in others if one is not None and one.data is None), sent)
    _add(looked, path, data, as_source or as_it_is)
    if as_source is not None and as_source.data is not None:
        _add(looked, ORIGINAL + path, data, sent)
    if as_mask is not None and (as_mask.data is not None or looked.data[path] is not data):
        _add(looked, MASK + path, data, as_mask)
    if as_import is not None and (as_import.data is not None or as_source is not None or as_mask is not None):
        _add(looked, IMPORTED + path, data, as_import)
    if as_background is not None and (as_background.data is not None or looked.data[path] is not data):
        _add(looked, BACKGROUND + path, data, as_background)
    return as_mask.doubts if as_mask is not None else ()


def _add(looked: Inspection, name: str, sent: bytes, converted: Converted) -> None:
    data = sent if converted.data is None else converted.data
    looked.data[name], looked.media[name] = data, converted.media
    looked.frozen[name] = FrozenFile(
        digest=hashlib.sha256(data).hexdigest(),
        width=converted.width,
        height=converted.height,
        remarks=converted.remarks,
        digital_source=converted.digital_source,
    )


class _Buckets:
    """Pictures in S3, under the prefixes that the settings allow."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def read(self, path: str, most: int) -> bytes:
        prefixes = [prefix.rstrip("/") + "/" for prefix in self.settings.allowed_s3_prefixes]
        if not any(path.startswith(prefix) for prefix in prefixes):
            raise InputError(f"the settings allow s3:// pictures under {', '.join(prefixes) or 'no prefix'}")
        from storage.objects import open_store

        bucket, key = path.removeprefix("s3://").split("/", 1)
        try:
            store = open_store(self.settings.model_copy(update={"object_store": f"s3://{bucket}"}))
            if (size := store.size(key)) > most:
                raise InputError(f"it has {size} bytes")
            return store.get(key)
        except InputError:
            raise
        except DailiesError as wrong:
            raise InputError(str(wrong)) from None
