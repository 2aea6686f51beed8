"""Approved images leave under the manifest's naming template, each with a sidecar: what it is, and who said yes.

    delivery/Potion_Shop/T_RedPotion_Red01_BC.png
    delivery/Potion_Shop/T_RedPotion_Red01_BC.png.json

Bytes first, then the sidecar, then the record, so that a record proves both. What was delivered is never changed: doing
it again does nothing. What a newer order calls otherwise is told, and leaves a second time when asked.
The bytes of an image are compared with its digest before they leave. What is wrong with one image (damaged bytes, a
name that is taken) is that image's failure and holds up no other; names are compared before the first file is written.
The image's own bytes leave, with everything in them that storage/pictures.py put there; nothing is re-encoded, so an
ending in the template gives way to the file's own. What a file says of itself follows the manifest (`metadata`), and
where the studio signs, it is signed last (tasks/delivery/signing.py): read back and verified before it is put anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from schemas.errors import (
    DailiesError,
    InputError,
    LedgerUnavailable,
    NameCollision,
    ObjectConflict,
    ObjectDamaged,
    StoreUnavailable,
)
from schemas.manifest import Manifest
from schemas.records import Delivery
from schemas.settings import Limits
from schemas.spec import Tier
from storage.failpoint import failpoint
from storage.ledger import Ledger
from storage.objects import Store
from storage.pictures import decode
from tasks.delivery.derived_maps import derive_maps
from tasks.delivery.parcel import Parcel, find_collisions, pack_parcel
from tasks.delivery.sidecar import is_own_sidecar, make_sidecar
from tasks.delivery.signing import Signing
from tasks.delivery.target import read_file, write_file

AWAY = 3
"""Images in a row for which the object store was unavailable, after which a delivery gives up."""


@dataclass(frozen=True)
class Failure:
    """An approved image that did not leave."""

    project: str
    asset: str
    variant: str
    digest: str
    error: DailiesError

    def __str__(self) -> str:
        return f"{self.project} / {self.asset} {self.variant} (image {self.digest[:12]}): {self.error}"


@dataclass(frozen=True)
class Delivered:
    """What left just now (paths under delivery/), how many approved images had left before, what did not leave, and the
    old and new names of those that a newer order calls otherwise since."""

    names: tuple[str, ...]
    before: int
    failures: tuple[Failure, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()

    @property
    def exit_code(self) -> int:
        """As the command line's: 2 when only names have to be changed."""
        return max((2 if isinstance(f.error, InputError) else 1 for f in self.failures), default=0)

    def __str__(self) -> str:
        count = f"{len(self.names)} delivered, {self.before} had been before"
        if self.failures:
            count += f", {len(self.failures)} could not be"
        lines = [count, *(f"  delivery/{name}" for name in self.names)]
        lines += [f"not delivered: {failure}" for failure in self.failures]
        if self.renamed:
            lines.append(f"{len(self.renamed)} have another name since; `dailies deliver --again` delivers them anew:")
            lines += [f"  delivery/{old} is delivery/{new} now" for old, new in self.renamed]
        return "\n".join(lines)


def deliver(
    ledger: Ledger,
    store: Store,
    *,
    project: str | None = None,
    folder: Path | None = None,
    template: str | None = None,
    again: bool = False,
    signing: Signing | None = None,
) -> Delivered:
    """Delivers what is approved and has not left, into the store and, if given, the folder.

    `template` overrides the manifests', to get out of a collision. `again`: also what left under a name that its newest
    order changed since. StoreUnavailable when the object store is away; what
    had left by then is recorded, and the rest leaves the next time.
    """
    signing = signing or Signing()
    failures: list[Failure] = []

    # 1. What is to leave, under which names, and whose names are in each other's way
    gone = ledger.deliveries()
    parcels = _pack_all(ledger, gone, failures, project=project, template=template)
    renamed = [(parcel.formerly, parcel.name) for parcel in parcels if parcel.formerly]
    if not again:
        parcels = [parcel for parcel in parcels if not parcel.formerly]
    clashes = find_collisions(parcels, gone)
    failures += [_failure(parcel, clashes[parcel.image.digest]) for parcel in parcels if parcel.image.digest in clashes]
    parcels = [parcel for parcel in parcels if parcel.image.digest not in clashes]

    # 2. No name under which somebody else's file lies
    free = []
    for parcel in parcels:
        try:
            _refuse_strangers(parcel, store, folder, signing)
            free.append(parcel)
        except NameCollision as taken:
            failures.append(_failure(parcel, taken))

    # 3. Image by image: bytes, sidecar, record
    names: list[str] = []
    away = 0
    for parcel in free:
        try:
            _send(parcel, ledger, store, folder, signing)
            names.append(parcel.name)
            away = 0
        except LedgerUnavailable:
            raise
        except DailiesError as error:
            away = away + 1 if isinstance(error, StoreUnavailable) else 0
            if away == AWAY:
                raise
            failures.append(_failure(parcel, error))
    before = sum(project is None or row.project == project for row in gone)
    return Delivered(tuple(names), before, tuple(failures), () if again else tuple(renamed))


