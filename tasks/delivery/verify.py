"""What a delivered file is, from which record, and whether a byte of it changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from schemas.errors import InputError
from storage.ledger import Ledger
from storage.objects import Store
from storage.pictures import JXL_HEADER, PNG_HEADER
from storage.provenance import EMBEDDED, MANIFEST_ENDING, Credentials, find_embedded_manifest, read_credentials
from storage.watermark import BITS
from tasks.delivery.index import make_index
from tasks.delivery.marks import find_mark, read_text

MEDIA = {
    PNG_HEADER[:4]: "image/png", b"RIFF": "image/webp", b"II*\0": "image/tiff", b"MM\0*": "image/tiff",
    JXL_HEADER[:4]: "image/jxl", b"v/1\x01": "image/x-exr",
}  # fmt: skip
"""First four bytes -> media type, of the files that can be signed; a TGA has none."""

Entries = list[tuple[dict[str, Any], dict[str, Any]]]
"""An image of the index, and one of its files."""
Beside = Literal["", "unchanged", "changed", "missing"]


@dataclass(frozen=True)
class FoundMark:
    """A watermark that a record knows. `text`: the manifest's, if it was one. `names`: of the pictures that have it."""

    message: str
    text: str
    bits_wrong: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        said = f"{self.text!r}" if self.text else self.message
        others = f" and {len(self.names) - 1} others" if len(self.names) > 1 else ""
        return f"watermark: {said}, {self.bits_wrong} of {BITS} bits wrong: delivery/{self.names[0]}{others}"


@dataclass(frozen=True)
class Verified:
    """`name`: under delivery/, where a record has this file. `is_unchanged`: None where there is no record. `beside`:
    the manifest that lies beside the file; "" where none does and no record has one."""

    credentials: Credentials | None
    image: str = ""
    name: str = ""
    is_unchanged: bool | None = None
    beside: Beside = ""
    watermark: FoundMark | None = None

    @property
    def is_sound(self) -> bool:
        signed = self.credentials is None or self.credentials.is_sound
        unchanged = self.is_unchanged is not False and self.beside != "changed"
        return signed and unchanged and bool(self.credentials or self.is_unchanged)

    def __str__(self) -> str:
        if self.credentials is None:
            lines = ["C2PA: none"]
        else:
            problems = f" ({', '.join(self.credentials.problems)})" if self.credentials.problems else ""
            lines = [f"C2PA: {self.credentials.state}{problems}, signed by {self.credentials.signer or 'nobody'}"]
        if self.image:
            lines.append(f"image: {self.image}; `dailies reproduce {self.image[:12]}` makes it again")
        state = {True: "every byte is as it was delivered", False: "CHANGED since it was delivered", None: "none here"}
        where = f"delivery/{self.name}: " if self.name else ""
        lines.append(f"record: {where}{state[self.is_unchanged]}")
        if self.beside:
            told = {"unchanged": "as it was delivered", "changed": "CHANGED", "missing": "delivered, and not here"}
            lines.append(f"manifest beside it ({MANIFEST_ENDING}): {told[self.beside]}")
        if self.watermark is not None:
            lines.append(str(self.watermark))
        return "\n".join(lines)


def verify_file(
    data: bytes, *, file_name: str, ledger: Ledger, store: Store, authority: bytes | None, manifest: bytes | None = None
) -> Verified:
    """By its own manifest, by `manifest`, which lies beside it, and by the record that its bytes, its manifest, its
    name or its watermark lead to. Raises InputError."""
    media_type = MEDIA.get(data[:4], "")
    credentials = _read(data, media_type=media_type, authority=authority, manifest=manifest)
    held = find_embedded_manifest(data)
    beside: Beside = "changed" if manifest is not None and held is not None and manifest != held else ""
    verified = Verified(credentials, str(credentials.image.get("digest", "")) if credentials else "", beside=beside)
    entries = _list_files(ledger, store)
    for is_unchanged, image, file in _find_records(data, file_name, credentials, entries):
        name = file["name"] + MANIFEST_ENDING
        delivered = next((one["sha256"] for one in image["files"] if one["name"] == name), None)
        if delivered is not None and manifest is None:
            beside = "missing"
        elif delivered is not None and manifest is not None:
            beside = "unchanged" if hashlib.sha256(manifest).hexdigest() == delivered else "changed"
        verified = replace(verified, image=image["image"], name=file["name"], is_unchanged=is_unchanged, beside=beside)
        if is_unchanged:
            break
    if (found := _find_mark(data, entries)) is not None:
        mark, images = found
        verified = replace(verified, watermark=mark)
        if not verified.name and len(images) == 1:
            verified = replace(verified, image=images[0], name=mark.names[0], is_unchanged=False)
    if not verified.name and not media_type and verified.watermark is None and credentials is None:
        raise InputError(
            f"{file_name}: it is no delivered file, has no watermark of one, and is no PNG, WebP, TIFF, JPEG XL or "
            "OpenEXR; one of these is read"
        )
    return verified


def _read(data: bytes, *, media_type: str, authority: bytes | None, manifest: bytes | None) -> Credentials | None:
    """What the file's manifest says, and the one beside it; the one that does not hold, if one does not."""
    kept = read_credentials(data, media_type=media_type, authority=authority) if media_type in EMBEDDED else None
    if manifest is None or (kept is not None and not kept.is_sound):
        return kept
    media_type = media_type or "application/octet-stream"
    return read_credentials(data, media_type=media_type, authority=authority, manifest=manifest)


def _list_files(ledger: Ledger, store: Store) -> Entries:
    """Everything that left, manifests beside files left out."""
    indexes = [
        make_index(project, ledger=ledger, store=store)
        for project in sorted({row.project for row in ledger.deliveries()})
    ]
    images = [image for index in indexes for image in index["images"]]
    return [(image, file) for image in images for file in image["files"] if file["role"] != "c2pa"]


def _find_mark(data: bytes, entries: Entries) -> tuple[FoundMark, list[str]] | None:
    """The mark that is nearest to what the picture says, and the images that left with it; None when none is near."""
    marked = [(image["image"], file) for image, file in entries if file.get("watermark")]
    read = find_mark(data) if marked else None
    if read is None:
        return None
    message = read.find_nearest({file["watermark"] for _, file in marked})
    if message is None:
        return None
    alike = [(image, file["name"]) for image, file in marked if file["watermark"] == message]
    names = tuple(name for _, name in alike)
    return FoundMark(message, read_text(message), read.differs_by(message), names), sorted(
        {image for image, _ in alike}
    )


def _find_records(
    data: bytes, file_name: str, credentials: Credentials | None, entries: Entries
) -> Iterator[tuple[bool, dict[str, Any], dict[str, Any]]]:
    """Whether the file is what was delivered, the image's entry in the index, and the file's."""
    sha256 = hashlib.sha256(data).hexdigest()
    approved = credentials.image.get("approved_sha256") if credentials else None
    kind = credentials.image.get("kind", "") if credentials else ""
    for image, file in entries:
        is_unchanged = file.get("sha256") == sha256
        is_same_picture = (image["approved_sha256"], file.get("kind", "")) == (approved, kind)
        if is_unchanged or is_same_picture or file["name"].rsplit("/", 1)[-1] == file_name:
            yield is_unchanged, image, file
