"""What a delivered file is, from which record, and whether a byte of it changed since."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from schemas.errors import InputError
from storage.ledger import Ledger
from storage.objects import Store
from storage.pictures import JXL_HEADER, PNG_HEADER
from storage.provenance import Credentials, read_credentials
from tasks.delivery.index import make_index

MEDIA = {
    PNG_HEADER[:4]: "image/png", b"RIFF": "image/webp", b"II*\0": "image/tiff", b"MM\0*": "image/tiff",
    JXL_HEADER[:4]: "image/jxl",
}  # fmt: skip
"""First four bytes -> media type, of the files that can be signed."""


@dataclass(frozen=True)
class Verified:
    """`name`: under delivery/, where a record has this file. `is_unchanged`: None where there is no record."""

    credentials: Credentials | None
    image: str = ""
    name: str = ""
    is_unchanged: bool | None = None

    @property
    def is_sound(self) -> bool:
        signed = self.credentials is None or self.credentials.is_sound
        return signed and self.is_unchanged is not False and bool(self.credentials or self.is_unchanged)

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
        return "\n".join([*lines, f"record: {where}{state[self.is_unchanged]}"])


def verify_file(data: bytes, *, file_name: str, ledger: Ledger, store: Store, authority: bytes | None) -> Verified:
    """By its own manifest, and by the record that its bytes, its manifest or its name lead to. Raises InputError."""
    media_type = MEDIA.get(data[:4])
    credentials = read_credentials(data, media_type=media_type, authority=authority) if media_type else None
    sha256 = hashlib.sha256(data).hexdigest()
    approved = credentials.image.get("approved_sha256") if credentials else None
    kind = credentials.image.get("kind", "") if credentials else ""
    changed: Verified | None = None
    for project in sorted({row.project for row in ledger.deliveries()}):
        for image in make_index(project, ledger=ledger, store=store)["images"]:
            for file in image["files"]:
                if file.get("sha256") == sha256:
                    return Verified(credentials, image["image"], file["name"], True)
                if (image["approved_sha256"], file.get("kind", "")) == (approved, kind) or file["name"].rsplit("/", 1)[
                    -1
                ] == file_name:
                    changed = Verified(credentials, image["image"], file["name"], False)
    if changed is None and media_type is None:
        raise InputError(
            f"{file_name}: it is no delivered file, and no PNG, WebP, TIFF or JPEG XL; one of these is read"
        )
    return changed or Verified(credentials, str(credentials.image.get("digest", "")) if credentials else "")
