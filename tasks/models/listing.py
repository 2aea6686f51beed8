"""What is known of the catalogue's entries: one line each, or everything of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model_files import ModelFiles
from schemas.catalogue import Entry
from schemas.errors import ModelError, UnfitWeights
from schemas.names import count_noun
from schemas.weights.examine import examine_weights
from schemas.weights.files import read_header_at
from schemas.weights.fit import find_faults, find_lora_fault

if TYPE_CHECKING:
    from storage.ledger import Ledger

WORN = ("lora", "embedding", "controlnet", "t2i_adapter", "vae", "ip_adapter")
"""Kinds that belong to a checkpoint."""


@dataclass
class Line:
    """`state`: here, gone (the last scan did not find it), missing. `digest`: "" where it was not taken yet."""

    alias: str
    kind: str
    architecture: str
    bytes: int
    state: str
    place: str
    digest: str = ""
    pin: str = ""


def list_models(catalogue: ModelFiles, pins: dict[str, str], *, kind: str | None = None) -> list[Line]:
    """In the catalogue's order."""
    lines = []
    for alias, entry in catalogue.entries.items():
        if kind is not None and entry.kind != kind:
            continue
        path = catalogue.local(alias)
        state = "here" if path else "gone" if entry.gone else "missing"
        digest = (catalogue.known_digest(alias) or "") if path else ""
        architecture = "" if entry.kind in ("upscaler", "image_encoder", "dual_encoder") else entry.architecture
        size = count_bytes(catalogue, alias)
        where = entry.place_text
        lines.append(Line(alias, entry.kind, architecture, size, state, where, digest, pins.get(alias, "")))
    return lines


def count_bytes(catalogue: ModelFiles, alias: str) -> int:
    """Of the files that loading reads; of whatever is there, where it cannot be loaded."""
    try:
        return sum(path.stat().st_size for path in catalogue.hashed(alias))
    except (ModelError, OSError):
        path = catalogue.local(alias)
        return path.stat().st_size if path is not None and path.is_file() else 0


def describe_model(catalogue: ModelFiles, alias: str, ledger: Ledger | None) -> dict[str, Any]:
    """Everything that is known. Raises ModelMissing for an alias that is not in the catalogue."""
    entry, path = catalogue.entry(alias, asker="models show"), catalogue.local(alias)
    said: dict[str, Any] = {"alias": alias, **_fields(entry), "place": str(path or entry.place_text)}
    if path is None:
        said["state"] = "gone" if entry.gone else "missing"
    else:
        said |= _seen(path)
        said["digest"] = catalogue.known_digest(alias) or "not taken yet: `dailies models digest`"
    said["faults"] = find_faults(catalogue, alias)
    if entry.kind in WORN:
        fits = {base: find_lora_fault(catalogue, alias, base) for base in list_bases(catalogue, entry)}
        said["fits"] = [base for base, fault in fits.items() if not fault]
        said["does not fit"] = {base: fault for base, fault in fits.items() if fault}
    elif entry.kind == "checkpoint":
        worn = [other for other in catalogue.entries.values() if alias in list_bases(catalogue, other)]
        said["goes with"] = {kind: [o.alias for o in worn if o.kind == kind] for kind in WORN}
    said["named by"] = list(_named_by(catalogue, alias))
    if ledger is not None:
        said |= _used(ledger, alias)
    return {name: value for name, value in said.items() if value not in ("", [], {}, None, ())}


def list_bases(catalogue: ModelFiles, entry: Entry) -> list[str]:
    """The checkpoints that an entry can belong to."""
    if entry.kind not in WORN:
        return []
    if entry.checkpoints:
        return [alias for alias in entry.checkpoints if alias in catalogue.entries]
    others = catalogue.entries.values()
    return [o.alias for o in others if o.kind == "checkpoint" and o.architecture == entry.architecture and not o.gone]


def _fields(entry: Entry) -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude_defaults=True, exclude={"alias", "path", "hub"}) | {
        "architecture": entry.architecture
    }


def _seen(path: Path) -> dict[str, Any]:
    """What the headers say."""
    try:
        identity = examine_weights(path)
    except UnfitWeights as wrong:
        return {"damaged": str(wrong)}
    body = asdict(identity)
    body |= {"found": body.pop("kind"), "found architecture": body.pop("architecture")}
    body["bytes"] = body.pop("size")
    body["rank"], body["lacks"] = list(identity.rank), list(identity.lacks)
    body["words in the file"] = list(body.pop("trigger_words"))
    if identity.kind not in ("checkpoint", "unet"):
        for name in ("in_channels", "prediction_type", "zero_snr"):
            body.pop(name)
    for name in ("licence", "title", "side", "conditions"):
        body.pop(name)
    if identity.kind != "unknown":
        header = read_header_at(path) if path.is_file() or not (path / "model_index.json").is_file() else None
        if header is not None:
            body["values"] = sum(tensor.count for tensor in header.tensors.values())
            if "dailies.source_sha256" in header.metadata:
                body["converted from"] = header.metadata["dailies.source_sha256"]
    return {name: value for name, value in body.items() if value not in (False, 0)}


def _named_by(catalogue: ModelFiles, alias: str) -> Iterator[str]:
    for other in catalogue.entries.values():
        loras = {name for usual in other.tiers.values() for name in usual.loras}
        if alias in (*other.checkpoints, other.base, other.image_encoder, *loras):
            yield other.alias


def _used(ledger: Ledger, alias: str) -> dict[str, Any]:
    pin, uses = ledger.model_pin(alias), ledger.model_uses(alias)
    said: dict[str, Any] = {}
    if pin is not None:
        said["pin"] = f"{pin.digest} since {pin.pinned_at:%Y-%m-%d}"
    if uses:
        said["last use"] = f"{uses[0].last:%Y-%m-%d %H:%M} UTC, {uses[0].project}"
        said["used by"] = [f"{use.project}: {count_noun(use.images, 'image')} with {use.digest[:12]}" for use in uses]
    if waiting := ledger.model_waiting(alias):
        said["waiting"] = [
            f"{count_noun(count, 'image')} planned with {digest[:12]}" for digest, count in waiting.items()
        ]
    return said
