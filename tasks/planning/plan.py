"""Manifest -> one ImageSpec per image. Pure: no GPU, no database, no clock, no file.

The same manifest, files and models give the same specs in the same order, whatever the order of keys in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from string import Template
from typing import Any

from schemas.catalogue import TierDefaults
from schemas.fewstep import FewStep
from schemas.fields import count_pixels
from schemas.manifest import (
    AnyAsset,
    FromPictures,
    FrozenFile,
    Import,
    Manifest,
    Repair,
    Style,
    TextureVariants,
)
from schemas.matrix import WHOLE, Combination, Matrix
from schemas.prompt_tokens import find_words
from schemas.recipes import RECIPES
from schemas.resolved import SAMPLING, Resolved, resolve_tiers
from schemas.review import Changes, apply_changes
from schemas.rules.imports import find_imported_file, get_digital_source
from schemas.rules.prompt_syntax import unescape
from schemas.rules.repairs import find_mask_file, name_mask
from schemas.schedulers import resolve_scheduler
from schemas.spec import (
    NO_MODEL,
    Approximation,
    AssetKind,
    ControlSpec,
    CutOut,
    EmbeddingRef,
    Hires,
    ImageSpec,
    LoraRef,
    ModelRef,
    ReferenceSpec,
    Refiner,
    SeamRepair,
    Tier,
)

_STEPS_AND_GUIDANCE = ("num_inference_steps", "guidance_scale")
_AS_SAID = ("guidance_rescale", "guidance_start", "guidance_end", "clip_skip", "pag_scale")
_SEAMLESS = {"none": "", "x": "x", "y": "y", "both": "xy"}


@dataclass(frozen=True)
class PlannedModels:
    """What planning must know of the models, all of it known without opening one."""

    digests: Mapping[str, str]
    """alias -> SHA-256 of its weights"""
    controlnets: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(checkpoint's alias, control type) -> alias of the ControlNet that serves it"""
    tiers: Mapping[str, Mapping[Tier, TierDefaults]] = field(default_factory=dict)
    """checkpoint's alias -> what its catalogue entry says of the tiers"""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """checkpoint's alias -> px of the side it was trained at"""
    modes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """alias of a ControlNet-Union -> control type -> its number there"""
    adapters: frozenset[str] = frozenset()
    """aliases of T2I-Adapters"""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """alias of a textual inversion -> the word that stands for it"""
    few: Mapping[str, FewStep] = field(default_factory=dict)
    """alias of few-step weights -> what they were distilled for"""

    def ref(self, alias: str) -> ModelRef:
        return ModelRef(alias=alias, digest=self.digests[alias])


def count_images(manifest: Manifest) -> int:
    """Images that `expand` would give. Only the axes that an `exclude` names are enumerated."""
    return sum(Matrix(manifest, asset).count() for asset in manifest.assets)


def expand_manifest(manifest: Manifest, files: Mapping[str, FrozenFile], models: PlannedModels) -> Iterator[ImageSpec]:
    """Every image of the manifest, asset by asset. Raises KeyError for a file or a model that was not looked up."""
    for asset in manifest.assets:
        yield from expand_asset(manifest, asset, files, models)


def expand_asset(
    manifest: Manifest,
    asset: AnyAsset,
    files: Mapping[str, FrozenFile],
    models: PlannedModels,
    *,
    combinations: Iterable[Combination] | None = None,
) -> Iterator[ImageSpec]:
    """The images of one asset, in the order of its matrix; or only those of some of its combinations."""
    plan = _AssetPlan(
        manifest=manifest,
        asset=asset,
        files=files,
        models=models,
        refs={alias: models.ref(alias) for alias in models.digests},
        at_tier={resolved.tier: resolved for resolved in resolve_tiers(manifest, asset)},
    )
    return map(plan.make_spec, Matrix(manifest, asset) if combinations is None else combinations)


