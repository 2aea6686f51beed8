"""ImageSpec: everything that fixes one image, and the three keys that follow from it.

Nothing that affects a pixel lives outside `ImageSpec`; nothing in it is about who asked, when, or how urgent it is.

The canonical form behind `ImageSpec.digest` (docs/spec.md):
  * a JSON object of the fields that differ from their defaults, nested objects likewise, so that a field added
    later with a default changes no digest that exists;
  * keys sorted by code point, separators "," and ":", no other white space, UTF-8, non-ASCII text unescaped;
  * numbers declared as float always with a point or exponent (Python's shortest repr), never NaN, infinity or -0.0;
  * `engine_version` is always present.
The digest is the lower-case hex SHA-256 of these bytes.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

ENGINE_VERSION = 1
"""Raised by hand whenever the same spec would give visibly other pixels than before."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _plain_zero(value: float) -> float:
    return value + 0.0


Real = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_plain_zero)]
"""A finite float; -0.0 becomes 0.0, since both would make the same image."""

LONGEST_PROMPT = 8000
"""Letters; SDXL's text encoders read about 300 of them."""
STEPS = Field(ge=1, le=500)
GUIDANCE = Field(ge=0.0, le=50.0)
PAG = Field(ge=0.0, le=20.0)
STRENGTH = Field(gt=0.0, le=1.0)
CONTROL_SCALE = Field(ge=0.0, le=4.0)
REFERENCE_SCALE = Field(ge=0.0, le=2.0)
PART = Field(ge=0.0, le=1.0)
"""Bounds, the same for what an art lead writes, what a reviewer changes and what is planned."""

LongText = Annotated[str, Field(max_length=LONGEST_PROMPT)]
Steps = Annotated[int, STEPS]
Guidance = Annotated[Real, GUIDANCE]
Strength = Annotated[Real, STRENGTH]
ControlScale = Annotated[Real, CONTROL_SCALE]
ReferenceScale = Annotated[Real, REFERENCE_SCALE]
Part = Annotated[Real, PART]


class AssetKind(StrEnum):
    """What sort of asset an image belongs to."""

    RENDER = "render"
    TEXTURE = "texture"
    REPAIR = "repair"
    IMPORT = "import"
    """A picture made elsewhere. No weights are needed to take it in; what is repaired in it is a repair."""


class Tier(StrEnum):
    """`draft`: few-step, distilled, to choose from. `final`: full quality, to deliver."""

    DRAFT = "draft"
    FINAL = "final"


class Task(StrEnum):
    """Which of diffusers' pipelines makes the image; follows from `source` and `mask`."""

    TXT2IMG = "txt2img"
    IMG2IMG = "img2img"
    INPAINT = "inpaint"
    IMPORT = "import"
    """None of them: the picture is there."""


DigitalSource = Literal[
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicallyEnhanced",
    "algorithmicMedia",
    "digitalCreation",
    "humanEdits",
    "digitalCapture",
    "compositeCapture",
    "screenCapture",
    "virtualRecording",
    "negativeFilm",
    "positiveFilm",
    "print",
    "composite",
    "compositeSynthetic",
    "dataDrivenMedia",
]
"""How a picture came to be, in IPTC's words (NewsCodes, Digital Source Type)."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRef(Frozen):
    """Weights by the studio's alias and by the SHA-256 of their files (engine/model_files.py says how it is taken)."""

    alias: str
    digest: Sha256


NO_MODEL = ModelRef(alias="none", digest="0" * 64)
"""Of an imported picture."""


class LoraRef(ModelRef):
    weight: Real = 1.0


class EmbeddingRef(ModelRef):
    """A textual inversion, and the word in the prompts that its vectors stand for."""

    token: str


class ControlSpec(Frozen):
    """One ControlNet, or one T2I-Adapter, over one condition.

    `image` is the digest of the source picture's bytes, or of the condition itself when `precomputed`.
    `params` are the detector's own (canny: low_threshold, high_threshold), sorted by name.
    """

    type: str
    image: Sha256
    model: ModelRef
    precomputed: bool = False
    params: tuple[tuple[str, Real], ...] = ()
    control_mode: int | None = None
    """The condition's number in a ControlNet-Union, from the catalogue; None for an ordinary ControlNet."""
    kind: Literal["controlnet", "t2i_adapter"] = "controlnet"
    controlnet_conditioning_scale: ControlScale = 1.0
    control_guidance_start: Part = 0.0
    control_guidance_end: Part = 1.0

    def condition_key(self, width: int, height: int) -> str:
        """Where the condition for an image of this size is kept in the object store; computed once per source."""
        recipe: tuple[object, ...] = (self.image, self.type, self.params, width, height)
        if self.precomputed:  # the same picture may be a source for one control and a condition for another
            recipe = (*recipe, "precomputed")
        name = hashlib.sha256(to_canonical_json(recipe)).hexdigest()
        return f"conditions/{name[:2]}/{name}.png"


