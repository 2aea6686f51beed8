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
from schemas.fewstep import FewStep, few_of
from schemas.fields import pixels
from schemas.manifest import (
    HOUSE_PAG_LAYERS,
    HOUSE_SIZE,
    HOUSE_STRENGTH,
    HOUSE_TIERS,
    AnyAsset,
    FromPictures,
    FrozenFile,
    Manifest,
    RenderAsset,
    Repair,
    Sampling,
    Style,
    TextureVariants,
)
from schemas.matrix import WHOLE, Combination, Matrix, sampling
from schemas.prompt_syntax import unescape
from schemas.repairs import RECIPES, mask_file, mask_name
from schemas.review import Changes, retaken
from schemas.schedulers import resolve
from schemas.spec import (
    ControlSpec,
    EmbeddingRef,
    Hires,
    ImageSpec,
    Kind,
    LoraRef,
    ModelRef,
    ReferenceSpec,
    Refiner,
    SeamRepair,
    Tier,
)
from schemas.words import named

_AS_SAID = ("guidance_rescale", "guidance_start", "guidance_end", "clip_skip", "pag_scale")
_SEAMLESS = {"none": "", "x": "x", "y": "y", "both": "xy"}


@dataclass(frozen=True)
class Models:
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


def count(manifest: Manifest) -> int:
    """Images that `expand` would give. Only the axes that an `exclude` names are enumerated."""
    return sum(Matrix(manifest, asset).count() for asset in manifest.assets)


def expand(manifest: Manifest, files: Mapping[str, FrozenFile], models: Models) -> Iterator[ImageSpec]:
    """Every image of the manifest, asset by asset. Raises KeyError for a file or a model that was not looked up."""
    for asset in manifest.assets:
        yield from expand_asset(manifest, asset, files, models)


