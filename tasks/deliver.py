"""Approved images leave under the manifest's naming template, each with a sidecar: what it is, and who said yes.

    delivery/Potion_Shop/T_RedPotion_Red01_BC.png
    delivery/Potion_Shop/T_RedPotion_Red01_BC.png.json

Bytes first, then the sidecar, then the record, so that a record proves both. What was delivered is never changed: doing
it again does nothing. What a newer order calls otherwise is told, and leaves a second time when asked. A name that is
taken, in whatever capitals, is a NameCollision before the first file.
The image's own bytes leave, with everything in them that storage/pictures.py put there; nothing is re-encoded, so an
ending in the template gives way to the file's own. There is no C2PA signature (c2pa-python is not among the pinned
packages).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.errors import InputError, NameCollision, ObjectConflict, StoreUnavailable
from schemas.fields import delivery_name
from schemas.manifest import Manifest, TextureVariants
from schemas.records import Decision, Delivery, Image
from schemas.settings import Limits
from schemas.spec import ImageSpec, Tier
from storage.failpoint import failpoint
from storage.ledger import Brief, Ledger
from storage.maps import METHOD, SUFFIX, MapKind, derived
from storage.objects import Store
from storage.pictures import decode

ENDINGS = {"image/png": "png", "image/webp": "webp", "image/jxl": "jxl"}

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names that mean a device on Windows, with whatever ending."""
LONGEST = 120
"""Letters of one folder or file name, the ending included."""


@dataclass(frozen=True)
class Delivered:
    """What left just now (paths under delivery/), how many approved images had left before, and the old and new names
    of those that a newer order calls otherwise since."""

    names: tuple[str, ...]
    before: int
    renamed: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        lines = [f"{len(self.names)} delivered, {self.before} had been before"]
        lines += [f"  delivery/{name}" for name in self.names]
        if self.renamed:
            lines.append(f"{len(self.renamed)} have another name since; `dailies deliver --again` delivers them anew:")
            lines += [f"  delivery/{old} is delivery/{new} now" for old, new in self.renamed]
        return "\n".join(lines)


@dataclass(frozen=True)
class Parcel:
    """An approved image on its way out."""

    image: Image
    spec: ImageSpec
    decision: Decision
    brief: Brief
    name: str
    maps: tuple[MapKind, ...] = ()
    formerly: str = ""
    """The name under which it left before."""

    @property
    def map_names(self) -> dict[MapKind, str]:
        """T_Brick_BC.png -> T_Brick_N.png; where the name has no BC the map's letters are put behind it."""
        stem = self.name.rpartition(".")[0].removesuffix("_BC")
        return {kind: f"{stem}_{SUFFIX[kind]}.png" for kind in self.maps}


def deliver(
    ledger: Ledger,
    store: Store,
    *,
    project: str | None = None,
    folder: Path | None = None,
    template: str | None = None,
    again: bool = False,
) -> Delivered:
    """Delivers what is approved and has not left, into the store and, if given, the folder.

    `template` overrides the manifests', to get out of a collision. `again`: also what left under a name that its newest
    order changed since. Raises NameCollision before anything is written.
    """
    # 1. What is to leave, and under which names
    gone = ledger.deliveries()
    left = {row.image: row.name for row in gone}
    since = [] if template else ledger.ordered_since_delivery()
    waiting = ledger.deliverable(project=project, also=since)
    briefs = ledger.briefs([image.digest for image, _, _ in waiting])
    manifests: dict[str, Manifest] = {}
    parcels = []
    renamed = []
    for image, spec, decision in waiting:
        brief = briefs[image.digest]
        if spec.tier is Tier.DRAFT and (brief.manifest_body.get("promotion") or {}).get("when") == "always":
            continue  # its final is what will leave
        manifest = manifests.setdefault(brief.submission, Manifest.model_validate(brief.manifest_body))
        formerly = left.get(image.digest, "")
        name = named(spec, image, manifest, template=template)
        if formerly and name != formerly:
            renamed.append((formerly, name))
        if formerly and (name == formerly or not again):
            continue
        parcels.append(Parcel(image, spec, decision, brief, name, maps_of(manifest, spec), formerly))

    # 2. No name twice, in this delivery or with what is already there
    _refuse_collisions(parcels, gone)
    for parcel in parcels:
        _refuse_strangers(parcel, store, folder)

    # 3. Bytes, sidecar, record
    for parcel in parcels:
        data = store.get(parcel.image.object_key)
        key = f"delivery/{parcel.name}"
        store.put_once(key, data, media_type=parcel.image.media_type)
        failpoint("deliver.after_bytes")
        maps = derived_maps(parcel, data) if parcel.maps else {}
        for map_name, picture in maps.items():
            store.put_once(f"delivery/{map_name}", picture, media_type="image/png")
        text = sidecar(parcel, manifests[parcel.brief.submission])
        sidecar_key = _put_sidecar(store, key, text, parcel)
        failpoint("deliver.after_sidecar")
        if folder is not None:
            _write(folder / parcel.name, data)
            for map_name, picture in maps.items():
                _write(folder / map_name, picture)
            _write(folder / f"{parcel.name}.json", text)
            failpoint("deliver.after_folder")
        ledger.deliver(
            Delivery(
                image=parcel.image.digest,
                project=parcel.spec.project,
                name=parcel.name,
                sidecar=sidecar_key,
                decision=parcel.decision.id,
                delivered_at=datetime.now(UTC),
            ),
            again=bool(parcel.formerly),
        )
        failpoint("deliver.after_record")
    before = sum(project is None or row.project == project for row in gone)
    return Delivered(tuple(parcel.name for parcel in parcels), before, () if again else tuple(renamed))