class ReferenceSpec(Frozen):
    """A picture that shows the style (IP-Adapter), and how much it counts."""

    image: Sha256
    model: ModelRef
    scale: ReferenceScale = 0.6


class Hires(Frozen):
    """A first pass at this size (px), enlarged and drawn over with `strength` at the size of the image."""

    width: int
    height: int
    strength: Strength
    num_inference_steps: Steps | None = None
    """Of the second pass; None: as many as the first."""
    upscaler: ModelRef | None = None
    """A learned enlarger; None: Lanczos."""
    tile: int | None = None
    """px; the second pass goes in overlapping windows of this side. None: at once."""


class SeamRepair(Frozen):
    """A second pass over the edges, rolled into the middle, so that they meet."""

    axes: Literal["x", "y", "xy"] = "xy"
    strength: Strength


class Refiner(Frozen):
    """SDXL's second model, which takes over at `denoising_start` (the base's `denoising_end`), 0 to 1."""

    model: ModelRef
    denoising_start: Real = 0.8
    aesthetic_score: Real = 6.0
    negative_aesthetic_score: Real = 2.5


StorageDtype = Literal["float8_e4m3fn", "int8", "int4"]


class Approximation(Frozen):
    """What is computed less often than at every step, or not to the end; in a manifest under `approximation`."""

    cache_interval: Annotated[int, Field(strict=True, ge=1, le=20)] = Field(
        1,
        description="DeepCache: the whole UNet and the ControlNets only at every so many steps; 1 is all",
        examples=[2],
    )
    cache_branch_id: Annotated[int, Field(strict=True, ge=0, le=30)] = Field(
        0, description="DeepCache: skip connection, 0 the outermost, up to which the steps between are computed"
    )
    tgate_after: Annotated[Real, Field(strict=True, gt=0.0, le=1.0)] = Field(
        1.0,
        description="T-GATE: after this part of the steps no guidance, and cross-attention is not computed again",
        examples=[0.5],
    )

    @property
    def is_exact(self) -> bool:
        """Whether it leaves every picture as it is."""
        return self.cache_interval == 1 and self.tgate_after == 1.0


class CutOut(Frozen):
    """The subject is cut from its ground after the picture is made (engine/cutout.py): by a matting model, or where
    there is none by keying out a flat ground; `holes`: enclosed places of the ground's colour too."""

    model: ModelRef | None = None
    holes: bool = True


PER_ROW: dict[str, Any] = {
    **dict.fromkeys(("engine_version", "project", "asset", "variant", "kind", "tier", "parent", "take"), True),
    **dict.fromkeys(("prompt", "negative_prompt", "prompt_2", "negative_prompt_2", "embeddings", "seed"), True),
    **dict.fromkeys(("source", "mask", "padding_mask_crop", "keep_colour", "background", "digital_source"), True),
    "controls": {"__all__": {"type", "image", "precomputed", "params"}},
    "references": {"__all__": {"image"}},
}
"""What may differ from row to row of one forward pass. A field that is not named here is in `batch_key`: to forget one
costs speed and never a wrong picture. (Which pipeline runs follows from `source` and `mask`; that is in the key. Of an
ordinary ControlNet's scale the key has whether there is one.)"""


