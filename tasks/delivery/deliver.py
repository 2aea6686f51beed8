"""Approved images leave under the manifest's naming template, each with a sidecar: what it is, and who said yes.

    delivery/Potion_Shop/T_RedPotion_Red01_BC.png
    delivery/Potion_Shop/T_RedPotion_Red01_BC.png.json
    delivery/Potion_Shop/delivery.json, delivery.csv      (in a folder: everything that left)

Bytes first, then the sidecar, then the record, so that a record proves both. What was delivered is never changed: doing
it again does nothing. What a newer order calls otherwise is told, and leaves a second time when asked.
The bytes of an image are compared with its digest before they leave. What is wrong with one image (damaged bytes, a
name that is taken, a licence) is that image's failure and holds up no other. An ending in the template gives way to the
file's own. What a file says of itself follows the manifest (`metadata`), and where the studio signs, it is signed last
(tasks/delivery/signing.py): read back and found sound before it is put anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from schemas.catalogue import Catalogue
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
from schemas.spec import ImageSpec, Tier
from storage.failpoint import failpoint
from storage.ledger import Brief, Ledger
from storage.objects import Store
from tasks.delivery.contents import make_contents
from tasks.delivery.index import write_index
from tasks.delivery.licences import check_licences, find_ancestors, list_licences
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
    problems: tuple[str, ...] = ()
    """What became of no image, such as an index that could not be written."""

    @property
    def exit_code(self) -> int:
        """As the command line's: 2 when only names have to be changed."""
        codes = [2 if isinstance(failure.error, InputError) else 1 for failure in self.failures]
        return max([*codes, int(bool(self.problems))], default=0)

    def __str__(self) -> str:
        count = f"{len(self.names)} delivered, {self.before} had been before"
        if self.failures:
            count += f", {len(self.failures)} could not be"
        lines = [count, *(f"  delivery/{name}" for name in self.names)]
        lines += [f"not delivered: {failure}" for failure in self.failures]
        lines += [f"not done: {problem}" for problem in self.problems]
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
    catalogue: Catalogue | None = None,
) -> Delivered:
    """Delivers what is approved and has not left, into the store and, if given, the folder.

    `template` overrides the manifests', to get out of a collision. `again`: also what left under a name that its newest
    order changed since. `catalogue`: what knows the models' licences. StoreUnavailable when the object store is away;
    what had left by then is recorded, and the rest leaves the next time.
    """
    signing = signing or Signing()
    failures: list[Failure] = []

    # 1. What is to leave, under which names, and whose names are in each other's way
    gone = ledger.deliveries()
    parcels = _pack_all(ledger, gone, failures, project=project, template=template, catalogue=catalogue)
    renamed = [(parcel.formerly, parcel.name) for parcel in parcels if parcel.formerly]
    if not again:
        parcels = [parcel for parcel in parcels if not parcel.formerly]
    clashes = find_collisions(parcels, gone)
    failures += [_failure(parcel, clashes[parcel.image.digest]) for parcel in parcels if parcel.image.digest in clashes]
    parcels = [parcel for parcel in parcels if parcel.image.digest not in clashes]

    # 2. Image by image: bytes, sidecar, record
    names: list[str] = []
    away = 0
    for parcel in parcels:
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

    # 3. What left so far, for whoever takes it from there
    problems = []
    for touched in sorted({parcel.spec.project for parcel in parcels} | {row.project for row in gone}):
        try:
            if project in (None, touched):
                write_index(touched, ledger=ledger, store=store, folder=folder)
        except (LedgerUnavailable, StoreUnavailable):
            raise
        except DailiesError as error:
            problems.append(f"{touched}: {error}")
    before = sum(project is None or row.project == project for row in gone)
    return Delivered(tuple(names), before, tuple(failures), () if again else tuple(renamed), tuple(problems))


def _pack_all(
    ledger: Ledger,
    gone: Sequence[Delivery],
    failures: list[Failure],
    *,
    project: str | None,
    template: str | None,
    catalogue: Catalogue | None,
) -> list[Parcel]:
    """What has not left, and what left under another name than it would have now."""
    left = {row.image: row.name for row in gone}
    since = [] if template else ledger.ordered_since_delivery()
    waiting = ledger.deliverable(project=project, also=since)
    briefs = ledger.briefs([image.digest for image, _, _ in waiting])
    ancestors = find_ancestors(ledger, [spec for _, spec, _ in waiting])
    manifests: dict[str, Manifest] = {}
    parcels = []
    for image, spec, decision in waiting:
        try:
            brief = briefs[image.digest]
            if gives_way(spec, brief):
                continue
            if brief.submission not in manifests:
                manifests[brief.submission] = Manifest.model_validate(brief.manifest_body)
            manifest = manifests[brief.submission]
            formerly = left.get(image.digest, "")
            licences = list_licences(
                spec, ancestors=ancestors[spec.digest], manifest=manifest, files=brief.files, catalogue=catalogue
            )
            parcel = pack_parcel(
                image, spec, decision,
                brief=brief, manifest=manifest, licences=licences, template=template, formerly=formerly,
            )  # fmt: skip
            if parcel.name != formerly:
                parcels.append(parcel)
        except (DailiesError, KeyError, ValidationError) as error:
            wrong = error if isinstance(error, DailiesError) else InputError(f"its manifest is not valid: {error}")
            failures.append(Failure(spec.project, spec.asset, spec.variant, image.digest, wrong))
    return parcels


def gives_way(spec: ImageSpec, brief: Brief) -> bool:
    """A draft of which each gets a final, which is what will leave."""
    promotion = brief.manifest_body.get("promotion") or {}
    return spec.tier is Tier.DRAFT and promotion.get("when") == "always"


def _send(parcel: Parcel, ledger: Ledger, store: Store, folder: Path | None, signing: Signing) -> None:
    # 1. The bytes that were approved, and no others
    check_licences(parcel.licences, parcel.manifest)
    image = parcel.image
    data = store.get(image.object_key)
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise ObjectDamaged(f"{image.object_key}: its bytes are not those that were kept and approved")

    # 2. Everything that leaves, before the first of it does; no name under which somebody else's file lies
    def find_earlier(name: str) -> list[bytes]:
        key = f"delivery/{name}"
        there = [store.get(key)] if store.exists(key) else []
        if folder is not None and (read := read_file(folder, name)) is not None:
            there.append(read)
        return there

    files = make_contents(parcel, data, store=store, signing=signing, earlier=find_earlier)
    for there in find_earlier(parcel.sidecar_name):
        if not is_own_sidecar(there, parcel):
            raise NameCollision(f"its sidecar would be {parcel.sidecar_name}, where another file lies already")
    text = make_sidecar(parcel, files)
    # 3. Bytes, then the sidecar that names them; the object store first
    for file in files:
        store.put_once(f"delivery/{file.name}", file.data, media_type=file.media_type)
        failpoint("deliver.after_bytes")
    sidecar_key = _put_sidecar(store, text, parcel)
    failpoint("deliver.after_sidecar")
    if folder is not None:
        for file in files:
            if file.role == "engine" and read_file(folder, file.name) is not None:
                continue  # ours, or what the engine made of it
            write_file(folder, file.name, file.data)
        write_file(folder, parcel.sidecar_name, text)
        failpoint("deliver.after_folder")
    # 4. The record last
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
