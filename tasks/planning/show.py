"""What each asset of a manifest would be made with: its prompt as the text encoders get it, every setting with where it
comes from, the first file's name, the time and the money. Shown for the first image of each asset. Opens no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any

from engine.model_files import ModelFiles
from engine.tokens import chunked, count_vectors, tokenizers, weighted
from schemas.errors import ModelError
from schemas.manifest import AnyAsset, FromPictures, FrozenFile, Manifest, Repair
from schemas.matrix import Combination, Matrix
from schemas.reading.tree import Path, Tree, spell_path
from schemas.resolved import NO_STYLE, SAMPLING, Origin, Resolved, Setting, resolve_tiers
from schemas.settings import Settings
from schemas.spec import ImageSpec
from tasks.planning.estimate import EstimateRow
from tasks.planning.plan import PlannedModels, expand_asset

ALWAYS = ("model", "style", "size", "scheduler", "num_inference_steps", "guidance_scale", "seeds")
"""Shown whoever decides them; other fields only where somebody said something."""
OPTIONAL = ("vae", *(name for name in SAMPLING if name not in ALWAYS), "storage_dtype", "embeddings")
PASSES = ("hires", "refiner")


@dataclass(frozen=True)
class Tokens:
    """One text as an encoder reads it. A window holds 77 tokens: 75 of the text between two marks."""

    text: str
    """prompt, negative_prompt, prompt_2 or negative_prompt_2"""
    count: int
    windows: int

    @property
    def over(self) -> int:
        return max(0, self.count - 75)


@dataclass(frozen=True)
class ShownSetting:
    name: str
    value: str
    origin: str
    """asset, tiers, defaults, manifest, catalogue, few-step weights, house, recipe or style"""
    where: str
    """`file:line field` in the manifest, or the alias whose catalogue entry says it; empty for the house's."""
    tier: str = ""
    """Of an asset that is made at several tiers, where they differ."""


@dataclass(frozen=True)
class Shown:
    """One asset. `gpu_seconds` and `money` are of its images that do not exist yet."""

    asset: str
    kind: str
    images: int
    exist: int | None
    variant: str
    prompt: str
    negative_prompt: str
    reads_negative: bool
    """Without guidance the negative prompt is not encoded."""
    weights: tuple[tuple[str, float], ...]
    """Words of the prompt that count more or less than 1."""
    tokens: tuple[Tokens, ...]
    settings: tuple[ShownSetting, ...]
    file_name: str
    gpu_seconds: float
    guessed: bool
    money: float

    def as_json(self) -> dict[str, Any]:
        body = asdict(self)
        body["tokens"] = [asdict(one) | {"over": one.over} for one in self.tokens]
        return body