class ImageSpec(Frozen):
    """One image, completely. Sizes in pixels; names are diffusers' own."""

    engine_version: int = ENGINE_VERSION
    project: str
    asset: str
    variant: str
    kind: AssetKind = AssetKind.RENDER
    tier: Tier = Tier.FINAL

    prompt: LongText
    negative_prompt: LongText = ""
    prompt_2: LongText | None = None
    negative_prompt_2: LongText | None = None
    seed: Seed
    width: int
    height: int

    scheduler: str = "EulerDiscreteScheduler"
    scheduler_options: tuple[tuple[str, bool | float | str], ...] = ()
    num_inference_steps: Steps
    guidance_scale: Guidance
    guidance_rescale: Part = 0.0
    guidance_start: Part = 0.0
    guidance_end: Part = 1.0
    """Guidance only from and to these parts of the steps; outside, the negative prompt is not computed."""
    clip_skip: int | None = None
    pag_scale: Annotated[Real, PAG] = 0.0
    """Perturbed-attention guidance; 0 is none."""
    pag_applied_layers: tuple[str, ...] = ()
    """Parts of the names of the UNet's self-attention layers that it perturbs; empty exactly when it is off."""
    approximation: Approximation | None = None
    """None: every step is computed whole."""

    model: ModelRef
    vae: ModelRef | None = None
    storage_dtype: StorageDtype | Literal[""] = ""
    """An approximation: the weights of UNet and ControlNets held in this type, computed in the device's own."""
    loras: tuple[LoraRef, ...] = ()
    embeddings: tuple[EmbeddingRef, ...] = ()
    controls: tuple[ControlSpec, ...] = ()
    references: tuple[ReferenceSpec, ...] = ()

    source: Sha256 | None = None
    strength: Real | None = None
    """0 to 1 wherever it comes from (manifest, Changes); unbounded here, for a digest that exists has 1e16 in it."""
    mask: Sha256 | None = None
    padding_mask_crop: int | None = None
    """Inpaint only the mask's surroundings, with so many px of context, enlarged to the image's size and put back."""
    seamless: Literal["", "x", "y", "xy"] = ""
    keep_colour: bool = False
    """The result's colours are moved to the source's: mean and spread of each Lab channel."""
    hires: Hires | None = None
    seam_repair: SeamRepair | None = None
    refiner: Refiner | None = None
    background: CutOut | None = None
    """None: opaque."""
    digital_source: DigitalSource | None = None
    """Of an imported picture; of every other it follows from how it is made (storage/image_metadata.py)."""

    parent: Sha256 | None = None
    """Digest of the spec this one was made again from (a retake or a promotion)."""
    take: int = 1
    """1 for a first image, one more for each retake in its line."""

    @model_validator(mode="after")
    def _is_whole_import(self) -> Self:
        said = (self.source is not None, self.digital_source is not None, self.model == NO_MODEL)
        if self.is_imported and said != (True, True, True):
            raise ValueError("got an import without a source, without a digital source type, or with a model")
        if not self.is_imported and self.digital_source is not None:
            raise ValueError("got a digital source type for what is made; it follows from how that is done")
        return self

    @model_validator(mode="after")
    def _has_a_strength(self) -> Self:
        if self.source is not None and self.strength is None and not self.is_imported:
            raise ValueError("got a source without a strength; the plan decides the strength of every picture's change")
        return self

    @property
    def is_imported(self) -> bool:
        """Whether the image is a given picture as it is."""
        return self.kind is AssetKind.IMPORT

    @property
    def task(self) -> Task:
        if self.is_imported:
            return Task.IMPORT
        if self.source is None:
            return Task.TXT2IMG
        return Task.INPAINT if self.mask is not None else Task.IMG2IMG

    @property
    def controlnets(self) -> tuple[ControlSpec, ...]:
        return tuple(control for control in self.controls if control.kind == "controlnet")

    @property
    def adapters(self) -> tuple[ControlSpec, ...]:
        return tuple(control for control in self.controls if control.kind == "t2i_adapter")

    def body(self) -> dict[str, Any]:
        """What the digest covers and what every record keeps: all that is not a default, and the engine's version."""
        return {**self.model_dump(mode="json", exclude_defaults=True), "engine_version": self.engine_version}

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the canonical form."""
        return hashlib.sha256(to_canonical_json(self.body())).hexdigest()

    @cached_property
    def batch_key(self) -> str:
        """Specs with the same key can share one forward pass: they agree in every field that is not in PER_ROW."""
        if self.is_imported:
            return _key(self.task)
        body = self.model_dump(mode="json", exclude=PER_ROW)
        for control in body["controls"]:
            if control["kind"] == "controlnet" and control["control_mode"] is None:
                control["controlnet_conditioning_scale"] = float(control["controlnet_conditioning_scale"] > 0)
        return _key(body, self.task, self.padding_mask_crop is not None)

    @cached_property
    def affinity_key(self) -> str:
        """Specs with the same key need the same weights on the device; batches that share it form a shift."""
        if self.is_imported:
            return _key(self.task)
        return _key(
            self.model.digest,
            self.vae.digest if self.vae else None,
            [(lora.digest, lora.weight) for lora in self.loras],
            [control.model.digest for control in self.controls],
            [reference.model.digest for reference in self.references],
            self.refiner.model.digest if self.refiner else None,
            *filter(None, [self.storage_dtype]),
        )

    def models(self) -> tuple[ModelRef, ...]:
        """Every model that this spec needs."""
        if self.is_imported:
            return ()
        extra = [self.vae, self.hires.upscaler if self.hires else None, self.refiner.model if self.refiner else None]
        asked = [
            *([self.background.model] if self.background and self.background.model else []),
            *self.loras,
            *self.embeddings,
            *(control.model for control in self.controls),
            *(r.model for r in self.references),
        ]
        return (self.model, *(ref for ref in extra if ref is not None), *asked)

    def digests_needed(self) -> frozenset[str]:
        """Digests of every picture this spec reads: source, mask, control and reference images."""
        wanted = [self.source, self.mask, *(control.image for control in self.controls)]
        wanted += [reference.image for reference in self.references]
        return frozenset(digest for digest in wanted if digest)


def to_canonical_json(body: object) -> bytes:
    """The bytes that a digest covers (see the module's docstring)."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _key(*parts: object) -> str:
    return hashlib.sha256(to_canonical_json(parts)).hexdigest()[:24]
