"""What an entry says that cannot be, whatever its files are: names that lead nowhere, fields of another kind. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.catalogue import Catalogue, Entry
from schemas.schedulers import resolve_scheduler
from schemas.weights.identity import NAMES, Identity

_ONLY: dict[str, tuple[str, ...]] = {
    "controls": ("controlnet", "t2i_adapter"),
    "modes": ("controlnet",),
    "tiers": ("checkpoint",),
    "size": ("checkpoint",),
    "config": ("checkpoint", "vae", "controlnet", "t2i_adapter"),
    "base": ("checkpoint",),
    "image_encoder": ("ip_adapter",),
    "trigger": ("embedding",),
    "prediction_type": ("checkpoint",),
    "zero_snr": ("checkpoint",),
    "checkpoints": ("controlnet", "t2i_adapter", "vae", "lora", "embedding", "ip_adapter"),
}
"""Fields that mean something for these kinds alone."""


def list_entry_faults(catalogue: Catalogue, alias: str) -> Iterator[str]:
    """One sentence each."""
    entry = catalogue.entries[alias]
    for field, kinds in _ONLY.items():
        if getattr(entry, field) and entry.kind not in kinds:
            yield f"got `{field}` for a {entry.kind}; it is for a {' or '.join(kinds)}"
    for name in entry.checkpoints:
        yield from _named(catalogue, entry, name, "checkpoints", "checkpoint")
    if entry.base is not None:
        yield from _base(catalogue, entry)
    if entry.config is not None and not catalogue.place(entry.config).is_dir():
        yield f"its `config` {entry.config} is not a folder"
    if entry.kind == "ip_adapter":
        if entry.image_encoder is None:
            yield "it has no `image_encoder`: give the alias of what it sees pictures with"
        else:
            yield from _named(catalogue, entry, entry.image_encoder, "image_encoder", "image_encoder")
    if entry.size is not None and (entry.size % 8 or not 64 <= entry.size <= 4096):
        yield f"got size {entry.size}; expected a multiple of 8 from 64 to 4096"
    yield from _tiers(catalogue, entry)
    for number in (number for number in entry.modes.values() if number < 0):
        yield f"got the mode {number}; they count from 0"
    if entry.kind == "embedding":
        for other in catalogue.entries.values():
            if other.alias < alias and other.kind == "embedding" and other.token.lower() == entry.token.lower():
                yield f"its word {entry.token!r} is that of {other.alias} too; give another `trigger`"


def list_mode_faults(entry: Entry, identity: Identity) -> Iterator[str]:
    """Of a union's modes against the number of conditions in the file."""
    if identity.layout == "union" and not entry.modes:
        yield f"it is a union of {identity.conditions} conditions; give `modes`, such as {{canny: 3, depth: 1}}"
    elif entry.modes and identity.layout != "union":
        yield "got `modes` for a ControlNet that is no union; `controls` names what it serves"
    for control, number in entry.modes.items():
        if identity.conditions and number >= identity.conditions:
            yield f"got mode {number} for {control}; this union has {identity.conditions}, from 0"


def _named(catalogue: Catalogue, entry: Entry, name: str, field: str, kind: str) -> Iterator[str]:
    other = catalogue.entries.get(name)
    if other is None:
        yield f"its `{field}` names {name!r}, which is not in the catalogue"
    elif other.kind != kind:
        yield f"its `{field}` names {name!r}, which is a {other.kind}; expected a {kind}"
    elif kind == "checkpoint" and other.architecture != entry.architecture:
        own, its = NAMES[entry.architecture], NAMES[other.architecture]
        yield f"its `{field}` names {name!r}, which is {its}; this entry is {own}"


def _base(catalogue: Catalogue, entry: Entry) -> Iterator[str]:
    assert entry.base is not None
    yield from _named(catalogue, entry, entry.base, "base", "checkpoint")
    seen, at = {entry.alias}, catalogue.entries.get(entry.base)
    while at is not None:
        if at.alias in seen:
            yield f"its `base` leads back to {at.alias}"
            return
        seen.add(at.alias)
        at = catalogue.entries.get(at.base) if at.base else None


def _tiers(catalogue: Catalogue, entry: Entry) -> Iterator[str]:
    for tier, usual in entry.tiers.items():
        for name in usual.loras:
            yield from _named(catalogue, entry, name, f"tiers.{tier.value}.loras", "lora")
        if usual.scheduler is not None:
            try:
                resolve_scheduler(usual.scheduler)
            except ValueError as wrong:
                yield f"tiers.{tier.value}.scheduler: {wrong}"