@dataclass(frozen=True)
class _AssetPlan:
    """What all images of one asset are planned from."""

    manifest: Manifest
    asset: AnyAsset
    files: Mapping[str, FrozenFile]
    models: PlannedModels
    refs: Mapping[str, ModelRef]
    at_tier: Mapping[Tier, Resolved]

    def make_spec(self, combination: Combination) -> ImageSpec:
        at = combination.at
        if isinstance(self.asset, Import):
            return self._make_import(self.asset, combination)
        resolved = self.at_tier[at["tier"]]
        loras = resolved.loras(at, self.models)
        texts = self._fill_texts(resolved, at)
        settings = self._resolve_sampling(resolved, at, loras) | self._resolve_passes(resolved)
        return ImageSpec(
            project=self.manifest.project,
            asset=self.asset.name,
            variant=combination.variant,
            kind=self.asset.kind,
            tier=at["tier"],
            **texts,
            seed=at["seeds"],
            model=self.refs[at["model"]],
            vae=self.refs[at["vae"]] if "vae" in at else None,
            loras=_lora_refs(loras, self.models),
            embeddings=self._find_embeddings(resolved, texts),
            **(settings | self._find_pictures(resolved, at)),
        )

    def _make_import(self, asset: Import, combination: Combination) -> ImageSpec:
        """Nothing is made: the seed, the steps and the guidance are the least that a spec can have."""
        file = find_imported_file(self.files, combination.at["sources"])
        return ImageSpec(
            project=self.manifest.project,
            asset=asset.name,
            variant=combination.variant,
            kind=AssetKind.IMPORT,
            prompt=unescape(combination.at["prompt"]),
            seed=0,
            width=file.width,
            height=file.height,
            num_inference_steps=1,
            guidance_scale=0.0,
            model=NO_MODEL,
            source=file.digest,
            digital_source=get_digital_source(asset, file),
        )

    def _fill_texts(self, resolved: Resolved, at: Mapping[str, Any]) -> dict[str, str | None]:
        style = self.manifest.styles.get(at["style"], Style())
        words = resolved.words(at)
        asked = _filled(at["prompt"], words)
        avoided = [_filled(style.negative_prompt, words), _filled(at.get("negative_prompt", ""), words)]
        if isinstance(self.asset, Repair):
            recipe = RECIPES[self.asset.recipe]
            asked = ", ".join(text for text in (recipe.prompt, asked) if text)
            avoided = [recipe.negative_prompt, *avoided]
        texts = {
            "prompt": _filled(style.template, {**words, "prompt": asked}),
            "negative_prompt": ", ".join(text for text in avoided if text),
            "prompt_2": _filled(at["prompt_2"], words) if "prompt_2" in at else None,
            "negative_prompt_2": _filled(at["negative_prompt_2"], words) if "negative_prompt_2" in at else None,
        }
        return {name: text and unescape(text) for name, text in texts.items()}

    def _find_embeddings(self, resolved: Resolved, texts: Mapping[str, str | None]) -> tuple[EmbeddingRef, ...]:
        """Those whose word is in one of the texts."""
        tokens = self.models.tokens
        return tuple(
            EmbeddingRef(alias=alias, digest=self.models.digests[alias], token=tokens[alias])
            for alias in sorted(resolved.get("embeddings") or ())
            if any(find_words(tokens[alias], text) for text in texts.values() if text)
        )

    def _resolve_sampling(
        self, resolved: Resolved, at: Mapping[str, Any], loras: Mapping[str, float]
    ) -> dict[str, Any]:
        models = self.models
        settings = {name: resolved.setting(name, at, models, loras=loras).value for name in _STEPS_AND_GUIDANCE}
        settings["scheduler"], settings["scheduler_options"] = _scheduler(resolved, at, models, loras)
        settings |= {name: at[name] for name in _AS_SAID if name in at}
        if settings.get("pag_scale"):
            settings["pag_applied_layers"] = tuple(resolved.setting("pag_applied_layers", at, models).value)
        settings["approximation"] = _find_approximation(resolved)
        settings["width"], settings["height"] = count_pixels(resolved.setting("size", at, models).value)
        settings["storage_dtype"] = resolved.get("storage_dtype") or ""
        return settings

    def _resolve_passes(self, resolved: Resolved) -> dict[str, Any]:
        """What is done beside or after the one pass of every image: hires, refiner, cut-out."""
        passes: dict[str, Any] = {}
        if (hires := resolved.get("hires")) is not None:
            width, height = count_pixels(hires.first_size)
            passes["hires"] = Hires(
                width=width,
                height=height,
                strength=hires.strength,
                num_inference_steps=hires.num_inference_steps,
                upscaler=self.refs[hires.upscaler] if hires.upscaler else None,
                tile=hires.tile,
            )
        if (refiner := resolved.get("refiner")) is not None:
            passes["refiner"] = Refiner(
                model=self.refs[refiner.model],
                denoising_start=refiner.denoising_start,
                aesthetic_score=refiner.aesthetic_score,
                negative_aesthetic_score=refiner.negative_aesthetic_score,
            )
        if (background := resolved.get("background")) is not None and background.by != "none":
            model = self.refs[background.model] if background.model else None
            passes["background"] = CutOut(model=model, holes=background.holes)
        return passes

    def _find_pictures(self, resolved: Resolved, at: Mapping[str, Any]) -> dict[str, Any]:
        """Source, mask, conditions and references, with what the asset's kind says of them."""
        asset, files = self.asset, self.files
        pictures: dict[str, Any] = {"controls": _controls(asset, at, files, self.models, self.refs)}
        if isinstance(asset, FromPictures):
            source = files[at["sources"]]
            strength = resolved.setting("strength", at, self.models).value
            pictures |= {"source": source.digest, "strength": strength}
        if isinstance(asset, TextureVariants):
            pictures |= {"seamless": _SEAMLESS[at["seamless"]], "keep_colour": asset.keep_colour}
            if asset.seam_repair is not None:
                axes = _SEAMLESS[asset.seam_repair.axes]
                pictures["seam_repair"] = SeamRepair(axes=axes, strength=asset.seam_repair.strength)
        if isinstance(asset, Repair):
            recipe = RECIPES[asset.recipe]
            mask = find_mask_file(files, at["mask"] if asset.region is None else name_mask(asset.region, source))
            context = recipe.padding_mask_crop if asset.padding_mask_crop is None else asset.padding_mask_crop
            pictures |= {"width": source.width, "height": source.height}
            pictures |= {"mask": mask.digest, "padding_mask_crop": context}
        pictures["references"] = tuple(
            ReferenceSpec(
                image=files[at[f"references.{index}.image"]].digest,
                model=self.refs[reference.model],
                scale=at[f"references.{index}.scale"],
            )
            for index, reference in enumerate(asset.references)
        )
        return pictures


