"""The files that leave for one approved image: the picture, its maps, and what an engine imports them with.

Everything here is computed before the first file is written. Only a signature differs from run to run, so what an
earlier run signed stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from schemas.errors import NameCollision, ProvenanceError
from storage.objects import Store
from storage.provenance import SIGNED
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
    files = [picture, *make_maps(parcel, approved, store)]
    files = [_settle(file, parcel, store=store, signing=signing, earlier=earlier(file.name)) for file in files]
    files[0] = replace(files[0], credentials=describe_credentials(parcel, files[0], store))
    beside = list(make_engine_files(parcel, files))
    for file in beside:
        if any(data != file.data and not is_rewritten(file.name, file.data, data) for data in earlier(file.name)):
            raise NameCollision(f"its import settings would be {file.name}, where another file lies already")
    return [*files, *beside]


def _settle(file: OutFile, parcel: Parcel, *, store: Store, signing: Signing, earlier: Iterable[bytes]) -> OutFile:
    """Signed where it can be; what an earlier run of our own left is taken as it is."""
    is_signed = signing.signer is not None and file.media_type in SIGNED
    if signing.is_required and not is_signed:
        why = "there is no certificate; run `dailies provenance init`"
        why = why if signing.signer is None else f"{file.media_type} cannot be signed; expected {', '.join(SIGNED)}"
        raise ProvenanceError(f"{file.name}: signing is required, and {why}")
    for data in earlier:
        own = signing.is_own(data, file, parcel) if is_signed else data == file.data
        if not own:
            raise NameCollision(f"it would be {file.name}, where another file lies already")
        file = replace(file, data=data, is_signed=is_signed)
    if not is_signed or file.is_signed:
        return file
    return replace(file, data=signing.sign(file, parcel, store), is_signed=True)