def maps_of(manifest: Manifest, spec: ImageSpec) -> tuple[MapKind, ...]:
    asset = manifest.asset(spec.asset)
    return asset.maps if isinstance(asset, TextureVariants) else ()


def derived_maps(parcel: Parcel, data: bytes) -> dict[str, bytes]:
    """Name -> PNG. From the delivered bytes, so that it is the approved image that they belong to."""
    pixels = decode(data, limits=Limits(source_bytes=len(data), source_pixels=parcel.image.width * parcel.image.height))
    names, spec = parcel.map_names, parcel.spec
    return {names[kind]: derived(pixels, kind, seamless=spec.seamless, digest=spec.digest) for kind in parcel.maps}


def named(spec: ImageSpec, image: Image, manifest: Manifest, *, template: str | None = None) -> str:
    """The path under delivery/, each part of it a name that Windows, S3 and game engines take."""
    pattern = template or manifest.delivery_name_of(manifest.asset(spec.asset))
    path, _, _ = delivery_name(pattern, spec).rpartition(".")
    ending = ENDINGS.get(image.media_type)
    if ending is None:
        raise InputError(f"{spec.asset} {spec.variant}: came {image.media_type}; allowed are {', '.join(ENDINGS)}")
    *folders, stem = [safe(part) for part in path.split("/") if part]
    return "/".join([safe(spec.project), *folders, f"{stem}.{ending}"])


def safe(part: str) -> str:
    """One folder or file name without spaces, points at its ends or signs; never a Windows device, never empty."""
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", part)).strip(".")[: LONGEST - len(".webp.json")]
    plain = plain.rstrip(".")
    return f"_{plain}" if not plain or RESERVED.fullmatch(plain) else plain


def sidecar(parcel: Parcel, manifest: Manifest) -> bytes:
    """What is known of the image, as JSON. No time of delivery in it, so that writing it again writes the same."""
    image, spec, decision = parcel.image, parcel.spec, parcel.decision
    body: dict[str, Any] = {
        "name": parcel.name,
        "digest": image.digest,
        "sha256": image.sha256,
        "project": spec.project,
        "asset": spec.asset,
        "variant": spec.variant,
        "tier": spec.tier.value,
        "seed": spec.seed,
        "width": image.width,
        "height": image.height,
        "prompt": spec.prompt,
        "negative_prompt": spec.negative_prompt,
        "models": image.models,
        "parent": spec.parent,
        "take": spec.take,
        "decision": {
            "verdict": decision.verdict,
            "reviewer": decision.reviewer,
            "decided_at": decision.decided_at.astimezone(UTC).isoformat(),
            "marks": decision.marks,
            "note": decision.note,
            "revision": decision.revision,
        },
        "licence": manifest.delivery.licence,
        **({"formerly": parcel.formerly} if parcel.formerly else {}),
        "manifest": {"digest": parcel.brief.submission, "name": parcel.brief.name, "by": parcel.brief.submitted_by},
        "made": {
            "at": image.made_at.astimezone(UTC).isoformat(),
            "device": image.device,
            "dtype": image.dtype,
            "versions": image.versions,
        },
        "maps": [
            {"name": name, "kind": kind, "derived": True, "method": METHOD[kind]}
            for kind, name in parcel.map_names.items()
        ],
        "digital_source_type": "trainedAlgorithmicMedia",
        "spec": spec.model_dump(mode="json", exclude_defaults=True) | {"engine_version": spec.engine_version},
    }
    return (json.dumps(body, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _refuse_collisions(parcels: Iterable[Parcel], gone: Iterable[Delivery]) -> None:
    """Capitals do not tell names apart: on Windows, macOS and in Unreal they are one."""
    taken = {row.name.casefold(): f"{row.name}, delivered as image {row.image[:12]}" for row in gone}
    wrong = []
    for parcel in parcels:
        own = f"{parcel.spec.asset} {parcel.spec.variant} take {parcel.spec.take} (image {parcel.image.digest[:12]})"
        for name in (parcel.name, *parcel.map_names.values()):
            holder = taken.setdefault(name.casefold(), own)
            if holder is not own:
                wrong.append(f"{own} and {holder} would both be {name}")
    if wrong:
        allowed = "a template that tells them apart, with {take}, {seed} or {digest} for instance"
        raise NameCollision("\n".join([*wrong, f"nothing was delivered; allowed is {allowed}"]))


def _refuse_strangers(parcel: Parcel, store: Store, folder: Path | None) -> None:
    """Other bytes under the name, without a record: not ours to replace. Our own, from a run that was cut off, are."""
    key = f"delivery/{parcel.name}"
    there = [store.get(key)] if store.exists(key) else []
    if folder is not None and (folder / parcel.name).exists():
        there.append((folder / parcel.name).read_bytes())
    if there:
        data = store.get(parcel.image.object_key)
        if any(found != data for found in there):
            own = f"{parcel.spec.asset} {parcel.spec.variant} (image {parcel.image.digest[:12]})"
            raise NameCollision(f"{own} would be {parcel.name}, where another file lies already; nothing was delivered")


def _put_sidecar(store: Store, key: str, text: bytes, parcel: Parcel) -> str:
    """A run that was cut off may have left a sidecar with an approval that was taken back since; that one stays."""
    try:
        store.put_once(f"{key}.json", text, media_type="application/json")
        return f"{key}.json"
    except ObjectConflict:
        again = f"{key}.{parcel.decision.id}.json"
        store.put_once(again, text, media_type="application/json")
        return again


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; the same bytes again change nothing."""
    try:
        if path.is_file() and path.read_bytes() == data:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        unborn = path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.part")
        try:
            with unborn.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unborn, path)
        finally:
            unborn.unlink(missing_ok=True)
    except OSError as wrong:
        raise StoreUnavailable(f"{path}: {wrong.strerror or type(wrong).__name__}") from wrong