def complete_repair(child: ImageSpec, manifest: Manifest, models: PlannedModels, *, changes: Changes) -> ImageSpec:
    """The first repair of an imported picture, which has no model: with that of its asset, sampled as finals are."""
    resolved = Resolved(manifest, manifest.asset(child.asset), Tier.FINAL)
    alias = resolved.get("model")[0]
    loras = resolved.tier_loras(alias, models) | _first(resolved.get("loras"))
    vae, avoided = resolved.get("vae"), resolved.get("negative_prompt")
    update = _sample(resolved, alias, models, loras=loras, changes=changes)
    update |= {"model": models.ref(alias), "vae": models.ref(vae[0]) if vae else None}
    if avoided and changes.negative_prompt is None:
        update["negative_prompt"] = unescape(avoided[0])
    return ImageSpec.model_validate(child.model_copy(update=update).model_dump())


def _first(loras: Mapping[str, Any] | None) -> dict[str, float]:
    return {alias: weights[0] for alias, weights in (loras or {}).items()}


def promote(
    spec: ImageSpec,
    changes: Changes,
    manifest: Manifest,
    models: PlannedModels,
    *,
    picture: str,
    tier: Tier = Tier.FINAL,
) -> ImageSpec:
    """The final of an approved draft: img2img over it (`picture`: SHA-256 of its bytes) with the same seed.

    Sampling and LoRAs are those that the manifest gives this asset's finals; everything else stays the draft's, but for
    what `changes` says.
    """
    resolved, model = Resolved(manifest, manifest.asset(spec.asset), tier), spec.model.alias
    kept = changes.model_copy(update={"tier": None, "keep_seed": changes.seed is None})
    final = apply_changes(spec, kept, picture=picture)
    loras = {lora.alias: lora.weight for lora in spec.loras}
    for alias in Resolved(manifest, resolved.asset, spec.tier).tier_loras(model, models):
        loras.pop(alias, None)
    update = _sample(resolved, model, models, loras=resolved.tier_loras(model, models) | loras, changes=changes)
    update |= {
        "tier": tier,
        "source": picture,
        "mask": spec.mask if spec.kind is AssetKind.REPAIR else None,
        "strength": changes.strength or manifest.promotion.strength,
    }
    return ImageSpec.model_validate(final.model_copy(update=update).model_dump())


