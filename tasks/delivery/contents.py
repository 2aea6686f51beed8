"""The files that leave for one approved image: the picture, its maps, what engines read, and the JSON that names them.

Everything here is computed before the first file is written. The picture's own bytes are those that were approved,
with the text that the manifest allows; only a signature differs from run to run, so what an earlier run signed stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from schemas.errors import NameCollision, ProvenanceError
from schemas.settings import Limits
from storage.objects import Store
from storage.pictures import decode
from storage.provenance import SIGNED
from tasks.delivery.derived_maps import derive_maps
from tasks.delivery.parcel import Parcel
from tasks.delivery.signing import Signing

Role = Literal["picture", "map", "sidecar"]
Earlier = Callable[[str], list[bytes]]
"""Name under delivery/ -> the different bytes that lie there: in the store, in the folder."""


@dataclass(frozen=True)
class OutFile:
    """`kind`: of a map, which one."""

    name: str
    role: Role
    data: bytes
    media_type: str
    kind: str = ""
    is_signed: bool = False

    def dump(self) -> dict[str, Any]:
        said = {"name": self.name, "role": self.role, "sha256": hashlib.sha256(self.data).hexdigest()}
        said |= {"kind": self.kind} if self.kind else {}
        return said | {"bytes": len(self.data), "media_type": self.media_type, "signed": self.is_signed}


def make_contents(
    parcel: Parcel, approved: bytes, *, store: Store, signing: Signing, earlier: Earlier
) -> list[OutFile]:
    """`approved`: the image's bytes, as they were kept. Raises NameCollision where somebody else's file lies under one
    of the names, ProvenanceError where something must be signed and cannot be."""
    files = [OutFile(parcel.name, "picture", signing.label(approved, parcel), parcel.image.media_type)]
    files += _make_maps(parcel, approved)
    return [_settle(file, parcel, store=store, signing=signing, earlier=earlier(file.name)) for file in files]


def _settle(file: OutFile, parcel: Parcel, *, store: Store, signing: Signing, earlier: Iterable[bytes]) -> OutFile:
    """Signed where it can be; what an earlier run of our own left is taken as it is."""
    is_signed = signing.signer is not None and file.media_type in SIGNED
    if signing.is_required and not is_signed:
        why = "there is no certificate; run `dailies provenance init`"
        why = why if signing.signer is None else f"{file.media_type} cannot be signed; allowed are {', '.join(SIGNED)}"
        raise ProvenanceError(f"signing is required, and {why}")
    for data in earlier:
        own = signing.is_own(data, file.media_type, parcel, kind=file.kind) if is_signed else data == file.data
        if not own:
            raise NameCollision(f"it would be {file.name}, where another file lies already")
        file = replace(file, data=data, is_signed=is_signed)
    if not is_signed or file.is_signed:
        return file
    return replace(file, data=signing.sign(file.data, file.media_type, parcel, store, kind=file.kind), is_signed=True)


def _make_maps(parcel: Parcel, approved: bytes) -> list[OutFile]:
    """PNGs, derived from the approved picture."""
    if not parcel.maps:
        return []
    limits = Limits(source_bytes=len(approved), source_pixels=parcel.image.width * parcel.image.height)
    pixels, spec, names = decode(approved, limits=limits), parcel.spec, parcel.map_names
    return [
        OutFile(
            names[kind],
            "map",
            derive_maps(pixels, kind, seamless=spec.seamless, digest=spec.digest),
            "image/png",
            kind=kind,
        )
        for kind in parcel.maps
    ]
