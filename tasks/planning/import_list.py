"""A folder or an S3 prefix of pictures -> the manifest that imports them (`kind: import`), one asset a folder."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

import yaml
from pydantic_core import PydanticCustomError

from schemas.errors import InputError
from schemas.fields import check_picture_path
from schemas.names import suggest_names
from schemas.settings import Settings
from schemas.spec import DigitalSource
from storage.objects import open_store

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr")
MARK = "# Written by `dailies import`, which writes it again when it is run again.\n"
BUCKET = "s3://"


@dataclass(frozen=True)
class Found:
    """Names under one folder or prefix. `others`: of files that are no pictures, by their endings."""

    pictures: tuple[str, ...]
    others: tuple[str, ...]


def list_pictures(place: str, settings: Settings) -> Found:
    """Everything under a folder, or under an s3:// prefix that the settings allow; hidden files and links are left out.
    Raises InputError where there is no picture."""
    names = _list_bucket(place, settings) if place.startswith(BUCKET) else _list_folder(Path(place))
    pictures = tuple(name for name in names if name.lower().endswith(ENDINGS))
    if not pictures:
        raise InputError(f"got {place!r}, in which is no picture; expected files that end in {', '.join(ENDINGS)}")
    return Found(pictures, tuple(name for name in names if name not in pictures))


def _list_folder(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"got {str(folder)!r}; expected a folder, or s3://bucket/prefix/")
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = [path.relative_to(folder) for path in files]
    return sorted(name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts))


def _list_bucket(place: str, settings: Settings) -> list[str]:
    prefixes = [prefix.rstrip("/") + "/" for prefix in settings.allowed_s3_prefixes]
    place = place.rstrip("/") + "/"
    if not any(place.startswith(prefix) for prefix in prefixes):
        raise InputError(
            f"got {place!r}; expected a prefix that the setting allowed_s3_prefixes allows: "
            f"{', '.join(prefixes) or 'none'}"
        )
    bucket, _, prefix = place.removeprefix(BUCKET).partition("/")
    store = open_store(settings.model_copy(update={"object_store": f"{BUCKET}{bucket}"}))
    return sorted(key.removeprefix(prefix) for key in store.keys(prefix) if not key.endswith("/"))


def read_source_type(text: str) -> DigitalSource | None:
    """None for no text. Raises InputError."""
    known = {word.casefold(): word for word in get_args(DigitalSource)}
    if text and text.casefold() not in known:
        raise InputError(f"--digital-source-type: got {text!r}; {suggest_names(text, known.values())}")
    return known[text.casefold()] if text else None


def choose_start(place: str, out: Path) -> str:
    """What stands before a picture's name in the manifest `out`. Raises InputError where that cannot be."""
    if place.startswith(BUCKET):
        return place.rstrip("/") + "/"
    folder, beside = Path(place).resolve(), out.resolve().parent
    if not folder.is_relative_to(beside):
        raise InputError(f"--out: got {out} for {place}; expected a manifest in that folder or above it")
    start = folder.relative_to(beside).as_posix()
    return "" if start == "." else f"{start}/"


def write_import_manifest(
    out: Path, found: Found, *, start: str, name: str, project: str, model: str, source: DigitalSource | None
) -> dict[str, list[str]]:
    """Writes it and returns each asset's pictures. `start`: choose_start. `name`: of the asset of the pictures that lie
    in no folder of their own. `source`: how all were made, or None where each file says it. Raises InputError where a
    file that this program did not write is there, and for a name that no manifest can have."""
    if out.exists() and not out.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        raise InputError(f"--out: {out} exists, and was not written by `dailies import`; expected another name")
    groups: dict[str, list[str]] = defaultdict(list)
    for picture in found.pictures:
        try:
            path = check_picture_path(start + picture)
        except PydanticCustomError as wrong:
            raise InputError(f"{wrong.message()}; rename the file") from None
        groups[PurePosixPath(picture).parent.as_posix().strip(".").replace("/", " ") or name].append(path)
    said = {"digital_source_type": source} if source else {}
    assets = [{"name": asset, "kind": "import", "sources": paths, **said} for asset, paths in groups.items()]
    body = {"version": 1, "project": project, "model": model, "assets": assets}
    out.write_text(MARK + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8")
    return dict(groups)
