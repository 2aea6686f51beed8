"""Every problem of the catalogue's entries: what they say, what their files are, and what wears them.

The same faults are said by `dailies check` and the Submit page of a manifest that names the alias; beside them, here,
files that are not there, pins that do not hold, and what should be known though it is no fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.model_files import ModelFiles
from schemas.catalogue import Entry
from schemas.errors import ModelError, UnfitWeights
from schemas.weights.examine import examine_weights, list_components
from schemas.weights.fit import find_faults, find_lora_fault
from tasks.models.listing import list_bases


@dataclass
class Checked:
    """`problems` make it useless or wrong; `remarks` should be known."""

    alias: str
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check_models(catalogue: ModelFiles, pins: Mapping[str, str], *, alias: str | None = None) -> Iterator[Checked]:
    """One after the other. Reads headers; a digest only where it is known. Raises ModelMissing for another alias."""
    if alias is not None:
        catalogue.entry(alias, asker="models check")
    known: dict[str, str] = {}
    for name in [alias] if alias is not None else list(catalogue.entries):
        yield _check(catalogue, catalogue.entries[name], pins.get(name, ""), known)


def _check(catalogue: ModelFiles, entry: Entry, pin: str, known: dict[str, str]) -> Checked:
    checked = Checked(entry.alias)
    path = catalogue.local(entry.alias)
    # 1. Is it there, and of files that are read?
    try:
        catalogue.files(entry.alias, asker="models check")
    except ModelError as wrong:
        checked.problems.append(str(wrong).removeprefix(f"models check asks for {entry.alias}: "))
        if path is not None and path.is_file() and "is not safetensors" in checked.problems[-1]:
            checked.problems[-1] += "; `dailies models convert` makes safetensors of it"
    # 2. Does it hold together, by itself and with its checkpoints?
    faults = find_faults(catalogue, entry.alias)
    pickled = path is not None and "is not safetensors" in " ".join(checked.problems)
    checked.problems += [fault for fault in faults if not (pickled and "pickle" in fault)]
    if path is not None and not checked.problems:
        checked.problems += _unfit(catalogue, entry, known)
    # 3. Are these the weights that were pinned?
    if pin and path is not None and (digest := catalogue.known_digest(entry.alias)) not in (None, pin):
        checked.problems.append(
            f"it is pinned to {pin[:12]}, and its files are {str(digest)[:12]} now: put the old ones back, or "
            f"`dailies models repin {entry.alias}`"
        )
    if path is not None and not checked.problems:
        checked.remarks += _remarks(entry, catalogue)
    return checked


def _unfit(catalogue: ModelFiles, entry: Entry, known: dict[str, str]) -> Iterator[str]:
    """With the checkpoints that it names, each; where it names none, with all of its architecture: one must do.

    Checkpoints of one configuration are asked once.
    """
    alike: dict[str, list[str]] = {}
    for base in list_bases(catalogue, entry):
        alike.setdefault(_configuration(catalogue, base, known), []).append(base)
    alike.pop("", None)
    faults = [(names, find_lora_fault(catalogue, entry.alias, names[0])) for names in alike.values()]
    bad = [(names, fault) for names, fault in faults if fault]
    if entry.checkpoints or len(bad) == len(faults):
        for names, fault in bad:
            yield f"with {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}: {fault}"


def _configuration(catalogue: ModelFiles, alias: str, known: dict[str, str]) -> str:
    """What its components are made of, as text; "" for a checkpoint that is not sound or not here."""
    if alias not in known:
        try:
            sound = not find_faults(catalogue, alias)
            components = list_components(catalogue, catalogue.entries[alias]) if sound else None
        except UnfitWeights:
            components = None
        kept = {name: config for name, config in (components or {}).items() if name not in ("pipeline", "scheduler")}
        known[alias] = json.dumps(kept, sort_keys=True, default=str) if kept else ""
    return known[alias]


def _remarks(entry: Entry, catalogue: ModelFiles) -> Iterator[str]:
    path = catalogue.local(entry.alias)
    assert path is not None
    identity = examine_weights(path)
    if entry.kind in ("controlnet", "t2i_adapter") and not entry.serves:
        yield "no `controls`: a manifest must name it by `model`; give the types that it serves, such as [canny]"
    if entry.kind == "vae" and not identity.architecture and "architecture" not in entry.model_fields_set:
        yield "SDXL's and SD 1.5's autoencoders have the same keys: taken for SDXL's (0.13025); say `architecture`"
    said = "architecture" in entry.model_fields_set or entry.checkpoints
    if entry.kind == "lora" and not identity.architecture and not said:
        yield "its keys do not say what it was made for: taken for SDXL's; say `architecture`"
    if identity.in_channels == 9:
        yield "for inpainting (9 channels): it makes repairs, no picture from text alone"
    for note in identity.notes:
        if "copies are not read" in note:
            yield note
