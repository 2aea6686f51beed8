"""The files that leave for one approved image: the picture, its maps, the C2PA manifests of those that cannot hold one,
and what an engine imports them with.

Everything here is computed before the first file is written. Only a signature differs from run to run, so what an
earlier run signed stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from schemas.errors import NameCollision, ProvenanceError
from storage.objects import Store
from storage.provenance import BESIDE, EMBEDDED, MANIFEST_ENDING, MANIFEST_TYPE, SIGNED, find_embedded_manifest
from tasks.delivery.engine_files import is_rewritten, make_engine_files
from tasks.delivery.out_files import OutFile, make_maps, make_picture
from tasks.delivery.parcel import Parcel
from tasks.delivery.signing import Signing, describe_credentials

Earlier = Callable[[str], list[bytes]]
"""Name under delivery/ -> the different bytes that lie there: in the store, in the folder."""


def make_contents(
    parcel: Parcel, approved: bytes, *, store: Store, signing: Signing, earlier: Earlier
) -> list[OutFile]:
    """`approved`: the image's bytes, as they were kept. The picture is first. Raises NameCollision where somebody
    else's file lies under one of the names, ProvenanceError where something must be signed and cannot be."""
    picture = make_picture(parcel, approved)
    if picture is None:
        picture = OutFile(parcel.name, "picture", signing.label(approved, parcel), parcel.image.media_type)
    files, manifests = [], []
    for file in (picture, *make_maps(parcel, approved, store)):
        settled, *beside = _settle(file, parcel, store=store, signing=signing, earlier=earlier)
        files.append(settled)
        manifests += beside
    files[0] = replace(files[0], credentials=describe_credentials(parcel, files[0], store))
    engine = list(make_engine_files(parcel, files))
    for file in engine:
        if any(data != file.data and not is_rewritten(file.name, file.data, data) for data in earlier(file.name)):
            raise NameCollision(f"its import settings would be {file.name}, where another file lies already")
    return [*files, *manifests, *engine]


def _settle(file: OutFile, parcel: Parcel, *, store: Store, signing: Signing, earlier: Earlier) -> list[OutFile]:
    """The file, signed where it can be, and its manifest where that lies beside it. What an earlier run of our own left
    is taken as it is."""
    is_signed = signing.signer is not None and file.media_type in SIGNED
    if signing.is_required and not is_signed:
        why = "there is no certificate; run `dailies provenance init`"
        why = why if signing.signer is None else f"{file.media_type} cannot be signed; expected {', '.join(SIGNED)}"
        raise ProvenanceError(f"{file.name}: signing is required, and {why}")

    # 1. The file, if it is there already
    holds_manifest = is_signed and file.media_type in EMBEDDED
    before = earlier(file.name)
    for data in before:
        own = signing.is_own(data, file, parcel) if holds_manifest else data == file.data
        if not own:
            raise NameCollision(f"it would be {file.name}, where another file lies already")
        file = replace(file, data=data)
    if not is_signed:
        return [file]

    # 2. Its manifest, if that is there already: a run may have been cut off between the two
    name = file.name + MANIFEST_ENDING
    manifest = find_embedded_manifest(file.data) if before and holds_manifest else None
    for data in earlier(name) if file.media_type in BESIDE else ():
        own = data == manifest if holds_manifest else signing.is_own(file.data, file, parcel, manifest=data)
        if not own:
            raise NameCollision(f"its manifest would be {name}, where another file lies already")
        manifest = data

    # 3. Signed, unless it was
    data, was_signed = file.data, bool(before) if holds_manifest else manifest is not None
    if not was_signed:
        data, manifest = signing.sign(file, parcel, store)
    file = replace(file, data=data, is_signed=True)
    if file.media_type not in BESIDE or manifest is None:
        return [file]
    return [file, OutFile(name, "c2pa", manifest, MANIFEST_TYPE, file.kind, is_signed=True)]
