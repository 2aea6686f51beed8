"""What a delivered file is, from which record, and whether a byte of it changed since."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from schemas.errors import InputError
from storage.ledger import Ledger
from storage.objects import Store
from storage.pictures import PNG_HEADER
from storage.provenance import Credentials, read_credentials

MEDIA = {PNG_HEADER[:4]: "image/png", b"RIFF": "image/webp", b"II*\0": "image/tiff", b"MM\0*": "image/tiff"}
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
    if media_type is None and data[4:8] != b"JXL ":
        raise InputError(f"{file_name}: it is no PNG, WebP, TIFF or JPEG XL file; a delivered image is allowed")
    credentials = read_credentials(data, media_type=media_type, authority=authority) if media_type else None
    sha256 = hashlib.sha256(data).hexdigest()
    approved = credentials.image.get("approved_sha256") if credentials else None
    changed: Verified | None = None
    for row in ledger.deliveries():
        body = json.loads(store.get(row.sidecar))
        if (body.get("delivered") or {}).get("sha256", body["sha256"]) == sha256:
            return Verified(credentials, row.image, row.name, True)
        if body["sha256"] == approved or row.name.rsplit("/", 1)[-1] == file_name:
            changed = Verified(credentials, row.image, row.name, False)
    return changed or Verified(credentials, str(credentials.image.get("digest", "")) if credentials else "")
