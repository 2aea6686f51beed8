"""What a change to a manifest makes new, drops, changes and renames. `find_order` opens an order; the rest is pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.model_files import ModelFiles
from schemas.errors import InputError, LedgerError
from schemas.manifest import FrozenFile, Manifest
from schemas.settings import Settings
from schemas.spec import ImageSpec
from tasks.delivery.names import make_delivery_path
from tasks.planning.lookup import look_up_models
from tasks.planning.order_changes import compare_terms, describe_change
from tasks.planning.plan import expand_manifest
from tasks.planning.submit import open_history, read_sound_manifest

UNSHOWN = ("engine_version", "project", "asset", "variant", "kind", "tier", "parent", "take")
"""Fields of a spec by which images are matched, or that a manifest does not say."""


@dataclass(frozen=True)
class Order:
    """A manifest with its files, from a path or as it was submitted."""

    name: str
    manifest: Manifest
    files: Mapping[str, FrozenFile]


@dataclass(frozen=True)
class Change:
    """Images of one asset that are made again because of this."""

    field: str
    old: str
    new: str
    images: int


@dataclass
class AssetDifference:
    asset: str
    same: int = 0
    new: int = 0
    dropped: int = 0
    changed: int = 0
    """Made again: the same place in the matrix with another digest."""
    changes: list[Change] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    """Delivered under another name: old and new path, of images that stay the same."""
    terms: list[str] = field(default_factory=list)
    """What else is not in the picture and changes for images that stay."""
    formerly: str = ""
    """The dropped asset that this new one seems to be, under another name."""


@dataclass
class Difference:
    old: str
    new: str
    assets: list[AssetDifference]
    to_make: list[ImageSpec]
    """Of the new order, what the old one does not have."""
    dropped: list[ImageSpec]

    def count(self, name: str) -> int:
        return sum(getattr(asset, name) for asset in self.assets)

    def as_json(self) -> dict[str, Any]:
        totals = {name: self.count(name) for name in ("same", "new", "changed", "dropped")}
        totals["renamed"] = sum(len(asset.renamed) for asset in self.assets)
        return {"old": self.old, "new": self.new, **totals, "assets": [asdict(asset) for asset in self.assets]}


def find_order(text: str, settings: Settings, catalogue: ModelFiles) -> Order:
    """`text`: the path of a manifest, or the beginning of a submission's digest. Raises InputError, ManifestError."""
    path = Path(text)
    if path.exists() or path.suffix:
        looked, manifest = read_sound_manifest(path, settings, catalogue)
        return Order(path.name, manifest, looked.frozen)
    ledger, _ = open_history(settings)
    try:
        if ledger is None:
            raise LedgerError("there is no submission")
        submission = ledger.find_submission(text)
    except LedgerError as wrong:
        expected = "a manifest, or the beginning of a digest that `dailies submissions` lists"
        raise InputError(f"got {text!r}: {wrong}; expected {expected}") from None
    files = {name: FrozenFile.model_validate(body) for name, body in submission.files.items()}
    return Order(f"{submission.name} ({submission.digest[:12]})", Manifest.model_validate(submission.body), files)


def compare_orders(
    old: Order, new: Order, *, catalogue: ModelFiles, pins: Mapping[str, str], ending: str
) -> Difference:
    """`ending`: of delivered files, as the settings' `image_format` says."""
    before, after = (_specs(order, catalogue, pins) for order in (old, new))
    places = {_place(spec): spec for digest, spec in before.items() if digest not in after}
    assets = {asset.name: AssetDifference(asset.name) for order in (new, old) for asset in order.manifest.assets}
    changes: dict[str, Counter[tuple[str, str, str]]] = {name: Counter() for name in assets}
    terms: dict[str, Counter[str]] = {name: Counter() for name in assets}

    # 1. What the new order asks for: the same image, one that is made again, or a new one
    for digest, spec in after.items():
        one = assets[spec.asset]
        if digest in before:
            one.same += 1
            names = [_file_name(order.manifest, spec, ending) for order in (old, new)]
            if names[0] != names[1]:
                one.renamed.append((names[0], names[1]))
            terms[spec.asset].update(_terms(old.manifest, new.manifest, spec.asset))
        elif (was := places.pop(_place(spec), None)) is not None:
            one.changed += 1
            changes[spec.asset].update(_fields(was, spec))
        else:
            one.new += 1
    # 2. What only the old one asks for
    for spec in places.values():
        assets[spec.asset].dropped += 1
    for name, one in assets.items():
        one.changes = [Change(*change, images) for change, images in changes[name].items()]
        one.terms = [f"{sentence} ({count} image{'s' * (count != 1)})" for sentence, count in terms[name].items()]
    _name_renamed(assets, old.manifest, new.manifest)
    wanted = [spec for digest, spec in after.items() if digest not in before]
    return Difference(old.name, new.name, list(assets.values()), wanted, list(places.values()))


def _specs(order: Order, catalogue: ModelFiles, pins: Mapping[str, str]) -> dict[str, ImageSpec]:
    models = look_up_models(order.manifest, catalogue, pins).models
    return {spec.digest: spec for spec in expand_manifest(order.manifest, order.files, models)}


def _place(spec: ImageSpec) -> tuple[str, str, str]:
    return spec.asset, spec.variant, spec.tier.value


def _file_name(manifest: Manifest, spec: ImageSpec, ending: str) -> str:
    template = manifest.delivery_name_of(manifest.asset(spec.asset))
    return make_delivery_path(spec, template, ending=ending, is_ascii=manifest.delivery.ascii)


def _terms(old: Manifest, new: Manifest, asset: str) -> Iterable[str]:
    return (describe_change(*term) for term in compare_terms(old, new, asset) if term[0] != "delivery name")


def _fields(old: ImageSpec, new: ImageSpec) -> list[tuple[str, str, str]]:
    names = [name for name in ImageSpec.model_fields if name not in UNSHOWN]
    return [
        (name, _spoken(getattr(old, name)), _spoken(getattr(new, name)))
        for name in names
        if getattr(old, name) != getattr(new, name)
    ]


def _spoken(value: Any) -> str:
    """Short enough for a line; models by their alias."""
    if isinstance(value, tuple):
        return ", ".join(map(_spoken, value)) or "none"
    if hasattr(value, "alias"):
        weight = getattr(value, "weight", None)
        return f"{value.alias} {value.digest[:8]}" if weight is None else f"{value.alias} {weight:g}"
    if hasattr(value, "model_dump"):
        return ", ".join(f"{name} {one}" for name, one in value.model_dump(exclude_defaults=True).items())
    text = "none" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _name_renamed(assets: Mapping[str, AssetDifference], old: Manifest, new: Manifest) -> None:
    """An asset that is new and says what a dropped one said is very likely that one under another name."""

    def body(manifest: Manifest, name: str) -> str:
        return manifest.asset(name).model_dump_json(exclude={"name", "note"})

    known = {asset.name for asset in new.assets}
    gone = {body(old, asset.name): asset.name for asset in old.assets if asset.name not in known}
    before = {asset.name for asset in old.assets}
    for asset in new.assets:
        if asset.name not in before:
            assets[asset.name].formerly = gone.get(body(new, asset.name), "")
