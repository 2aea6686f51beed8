"""Which setting wins: asset, then `tiers`, then `defaults`, then the model's catalogue entry, then the house.

`Resolved` is the one place that knows this order. Planning, `dailies sweep` and the checks of a manifest all ask it,
and it says where each value came from. Few-step weights stand between catalogue and house: what the catalogue says is
taken where their family allows it, else the family's usual value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

from schemas.catalogue import TierDefaults
from schemas.fewstep import FewStep, find_few_step
from schemas.manifest import (
    HOUSE_PAG_LAYERS,
    HOUSE_SIZE,
    HOUSE_STRENGTH,
    HOUSE_TIERS,
    AnyAsset,
    Asset,
    FromPictures,
    Import,
    Loras,
    Manifest,
    RenderAsset,
    Repair,
    Sampling,
    TextureVariants,
)
from schemas.reading.tree import Path
from schemas.recipes import RECIPES
from schemas.spec import ImageSpec, Tier

SAMPLING = tuple(Sampling.model_fields)
NO_STYLE = "none"
FEW_STEP_FIELDS = ("scheduler", "num_inference_steps", "guidance_scale")
"""What a catalogue entry, or few-step weights, say for a tier."""


class Origin(StrEnum):
    """Where a value came from."""

    ASSET = "asset"
    TIERS = "tiers"
    DEFAULTS = "defaults"
    MANIFEST = "manifest"
    CATALOGUE = "catalogue"
    FEW_STEP = "few-step weights"
    HOUSE = "house"


@dataclass(frozen=True)
class Setting:
    """A value and where it came from: `path` in the manifest, or the `alias` whose catalogue entry says it."""

    value: Any
    origin: Origin
    path: Path = ()
    alias: str = ""

    def place(self, key: str | int) -> Path:
        """The path of one of its values. The manifest's own model and VAE are single values and no lists."""
        return self.path if self.path in (("model",), ("vae",)) else (*self.path, key)


class KnownModels(Protocol):
    """What the catalogue says of models (`Catalogue.facts`, or planning's Models)."""

    @property
    def tiers(self) -> Mapping[str, Mapping[Tier, TierDefaults]]: ...
    @property
    def sizes(self) -> Mapping[str, int]: ...
    @property
    def few(self) -> Mapping[str, FewStep]: ...