def expand_asset(
    manifest: Manifest,
    asset: AnyAsset,
    files: Mapping[str, FrozenFile],
    models: Models,
    *,
    combinations: Iterable[Combination] | None = None,
) -> Iterator[ImageSpec]:
    """The images of one asset, in the order of its matrix; or only those of some of its combinations."""
    plain = Style()
    refs = {alias: models.ref(alias) for alias in models.digests}
    shared = {**manifest.defaults.values, **asset.values}
    negative = asset.negative_prompt or manifest.defaults.negative_prompt or ("",)
    for combination in Matrix(manifest, asset) if combinations is None else combinations:
        at = combination.at
        tier, model = at["tier"], at["model"]
        style = manifest.styles.get(at["style"], plain)

        # 1. Words
        words = {"asset": asset.name, "project": manifest.project}
        words |= {name: at.get(f"values.{name}", texts[0]) for name, texts in shared.items()}
        asked = _filled(at["prompt"], words)
        avoided = [_filled(style.negative_prompt, words), _filled(at.get("negative_prompt", negative[0]), words)]

        # 2. Sampling, from the manifest or else from the model, its few-step weights or the house
        loras: dict[str, float] = tier_loras(manifest, tier, model, models) | style.loras
        loras |= {path.removeprefix("loras."): at[path] for path in at if path.startswith("loras.")}
        few = _few(model, loras, models)
        settings = {
            name: _setting(name, at, tier, model, models, few) for name in ("num_inference_steps", "guidance_scale")
        }
        scheduler, scheduler_options = _scheduler(
            _setting("scheduler", at, tier, model, models, few),
            sampling(manifest, asset, tier, "scheduler_options") or {},
            few,
        )
        settings |= {name: at[name] for name in _AS_SAID if name in at}
        if settings.get("pag_scale"):
            layers = sampling(manifest, asset, tier, "pag_applied_layers")
            settings["pag_applied_layers"] = tuple(layers or HOUSE_PAG_LAYERS)
        width, height = pixels(at.get("size") or _own_size(model, models))

        settings["storage_dtype"] = asset.storage_dtype or manifest.defaults.storage_dtype or ""
        hires = None if isinstance(asset, Repair) else asset.hires or manifest.defaults.hires
        if hires is not None and tier is Tier.FINAL:
            first = pixels(hires.first_size)
            settings["hires"] = Hires(
                width=first[0],
                height=first[1],
                strength=hires.strength,
                num_inference_steps=hires.num_inference_steps,
                upscaler=refs[hires.upscaler] if hires.upscaler else None,
                tile=hires.tile,
            )

        refiner = asset.refiner or manifest.defaults.refiner
        if refiner is not None and tier is Tier.FINAL and isinstance(asset, RenderAsset):
            settings["refiner"] = Refiner(
                model=refs[refiner.model],
                denoising_start=refiner.denoising_start,
                aesthetic_score=refiner.aesthetic_score,
                negative_aesthetic_score=refiner.negative_aesthetic_score,
            )

        # 3. Pictures
        if isinstance(asset, FromPictures):
            source = files[at["sources"]]
            settings |= {"source": source.digest, "strength": at.get("strength", HOUSE_STRENGTH)}
        if isinstance(asset, TextureVariants):
            settings |= {"seamless": _SEAMLESS[at["seamless"]], "keep_colour": asset.keep_colour}
            if asset.seam_repair is not None:
                axes = _SEAMLESS[asset.seam_repair.axes]
                settings["seam_repair"] = SeamRepair(axes=axes, strength=asset.seam_repair.strength)
        if isinstance(asset, Repair):
            recipe = RECIPES[asset.recipe]
            width, height = source.width, source.height
            mask = mask_file(files, at["mask"] if asset.region is None else mask_name(asset.region, source))
            context = recipe.padding_mask_crop if asset.padding_mask_crop is None else asset.padding_mask_crop
            settings |= {"mask": mask.digest, "padding_mask_crop": context}
            settings["strength"] = at.get("strength", recipe.strength)
            asked = ", ".join(text for text in (recipe.prompt, asked) if text)
            avoided = [recipe.negative_prompt, *avoided]
        settings["controls"] = _controls(asset, at, files, models, refs)

        settings["references"] = tuple(
            ReferenceSpec(
                image=files[at[f"references.{index}.image"]].digest,
                model=refs[reference.model],
                scale=at[f"references.{index}.scale"],
            )
            for index, reference in enumerate(asset.references)
        )

        texts = {
            "prompt": _filled(style.template, {**words, "prompt": asked}),
            "negative_prompt": ", ".join(text for text in avoided if text),
            "prompt_2": _filled(at["prompt_2"], words) if "prompt_2" in at else None,
            "negative_prompt_2": _filled(at["negative_prompt_2"], words) if "negative_prompt_2" in at else None,
        }
        texts = {name: text and unescape(text) for name, text in texts.items()}
        yield ImageSpec(
            project=manifest.project,
            asset=asset.name,
            variant=combination.variant,
            kind=asset.kind,
            tier=tier,
            **texts,
            seed=at["seeds"],
            width=width,
            height=height,
            scheduler=scheduler,
            scheduler_options=scheduler_options,
            model=refs[model],
            vae=refs[at["vae"]] if "vae" in at else None,
            loras=_lora_refs(loras, models),
            embeddings=tuple(
                EmbeddingRef(alias=alias, digest=models.digests[alias], token=models.tokens[alias])
                for alias in sorted(asset.embeddings or manifest.defaults.embeddings or ())
                if any(named(models.tokens[alias], text) for text in texts.values() if text)
            ),
            **settings,
        )