def _pack_all(
    ledger: Ledger, gone: Sequence[Delivery], failures: list[Failure], *, project: str | None, template: str | None
) -> list[Parcel]:
    """What has not left, and what left under another name than it would have now."""
    left = {row.image: row.name for row in gone}
    since = [] if template else ledger.ordered_since_delivery()
    waiting = ledger.deliverable(project=project, also=since)
    briefs = ledger.briefs([image.digest for image, _, _ in waiting])
    manifests: dict[str, Manifest] = {}
    parcels = []
    for image, spec, decision in waiting:
        try:
            brief = briefs[image.digest]
            if spec.tier is Tier.DRAFT and (brief.manifest_body.get("promotion") or {}).get("when") == "always":
                continue  # its final is what will leave
            if brief.submission not in manifests:
                manifests[brief.submission] = Manifest.model_validate(brief.manifest_body)
            manifest = manifests[brief.submission]
            formerly = left.get(image.digest, "")
            parcel = pack_parcel(
                image, spec, decision, brief=brief, manifest=manifest, template=template, formerly=formerly
            )
            if parcel.name != formerly:
                parcels.append(parcel)
        except (DailiesError, KeyError, ValidationError) as error:
            wrong = error if isinstance(error, DailiesError) else InputError(f"its manifest is not valid: {error}")
            failures.append(Failure(spec.project, spec.asset, spec.variant, image.digest, wrong))
    return parcels


def _send(parcel: Parcel, ledger: Ledger, store: Store, folder: Path | None, signing: Signing) -> None:
    # 1. The bytes that were approved, and no others
    image = parcel.image
    data = store.get(image.object_key)
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise ObjectDamaged(f"{image.object_key}: its bytes are not those that were kept and approved")
    # 2. Everything that leaves, before the first of it does
    maps = _put_maps(parcel, data) if parcel.maps else {}
    data = _earlier(parcel, store, folder) or signing.finished(data, parcel, store)
    text = make_sidecar(parcel, delivered=hashlib.sha256(data).hexdigest(), signed=signing.signer is not None)
    if folder is not None:
        for map_name, picture in maps.items():
            if read_file(folder, map_name) not in (None, picture):
                raise NameCollision(f"its map would be {map_name}, where another file lies already")
    store.put_once(f"delivery/{parcel.name}", data, media_type=image.media_type)
    failpoint("deliver.after_bytes")
    for map_name, picture in maps.items():
        store.put_once(f"delivery/{map_name}", picture, media_type="image/png")
    sidecar_key = _put_sidecar(store, text, parcel)
    failpoint("deliver.after_sidecar")
    if folder is not None:
        write_file(folder, parcel.name, data)
        for map_name, picture in maps.items():
            write_file(folder, map_name, picture)
        write_file(folder, parcel.sidecar_name, text)
        failpoint("deliver.after_folder")
    # 3. The record last
    ledger.deliver(
        Delivery(
            image=image.digest,
            project=parcel.spec.project,
            name=parcel.name,
            sidecar=sidecar_key,
            decision=parcel.decision.id,
            delivered_at=datetime.now(UTC),
        ),
        again=bool(parcel.formerly),
    )
    failpoint("deliver.after_record")


def _put_maps(parcel: Parcel, data: bytes) -> dict[str, bytes]:
    """Name -> PNG. From the delivered bytes, so that it is the approved image that they belong to."""
    pixels = decode(data, limits=Limits(source_bytes=len(data), source_pixels=parcel.image.width * parcel.image.height))
    names, spec = parcel.map_names, parcel.spec
    return {names[kind]: derive_maps(pixels, kind, seamless=spec.seamless, digest=spec.digest) for kind in parcel.maps}


def _earlier(parcel: Parcel, store: Store, folder: Path | None) -> bytes | None:
    """What a run that was cut off put under its name: a signature is never the same twice, so that one leaves."""
    key = f"delivery/{parcel.name}"
    if store.exists(key):
        return store.get(key)
    return read_file(folder, parcel.name) if folder is not None else None


def _refuse_strangers(parcel: Parcel, store: Store, folder: Path | None, signing: Signing) -> None:
    """Other bytes under one of its names, without a record: not ours to replace. Our own, from a run that was cut off,
    are. Maps are compared when they have been computed."""
    for name in (parcel.name, parcel.sidecar_name):
        key = f"delivery/{name}"
        there = [store.get(key)] if store.exists(key) else []
        if folder is not None and (data := read_file(folder, name)) is not None:
            there.append(data)
        for data in there:
            own = signing.is_own(data, parcel, store) if name == parcel.name else is_own_sidecar(data, parcel)
            if not own:
                raise NameCollision(f"it would be {name}, where another file lies already")


def _put_sidecar(store: Store, text: bytes, parcel: Parcel) -> str:
    """A run that was cut off may have left a sidecar with an approval that was taken back since; that one stays."""
    key = f"delivery/{parcel.sidecar_name}"
    try:
        store.put_once(key, text, media_type="application/json")
        return key
    except ObjectConflict:
        again = f"delivery/{parcel.name}.{parcel.decision.id}.json"
        store.put_once(again, text, media_type="application/json")
        return again


def _failure(parcel: Parcel, error: DailiesError) -> Failure:
    spec = parcel.spec
    return Failure(spec.project, spec.asset, spec.variant, parcel.image.digest, error)