@dataclass(frozen=True)
class Resolved:
    """One asset of a manifest at one tier."""

    manifest: Manifest
    asset: AnyAsset
    tier: Tier

    def find(self, field: str) -> Setting | None:
        """What the manifest says of a field, whether or not it applies here; None if nothing.

        A sampling setting of an asset or of `defaults` counts only for the tiers that it names itself (final when it
        names none).
        """
        if field not in self._settings:
            self._settings[field] = self._look_up(field)
        return self._settings[field]

    def get(self, field: str) -> Any:
        """The manifest's value (all of its values, where it is an axis); None where it says nothing or where the field
        does not apply to this kind of asset or this tier."""
        setting = self.find(field) if self.applies(field) else None
        return None if setting is None else setting.value

    def applies(self, field: str) -> bool:
        if isinstance(self.asset, Import):  # of what is repaired in it
            return field in ("model", "vae", "loras", "negative_prompt", *SAMPLING)
        if field == "size":  # a repair keeps its picture's
            return not isinstance(self.asset, Repair)
        if field == "hires":
            return self.tier is Tier.FINAL and not isinstance(self.asset, Repair)
        if field == "background":
            return not isinstance(self.asset, TextureVariants)
        if field == "refiner":
            return self.tier is Tier.FINAL and isinstance(self.asset, RenderAsset)
        return field != "strength" or isinstance(self.asset, FromPictures)

    @property
    def values(self) -> dict[str, tuple[Any, ...]]:
        """What each $placeholder stands for."""
        return {**self.manifest.defaults.values, **self.asset.values}

    def words(self, chosen: Mapping[str, Any]) -> dict[str, str]:
        """What each $placeholder stands for in one image; `chosen`: its combination (schemas/matrix.py)."""
        texts = {name: chosen.get(f"values.{name}", values[0]) for name, values in self.values.items()}
        return {"asset": self.asset.name, "project": self.manifest.project} | texts

    def setting(
        self,
        field: str,
        chosen: Mapping[str, Any],
        known: KnownModels,
        *,
        loras: Mapping[str, float] | None = None,
    ) -> Setting:
        """What one image gets, and why. `chosen`: its combination of the asset's axes, by path (schemas/matrix.py);
        `loras`: the LoRAs that it wears, where they are not the combination's own."""
        said = self.find(field) if self.applies(field) else None
        if field in chosen:
            return Setting(chosen[field], said.origin, said.path) if said else Setting(chosen[field], Origin.HOUSE)
        if said is not None:
            return said
        if field in FEW_STEP_FIELDS:
            return self._tier_setting(field, chosen, known, self.loras(chosen, known) if loras is None else loras)
        if field == "size":
            side = known.sizes.get(chosen["model"])
            own = Setting(f"{side}x{side}", Origin.CATALOGUE, alias=chosen["model"])
            return own if side else Setting(HOUSE_SIZE, Origin.HOUSE)
        return Setting(self._house(field), Origin.HOUSE)

    def find_tier_loras(self, model: str, known: KnownModels) -> Setting:
        """alias -> weight: what the manifest says of this tier, or else the model's catalogue entry."""
        said = self.manifest.tiers.get(self.tier)
        if said is not None and said.loras is not None:
            return Setting(dict(said.loras), Origin.TIERS, ("tiers", self.tier.value, "loras"))
        own = known.tiers.get(model, {}).get(self.tier)
        if own is None:
            return Setting({}, Origin.HOUSE)
        return Setting(dict(own.loras), Origin.CATALOGUE, alias=model)

    def tier_loras(self, model: str, known: KnownModels) -> dict[str, float]:
        return dict(self.find_tier_loras(model, known).value)

    def loras(self, chosen: Mapping[str, Any], known: KnownModels) -> dict[str, float]:
        """alias -> weight of one image: the tier's, then the style's, then the asset's or the manifest's own."""
        weights = self.tier_loras(chosen["model"], known)
        style = self.manifest.styles.get(chosen.get("style", NO_STYLE))
        weights |= style.loras if style is not None else {}
        return weights | {path.removeprefix("loras."): chosen[path] for path in chosen if path.startswith("loras.")}

    def few(self, model: str, loras: Mapping[str, float], known: KnownModels) -> FewStep | None:
        """The few-step weights among a checkpoint and the LoRAs it wears."""
        return find_few_step([model, *(alias for alias in sorted(loras) if loras[alias])], known.few)

    def _tier_setting(
        self, field: str, chosen: Mapping[str, Any], known: KnownModels, loras: Mapping[str, float]
    ) -> Setting:
        """The model's for this tier where its few-step weights allow it, or theirs, or the house's."""
        model = chosen["model"]
        own = getattr(known.tiers.get(model, {}).get(self.tier), field, None)
        few = self.few(model, loras, known)
        if own is not None and (few is None or not few.allowed(field, own)):
            return Setting(own, Origin.CATALOGUE, alias=model)
        if few is not None:
            return Setting(few.usual(field), Origin.FEW_STEP, alias=few.alias)
        return Setting(getattr(HOUSE_TIERS[self.tier], field)[0], Origin.HOUSE)

    def _house(self, field: str) -> Any:
        if field == "strength":
            return RECIPES[self.asset.recipe].strength if isinstance(self.asset, Repair) else HOUSE_STRENGTH
        house = {"pag_applied_layers": HOUSE_PAG_LAYERS, "scheduler_options": {}, "style": NO_STYLE}
        if field in house:
            return house[field]
        known = ImageSpec.model_fields.get(field)
        return known.get_default() if known is not None and not known.is_required() else None

    def _look_up(self, field: str) -> Setting | None:
        """Straight on, and no object for what is not said: 20,000 assets ask for 40 fields each."""
        manifest, asset = self.manifest, self.asset
        is_sampling = field in SAMPLING
        value = getattr(asset, field, None)
        if value is not None and (not is_sampling or self.tier in list_tiers(manifest, asset)):
            return Setting(value, Origin.ASSET, (*self._at, field))
        if field in ("model", "vae", "loras"):
            own: str | Loras | None = getattr(manifest, field)
            value = (own,) if isinstance(own, str) else own
            return None if value is None else Setting(value, Origin.MANIFEST, (field,))
        if is_sampling and self.tier in manifest.tiers:
            value = getattr(manifest.tiers[self.tier], field)
            if value is not None:
                return Setting(value, Origin.TIERS, ("tiers", self.tier.value, field))
        value = getattr(manifest.defaults, field, None)
        if value is None or (is_sampling and self.tier not in (manifest.defaults.tier or (Tier.FINAL,))):
            return None
        if field == "strength" and isinstance(asset, Repair):  # a repair's is its recipe's
            return None
        return Setting(value, Origin.DEFAULTS, ("defaults", field))

    @cached_property
    def _settings(self) -> dict[str, Setting | None]:
        """What `find` has answered so far: planning asks for every image."""
        return {}

    @cached_property
    def _at(self) -> Path:
        number = self.manifest.positions.get(id(self.asset))
        return () if number is None else ("assets", number)


def list_tiers(manifest: Manifest, asset: Asset) -> tuple[Tier, ...]:
    """The tiers that an asset is made at."""
    if isinstance(asset, Import):
        return (Tier.FINAL,)
    return asset.tier or manifest.defaults.tier or (Tier.FINAL,)


def resolve_tiers(manifest: Manifest, asset: AnyAsset) -> list[Resolved]:
    """An asset at each of its tiers."""
    return [Resolved(manifest, asset, tier) for tier in dict.fromkeys(list_tiers(manifest, asset))]
