"""A folder of models -> entries of the catalogue. Headers and the files beside them are read, no tensor.

A file's alias stays as long as its entry does, and goes with a file that was moved. What a person edited stays; what
the file says otherwise by now is told. An entry whose file is gone is marked; one that a person took out stays out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.catalogue import Catalogue
from schemas.errors import UnfitWeights
from schemas.weights.entries import entry_fields, make_alias
from schemas.weights.examine import examine_weights
from schemas.weights.files import list_weight_files, read_header_at
from schemas.weights.fit import encoder_fault
from schemas.weights.folders import Place, find_models
from schemas.weights.header import Header
from schemas.weights.identity import Identity
from tasks.models.catalogue_file import CatalogueFile

SAMPLES, SAMPLE = 8, 1024
"""Places in a file, and bytes at each, by which two finetunes with the same keys are told apart."""


@dataclass
class Found:
    """One file or folder that a scan saw. `alias` is empty where it cannot be used, and `refusal` says why."""

    place: Place
    identity: Identity
    alias: str = ""
    refusal: str = ""
    state: str = ""
    """new, known, changed, moved, returned, left out, unusable"""
    remarks: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        identity = self.identity
        body = {
            "path": str(self.place.path), "state": self.state, "alias": self.alias, "kind": identity.kind,
            "architecture": identity.architecture, "layout": identity.layout, "dtype": identity.dtype,
            "bytes": identity.size, "prediction_type": identity.prediction_type, "zero_snr": identity.zero_snr,
            "in_channels": identity.in_channels, "rank": list(identity.rank), "title": identity.title,
            "trigger_words": list(identity.trigger_words), "licence": identity.licence, "refusal": self.refusal,
            "remarks": [*identity.notes, *self.remarks],
        }  # fmt: skip
        return {name: value for name, value in body.items() if value not in ("", [], False, 0)}


@dataclass
class Scan:
    """`gone`: aliases whose files were there once. `file`: the catalogue with the changes, not yet written."""

    file: CatalogueFile
    found: list[Found]
    gone: list[str] = field(default_factory=list)

    def in_state(self, *states: str) -> list[Found]:
        return [each for each in self.found if each.state in states]


def scan(folder: Path, file: CatalogueFile, *, restore: bool = False) -> Scan:
    """Looks at every model below a folder, and changes `file` in memory. Raises InputError, SettingsError.

    `restore`: what a person took out of the catalogue is added again.
    """
    catalogue = file.catalogue()
    by_place = {_key(catalogue.place(e.path)): a for a, e in catalogue.entries.items() if e.path is not None}
    by_place |= {f"hub:{e.hub}": a for a, e in catalogue.entries.items() if e.hub is not None}
    result = Scan(file, [])
    for place in find_models(folder):
        found = Found(place, _identify(place))
        result.found.append(found)
        if found.identity.kind in _NOT_LISTED and not found.identity.refusal:
            found.refusal = _NOT_LISTED[found.identity.kind]
        elif found.identity.refusal:
            found.refusal = found.identity.refusal
        key = _place_key(place)
        known = by_place.get(key) or next((by_place[k] for other in place.also if (k := _key(other)) in by_place), "")
        if known:
            found.alias, found.state = known, "known"
            if file.entries[known].get("gone"):
                file.change(known, "gone", None)
                found.state = "returned"
            if not found.refusal:
                _renew(found, file, key)
        elif found.refusal:
            found.state = "unusable"
        elif key in file.scanned and not restore:
            found.state = "left out"
        else:
            _add(found, file, key)
    _join_encoders(result)
    _mark_gone(result, folder, catalogue.entries)
    return result


_NOT_LISTED = {
    "text_encoder": "a text encoder alone; checkpoints bring their own",
    "unknown": "its keys are of no kind that is known",
}


def _identify(place: Place) -> Identity:
    try:
        return examine_weights(place.path)
    except (UnfitWeights, OSError) as wrong:
        return Identity("unknown", refusal=str(wrong).removeprefix(f"{place.path}: "))


def _add(found: Found, file: CatalogueFile, key: str) -> None:
    """A new entry; or the place of a file that was moved, under its old alias."""
    place, fields = found.place, entry_fields(found.identity, found.place)
    where = {"hub": place.hub} if place.hub else {"path": file.spell(place.path)}
    fingerprint = _fingerprint(place.path)
    for old, memory in file.scanned.items():
        alias = memory["alias"]
        gone = not old.startswith("hub:") and not Path(old).exists()
        if gone and fingerprint and memory["fingerprint"] == fingerprint and alias in file.entries:
            found.alias, found.state = alias, "moved"
            found.remarks.append(f"was at {old}")
            file.change(alias, "gone", None)
            for name, value in where.items():
                file.change(alias, name, value)
            file.scanned[key] = file.scanned.pop(old)
            return
    found.alias, found.state = make_alias(place, fields["kind"], file.entries), "new"
    if found.identity.kind == "vae" and "architecture" not in fields:
        found.remarks.append("SDXL's and SD 1.5's autoencoders have the same keys: taken for SDXL's (0.13025)")
    file.add(found.alias, {"kind": fields.pop("kind"), **where, **fields})
    fields["kind"] = file.entries[found.alias]["kind"]
    file.scanned[key] = {"alias": found.alias, "fingerprint": fingerprint, "fields": fields}


def _join_encoders(result: Scan) -> None:
    """New IP-Adapters get the image encoder whose answer has the width that they take, where there is one."""
    file = result.file
    new = [each for each in result.in_state("new") if each.identity.kind == "ip_adapter"]
    encoders = [alias for alias, fields in file.entries.items() if fields["kind"] == "image_encoder"] if new else []
    catalogue = file.catalogue()
    for found in new:
        fitting = [alias for alias in encoders if _sees_for(catalogue, alias, read_header_at(found.place.path))]
        if fitting:
            file.change(found.alias, "image_encoder", fitting[0])
            file.scanned[_place_key(found.place)]["fields"]["image_encoder"] = fitting[0]


def _sees_for(catalogue: Catalogue, encoder: str, adapter: Header) -> bool:
    try:
        return not encoder_fault(catalogue, encoder, adapter)
    except UnfitWeights:
        return False


def _renew(found: Found, file: CatalogueFile, key: str) -> None:
    """Fields that nobody has edited since the last scan take what the file says now; entries written by hand stay."""
    memory = file.scanned.get(key)
    if memory is None:
        return
    now, before, entry = entry_fields(found.identity, found.place), memory["fields"], file.entries[found.alias]
    now |= {name: before[name] for name in ("trigger", "image_encoder") if name in before}  # said once, not by the file
    for name in sorted(now.keys() | before.keys()):
        said, held = now.get(name), _plain(entry.get(name))
        if said == held:
            continue
        if held == before.get(name):
            file.change(found.alias, name, said)
            found.state = "changed" if found.state == "known" else found.state
            found.remarks.append(f"{name} was {_spoken(held)}, is {_spoken(said)}")
        elif said != before.get(name):
            found.remarks.append(f"{name}: the catalogue keeps {_spoken(held)}, the file says {_spoken(said)}")
    file.scanned[key] = {"alias": found.alias, "fingerprint": _fingerprint(found.place.path), "fields": now}


def _mark_gone(result: Scan, folder: Path, entries: Mapping[str, Any]) -> None:
    """Entries below the folder, or that an earlier scan wrote, whose file is not there."""
    seen = {each.alias for each in result.found}
    root, file = _key(folder), result.file
    scanned = {memory["alias"] for memory in file.scanned.values()}
    catalogue = file.catalogue()
    for alias, entry in entries.items():
        if alias in seen or entry.path is None:
            continue
        path = catalogue.place(entry.path)
        if not path.exists() and (alias in scanned or path.is_relative_to(root)):
            if not entry.gone:
                file.change(alias, "gone", True)
            result.gone.append(alias)


def _place_key(place: Place) -> str:
    return f"hub:{place.hub}" if place.hub else _key(place.path)


def _key(path: Path) -> str:
    return str(Path(path).absolute())


def _fingerprint(path: Path) -> str:
    """Of size, header and a few bytes: enough to know a file again that was moved. "" where there is no header."""
    try:
        header, files = read_header_at(path), [path] if path.is_file() else list_weight_files(path)
        keys = "\n".join(f"{name} {tensor.dtype} {tensor.shape}" for name, tensor in sorted(header.tensors.items()))
        said = "\n".join(f"{name}={text}" for name, text in sorted(header.metadata.items()))
        digest = hashlib.sha256(f"{header.size}\n{keys}\n{said}".encode())
        for file in files:
            with file.open("rb") as opened:
                for n in range(1, SAMPLES + 1):
                    opened.seek(file.stat().st_size * n // (SAMPLES + 1))
                    digest.update(opened.read(SAMPLE))
    except (UnfitWeights, OSError):
        return ""
    return digest.hexdigest()[:32]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _spoken(value: Any) -> str:
    return "nothing" if value is None else str(value)