def promoted(
    spec: ImageSpec, changes: Changes, manifest: Manifest, models: Models, *, picture: str, tier: Tier = Tier.FINAL
) -> ImageSpec:
    """The final of an approved draft: img2img over it (`picture`: SHA-256 of its bytes) with the same seed.

    Sampling and LoRAs are those that the manifest gives this asset's finals; everything else stays the draft's, but for
    what `changes` says.
    """
    asset, model = manifest.asset(spec.asset), spec.model.alias
    kept = changes.model_copy(update={"tier": None, "keep_seed": changes.seed is None})
    final = retaken(spec, kept, picture=picture)
    said = {name: sampling(manifest, asset, tier, name) for name in Sampling.model_fields}
    at = {name: values[0] for name, values in said.items() if values and name not in WHOLE}
    options = said["scheduler_options"] or {}
    loras = {lora.alias: lora.weight for lora in spec.loras}
    for alias in tier_loras(manifest, spec.tier, model, models):
        loras.pop(alias, None)
    loras = tier_loras(manifest, tier, model, models) | loras
    few = _few(model, loras, models)
    scheduler, scheduler_options = _scheduler(_setting("scheduler", at, tier, model, models, few), options, few)
    update = {
        "tier": tier,
        "source": picture,
        "mask": spec.mask if spec.kind is Kind.REPAIR else None,
        "strength": changes.strength or manifest.promotion.strength,
        "scheduler": scheduler,
        "scheduler_options": scheduler_options,
        "num_inference_steps": changes.num_inference_steps
        or _setting("num_inference_steps", at, tier, model, models, few),
        "guidance_scale": _setting("guidance_scale", at, tier, model, models, few)
        if changes.guidance_scale is None
        else changes.guidance_scale,
        "guidance_rescale": at.get("guidance_rescale", 0.0),
        "guidance_start": at.get("guidance_start", 0.0),
        "guidance_end": at.get("guidance_end", 1.0),
        "pag_scale": at.get("pag_scale", 0.0),
        "pag_applied_layers": tuple(said["pag_applied_layers"] or HOUSE_PAG_LAYERS) if at.get("pag_scale") else (),
        "loras": _lora_refs(loras, models),
    }
    return ImageSpec.model_validate(final.model_copy(update=update).model_dump())


def _controls(
    asset: AnyAsset,
    at: Mapping[str, Any],
    files: Mapping[str, FrozenFile],
    models: Models,
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


def _setting(name: str, at: Mapping[str, Any], tier: Tier, model: str, models: Models, few: FewStep | None) -> Any:
    """The manifest's, or the model's for this tier where its few-step weights allow it, or theirs, or the house's."""
    if name in at:
        return at[name]
    own = getattr(models.tiers.get(model, {}).get(tier), name, None)
    if few is not None:
        return few.usual(name) if own is None or few.allowed(name, own) else own
    return getattr(HOUSE_TIERS[tier], name)[0] if own is None else own


def _few(model: str, loras: Mapping[str, float], models: Models) -> FewStep | None:
    return few_of([model, *(alias for alias in sorted(loras) if loras[alias])], models.few)


def _scheduler(name: str, options: Mapping[str, Any], few: FewStep | None) -> Any:
    """diffusers' class and its options, with those that few-step weights need."""
    whole = few.completed(name, options) if few is not None else options
    return _resolved(name, tuple(sorted(whole.items())))


def _own_size(model: str, models: Models) -> str:
    side = models.sizes.get(model)
    return f"{side}x{side}" if side else HOUSE_SIZE


def tier_loras(manifest: Manifest, tier: Tier, model: str, models: Models) -> dict[str, float]:
    """alias -> weight: what the manifest says of this tier, or else the model's catalogue entry."""
    said = manifest.tiers.get(tier)
    if said is not None and said.loras is not None:
        return dict(said.loras)
    own = models.tiers.get(model, {}).get(tier)
    return dict(own.loras) if own else {}


def _lora_refs(loras: Mapping[str, float], models: Models) -> tuple[LoraRef, ...]:
    """By alias; a weight of 0 is no LoRA at all."""
    return tuple(
        LoraRef(alias=alias, digest=models.digests[alias], weight=weight)
        for alias, weight in sorted(loras.items())
        if weight
    )


@lru_cache(maxsize=1024)
def _resolved(name: str, options: tuple[tuple[str, Any], ...]) -> Any:
    return resolve(name, dict(options))


@lru_cache(maxsize=1024)
def _template(text: str) -> Template:
    return Template(text)


def _filled(text: str, words: Mapping[str, str]) -> str:
    return _template(text).substitute(words) if "$" in text else text