@dataclass
class Show:
    """Collects what `dailies check --show` prints."""

    manifest: Manifest
    files: Mapping[str, FrozenFile]
    models: PlannedModels
    tree: Tree
    settings: Settings
    catalogue: ModelFiles
    notes: list[str] = field(default_factory=list)
    tokenizers: dict[str, list[Any]] = field(default_factory=dict)
    """By checkpoint."""

    def list_assets(self, rows: Sequence[EstimateRow]) -> list[Shown]:
        """`rows`: the estimate of each asset."""
        by_name = {row.asset: row for row in rows}
        return [self._asset(asset, by_name[asset.name]) for asset in self.manifest.assets]

    def _asset(self, asset: AnyAsset, row: EstimateRow) -> Shown:
        from tasks.delivery.names import make_delivery_path

        firsts: dict[str, Combination] = {}
        for combination in Matrix(self.manifest, asset):
            firsts.setdefault(combination.at["tier"].value, combination)
            if len(firsts) == len(resolve_tiers(self.manifest, asset)):
                break
        first = next(iter(firsts.values()))
        (spec,) = expand_asset(self.manifest, asset, self.files, self.models, combinations=[first])
        template = self.manifest.delivery_name_of(asset)
        return Shown(
            asset=asset.name,
            kind=asset.kind,
            images=row.images,
            exist=row.made,
            variant=spec.variant,
            prompt=spec.prompt,
            negative_prompt=spec.negative_prompt,
            reads_negative=spec.guidance_scale > 1,
            weights=tuple((text.strip(), weight) for text, weight in weighted(spec.prompt) if weight != 1),
            tokens=tuple(self._count(spec)),
            settings=tuple(self._settings(asset, firsts)),
            file_name=make_delivery_path(
                spec, template, ending=self.settings.image_format, is_ascii=self.manifest.delivery.ascii
            ),
            gpu_seconds=row.gpu_seconds,
            guessed=row.guessed,
            money=row.gpu_seconds / 3600 * self.settings.gpu_hour_price,
        )

    def _settings(self, asset: AnyAsset, firsts: Mapping[str, Combination]) -> Iterator[ShownSetting]:
        """Those in which the asset's tiers agree once, the others for each tier."""
        listed = []
        for resolved in resolve_tiers(self.manifest, asset):
            if resolved.tier.value in firsts:
                listed.append((resolved.tier.value, list(self._of_tier(resolved, firsts[resolved.tier.value]))))
        for tier, lines in listed:
            for line in lines:
                shared = all(line in others for _, others in listed)
                if not shared:
                    yield ShownSetting(line.name, line.value, line.origin, line.where, tier)
                elif tier == listed[0][0]:
                    yield line

    def _of_tier(self, resolved: Resolved, combination: Combination) -> Iterator[ShownSetting]:
        asset, at = resolved.asset, combination.at
        loras = resolved.loras(at, self.models)
        # 1. Sampling and size
        for name in (*ALWAYS, *OPTIONAL, *PASSES):
            if name == "size" and isinstance(asset, Repair):
                continue
            setting = resolved.setting(name, at, self.models, loras=loras)
            if name == "seeds":
                setting = resolved.find("seeds") or Setting(1, Origin.HOUSE)
            if name in ALWAYS or (resolved.get(name) is not None and setting.value is not None):
                yield self._line(name, _several(setting, resolved.find(name)), setting)
        # 2. What it wears, sees and follows
        for alias, weight in sorted(loras.items()):
            yield self._line(f"loras.{alias}", f"{weight:g}", self._lora(resolved, at, alias))
        if isinstance(asset, FromPictures):
            path = self._at(asset)
            yield self._line("sources", str(at["sources"]), Setting(None, Origin.ASSET, (*path, "sources")))
            yield self._line("strength", *self._strength(resolved, at))
        yield from self._guides(asset, at)
        # 3. Review and delivery
        for name, path, value in self._terms(asset):
            yield self._line(name, value, Setting(None, Origin.ASSET if path[0] == "assets" else Origin.MANIFEST, path))

    def _guides(self, asset: AnyAsset, at: Mapping[str, Any]) -> Iterator[ShownSetting]:
        for index, control in enumerate(asset.controls):
            path = (*self._at(asset), "controls", index)
            alias = control.model or self.models.controlnets[at["model"], control.type]
            picture = at[f"controls.{index}.{'image' if control.image else 'condition'}"]
            scale = at[f"controls.{index}.controlnet_conditioning_scale"]
            end = at[f"controls.{index}.control_guidance_end"]
            value = f"{control.type} of {picture} by {alias}, scale {scale:g}" + (f", to {end:g}" if end < 1 else "")
            yield self._line(f"controls.{index}", value, Setting(None, Origin.ASSET, path))
        for index, reference in enumerate(asset.references):
            path = (*self._at(asset), "references", index)
            scale = at[f"references.{index}.scale"]
            value = f"{at[f'references.{index}.image']} by {reference.model}, scale {scale:g}"
            yield self._line(f"references.{index}", value, Setting(None, Origin.ASSET, path))

    def _strength(self, resolved: Resolved, at: Mapping[str, Any]) -> tuple[str, Setting]:
        setting = resolved.setting("strength", at, self.models)
        recipe = isinstance(resolved.asset, Repair) and setting.origin is Origin.HOUSE
        return f"{setting.value:g}" + (f" (recipe {resolved.asset.recipe})" if recipe else ""), setting  # type: ignore[union-attr]

    def _lora(self, resolved: Resolved, at: Mapping[str, Any], alias: str) -> Setting:
        """Who says that this LoRA is worn: asset or manifest, else the style, else the tier."""
        style = self.manifest.styles.get(at.get("style", NO_STYLE))
        if f"loras.{alias}" in at:
            said = resolved.find("loras")
            return Setting(None, said.origin, (*said.path, alias)) if said else Setting(None, Origin.HOUSE)
        if style is not None and alias in style.loras:
            return Setting(None, Origin.MANIFEST, ("styles", at["style"], "loras", alias))
        return resolved.find_tier_loras(at["model"], self.models)

    def _terms(self, asset: AnyAsset) -> Iterator[tuple[str, Path, str]]:
        manifest, at = self.manifest, self._at(asset)
        said = next(
            (
                path
                for path, value in (
                    ((*at, "criteria"), asset.criteria),
                    (("defaults", "criteria"), manifest.defaults.criteria),
                )
                if value
            ),
            ("review", "criteria"),
        )
        yield "criteria", said, ", ".join(manifest.criteria_of(asset))
        named = (*at, "delivery_name") if asset.delivery_name else ("delivery", "name")
        yield "delivery_name", named, manifest.delivery_name_of(asset)
        if manifest.delivery.licence:
            yield "licence", ("delivery", "licence"), manifest.delivery.licence

    def _line(self, name: str, value: str, setting: Setting) -> ShownSetting:
        if setting.alias:
            return ShownSetting(name, value, setting.origin.value, setting.alias)
        if not setting.path or setting.path[: len(self.tree.nearest(setting.path)[0])] != setting.path:
            return ShownSetting(name, value, Origin.HOUSE.value, "")
        _, place = self.tree.nearest(setting.path)
        where = f"{PurePath(place.file).name}:{place.line}" + (f" cell {place.cell}" if place.cell else "")
        return ShownSetting(name, value, setting.origin.value, f"{where} {spell_path(setting.path)}")

    def _at(self, asset: AnyAsset) -> Path:
        return ("assets", self.manifest.positions[id(asset)])

    def _count(self, spec: ImageSpec) -> list[Tokens]:
        """The tokens of a spec's texts; none, with a note, where the tokenizers are not here."""
        alias, asker = spec.model.alias, f"{spec.project}/{spec.asset}"
        try:
            if alias not in self.tokenizers:
                self.tokenizers[alias] = tokenizers(self.catalogue, alias, asker=asker)
            files = {one.token.lower(): self.catalogue.where(one.alias, asker=asker) for one in spec.embeddings}
            own = {word: count_vectors(file) for word, file in files.items()}
        except ImportError:
            self._note("tokens are not counted: that needs the [generate] install")
            return []
        except ModelError as wrong:
            self._note(f"the tokens of {spec.asset} are not counted: {wrong}")
            return []
        counts: list[Tokens] = []
        for name in ("prompt", "negative_prompt") if spec.guidance_scale > 1 else ("prompt",):
            for side, tokenizer in enumerate(self.tokenizers[alias]):
                text = (getattr(spec, f"{name}_2") if side else None) or getattr(spec, name)
                words = {word: [-1] * sides[side] for word, sides in own.items() if any(sides[side : side + 1])}
                parts = chunked(tokenizer, text, words)
                one = Tokens(f"{name}_2" if side else name, sum(len(ids) for ids, _ in parts), len(parts))
                if not side or getattr(spec, f"{name}_2") or one.count != counts[-1].count:
                    counts.append(one)
        return counts

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def _several(setting: Setting, said: Setting | None) -> str:
    """The value, and of how many it is the first."""
    many = len(said.value) if said is not None and isinstance(said.value, tuple) and setting.value != said.value else 1
    return _spoken(setting.value) + (f" (first of {many})" if many > 1 else "")


def _spoken(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(map(_spoken, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_spoken(one)}" for name, one in value.items()) or "none"
    if hasattr(value, "model_dump"):
        return _spoken({name: one for name, one in value.model_dump().items() if one is not None})
    return str(value)