def _sample(
    resolved: Resolved, model: str, models: PlannedModels, *, loras: Mapping[str, float], changes: Changes
) -> dict[str, Any]:
    """Sampling and LoRAs that the manifest gives to an image of this asset and tier, but for what `changes` says."""
    at: dict[str, Any] = {"model": model}
    at |= {name: values[0] for name in SAMPLING if name not in WHOLE and (values := resolved.get(name))}

    def setting(name: str) -> Any:
        return resolved.setting(name, at, models, loras=loras).value

    scheduler, scheduler_options = _scheduler(resolved, at, models, loras)
    return {
        "scheduler": scheduler,
        "scheduler_options": scheduler_options,
        "num_inference_steps": changes.num_inference_steps or setting("num_inference_steps"),
        "guidance_scale": setting("guidance_scale") if changes.guidance_scale is None else changes.guidance_scale,
        **{name: setting(name) for name in ("guidance_rescale", "guidance_start", "guidance_end", "pag_scale")},
        "pag_applied_layers": tuple(setting("pag_applied_layers")) if setting("pag_scale") else (),
        "approximation": _find_approximation(resolved),
        "loras": _lora_refs(loras, models),
    }


def _controls(
    asset: AnyAsset,
    at: Mapping[str, Any],
    files: Mapping[str, FrozenFile],
    models: PlannedModels,
    refs: Mapping[str, ModelRef],
) -> tuple[ControlSpec, ...]:
    made = []
    for index, control in enumerate(asset.controls):
        start = f"controls.{index}."
        alias = control.model or models.controlnets[at["model"], control.type]
        made.append(
            ControlSpec(
                type=control.type,
                image=files[at[start + ("image" if control.image else "condition")]].digest,
                model=refs[alias],
                kind="t2i_adapter" if alias in models.adapters else "controlnet",
                control_mode=models.modes.get(alias, {}).get(control.type),
                precomputed=control.image is None,
                params=tuple(sorted(control.params.items())),
                controlnet_conditioning_scale=at[start + "controlnet_conditioning_scale"],
                control_guidance_start=at[start + "control_guidance_start"],
                control_guidance_end=at[start + "control_guidance_end"],
            )
        )
    return tuple(made)


def _scheduler(resolved: Resolved, at: Mapping[str, Any], models: PlannedModels, loras: Mapping[str, float]) -> Any:
    """diffusers' class and its options, with those that few-step weights need."""
    name = resolved.setting("scheduler", at, models, loras=loras).value
    options = resolved.get("scheduler_options") or {}
    few = resolved.few(at["model"], loras, models)
    whole = few.completed(name, options) if few is not None else options
    return _resolve(name, tuple(sorted(whole.items())))


def _find_approximation(resolved: Resolved) -> Approximation | None:
    """None for one that changes nothing, which is the same image."""
    said: Approximation | None = resolved.get("approximation")
    return None if said is None or said.is_exact else said


def _lora_refs(loras: Mapping[str, float], models: PlannedModels) -> tuple[LoraRef, ...]:
    """By alias; a weight of 0 is no LoRA at all."""
    return tuple(
        LoraRef(alias=alias, digest=models.digests[alias], weight=weight)
        for alias, weight in sorted(loras.items())
        if weight
    )


@lru_cache(maxsize=1024)
def _resolve(name: str, options: tuple[tuple[str, Any], ...]) -> Any:
    return resolve_scheduler(name, dict(options))


@lru_cache(maxsize=1024)
def _template(text: str) -> Template:
    return Template(text)


def _filled(text: str, words: Mapping[str, str]) -> str:
    return _template(text).substitute(words) if "$" in text else text
