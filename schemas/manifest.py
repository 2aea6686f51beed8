"""What an art lead writes: one file that says which images to make, how they are reviewed and what they are called.

These models are the meaning of a manifest; schemas/reading/manifest_file.py turns bytes into one, with the place of
every error, and schemas/matrix.py counts what it asks for. The field texts here are the published JSON Schema.

Which setting wins, for every image (schemas/resolved.py): the asset's own, then `tiers`, then `defaults`, then what the
model's catalogue entry says of the tier, then the house's (HOUSE_TIERS). A sampling setting (scheduler, steps,
guidance) belongs to the tier named beside it, final when none is: those of a final asset do not reach its drafts, nor
the other way round.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema

from schemas.delivery_files import (
    AlphaKind,
    Channels,
    Fit,
    MapFormat,
    MapKind,
    PackName,
    PictureFormat,
    Sides,
    WatermarkSetting,
)
from schemas.delivery_presets import PresetName, find_preset
from schemas.fields import (
    Alias,
    Colour,
    Day,
    DeliveryName,
    Flag,
    Name,
    Number,
    Part,
    Picture,
    Prompt,
    Scheduler,
    Seeds,
    Several,
    Size,
    Spoken,
    Text,
    Whole,
    find_placeholders,
)
from schemas.review import Criterion, Reason
from schemas.spec import (
    CONTROL_SCALE,
    GUIDANCE,
    PAG,
    REFERENCE_SCALE,
    STEPS,
    STRENGTH,
    Approximation,
    DigitalSource,
    Frozen,
    Sha256,
    StorageDtype,
    Tier,
)

CONTROL_TYPES = (
    "canny", "lineart_standard", "shuffle",  # need no weights
    "lineart", "hed", "softedge", "pidinet", "teed", "anyline", "scribble", "mlsd", "depth", "normal", "pose",
)  # fmt: skip
"""Conditions that the engine can compute from a picture; any other type needs a precomputed `condition`."""


class _OrWord:
    """In the JSON Schema: the section, or one of these words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.words)}, handler(schema)]}


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Weight = Annotated[Number, Field(ge=-4.0, le=4.0)]
Loras = dict[Alias, Several[Weight]]
Options = dict[str, bool | float | str]
Layer = Annotated[str, Field(strict=True, pattern=r"^(down|mid|up)[a-z0-9_.]{0,80}$")]


class Sampling(Section):
    """How an image is denoised. A field left out is filled from `tiers`, `defaults`, the model, the house."""

    scheduler: Several[Scheduler] | None = Field(
        None, description="sampler, by diffusers' class name or its usual alias", examples=["Euler", "DPM++ 2M Karras"]
    )
    scheduler_options: Options | None = Field(
        None, description="the scheduler's own options", examples=[{"timestep_spacing": "trailing"}]
    )
    num_inference_steps: Several[Annotated[Whole, STEPS]] | None = Field(
        None, description="denoising steps", examples=[30]
    )
    guidance_scale: Several[Annotated[Number, GUIDANCE]] | None = Field(
        None, description="classifier-free guidance; 1 or less switches it off", examples=[6.5]
    )
    guidance_rescale: Several[Part] | None = Field(None, description="0 to 1, against overexposure", examples=[0.0])
    guidance_start: Several[Part] | None = Field(None, description="guide from this part of the steps on, 0 to 1")
    guidance_end: Several[Part] | None = Field(
        None, description="guide to this part of the steps; a step without guidance costs half", examples=[0.8]
    )
    clip_skip: Several[Annotated[Whole, Field(ge=1, le=11)]] | None = Field(
        None,
        description="layers of the text encoders to leave out; A1111's Clip skip less 1 (SD 1.5) or 2 (SDXL)",
        examples=[1],
    )
    pag_scale: Several[Annotated[Number, PAG]] | None = Field(
        None, description="perturbed-attention guidance, beside or instead of the other; 0 is none", examples=[3.0]
    )
    pag_applied_layers: tuple[Layer, ...] | None = Field(
        None, min_length=1, description="self-attention layers that PAG perturbs, by parts of their names; else mid",
        examples=[["mid"], ["down_blocks.2", "mid"]],
    )  # fmt: skip
    approximation: Approximation | None = Field(
        None,
        description="fewer computations for other pictures (docs/performance.md)",
        examples=[{"cache_interval": 2}],
    )


class TierSettings(Sampling):
    """Sampling of one tier, and the LoRAs that make it possible (a distilled one for drafts)."""

    loras: dict[Alias, Weight] | None = Field(
        None, description="instead of those that the model has for this tier", examples=[{"studio-tiny/lcm": 1.0}]
    )


class Style(Section):
    """A look to be shared by assets."""

    prompt: Prompt = Field(
        "$prompt",
        description="$prompt stands for the asset's own; without it these words are put behind the asset's own",
        examples=["$prompt, flat style, on a white background"],
    )
    negative_prompt: Prompt = Field("", description="put before the asset's own", examples=["text, watermark"])
    loras: dict[Alias, Weight] = Field(
        default_factory=dict, description="LoRAs this look needs", examples=[{"studio-tiny/style": 0.8}]
    )

    @property
    def template(self) -> str:
        """`prompt` with the asset's own in it, whatever the style says: no style drops a prompt."""
        if "prompt" in find_placeholders(self.prompt):
            return self.prompt
        return f"$prompt, {self.prompt}" if self.prompt.strip() else "$prompt"


class BrandGuide(Section):
    """What is on brand. The checks compare against it; people decide."""

    palette: tuple[Colour, ...] = Field((), description="colours in quotes", examples=[["#d62828", "#1d3557"]])
    tolerance: Number = Field(12.0, ge=0, le=100, description="largest CIEDE2000 distance that is still the palette's")
    allowed_words: tuple[Text, ...] = Field((), description="words that may be seen", examples=[["INN", "SHOP"]])
    forbidden_words: tuple[Text, ...] = Field((), description="words that must not be seen, whatever else is allowed")
    references: tuple[Picture, ...] = Field((), description="pictures that show the brand")
    logos: tuple[Picture, ...] = Field(
        (), max_length=8, description="logos as pictures: flagged where one is found bent, recoloured or cropped"
    )
    forbidden_colours: tuple[Colour, ...] = Field(
        (), description="colours that the subject must not have, in quotes", examples=[["#00a651"]]
    )
    text_expected: Literal["none", "allowed", "any"] = Field(
        "none", description="none: no text at all; allowed: only `allowed_words`; any: whatever is not forbidden"
    )
    text_language: Text | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="reads text with this one of the settings' `text_readers`; none: with the one that ships",
        examples=["ukrainian"],
    )


class TextRequest(Section):
    """Words that must be in the picture. The text check reads them letter by letter; people decide."""

    must_read: Annotated[Prompt, Field(min_length=1, max_length=200, pattern=r"\S")] = Field(
        description="exactly these words, in any capitals; $placeholders stand for the image's own values",
        examples=["SUPER COLA", "$word"],
    )
    where: Annotated[Text, Field(max_length=80)] = Field(
        "", description="where they stand, for people", examples=["the sign"]
    )
    language: Text | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="of the settings' `text_readers`, for this asset; none: `brand.text_language`",
        examples=["ukrainian"],
    )


class HiresPass(Section):
    """For pictures larger than the model was trained at: composed small, then enlarged and drawn over."""

    first_size: Size = Field(description="px, of the first pass; the asset's size is the last one's", examples=[1024])
    strength: Annotated[Number, STRENGTH] = Field(0.35, description="how far from the enlarged picture")
    num_inference_steps: Annotated[Whole, STEPS] | None = Field(
        None, description="of the second pass; else as many as the first"
    )
    upscaler: Alias | None = Field(None, description="a learned enlarger (ESRGAN and its kin), by alias; else Lanczos")
    tile: Annotated[Whole, Field(ge=64, le=4096, multiple_of=64)] | None = Field(
        None, description="px; the second pass goes in overlapping windows of this side; else at once", examples=[1024]
    )


class SeamPass(Section):
    """For a source that does not tile: its edges, rolled into the middle, are painted over there."""

    axes: Literal["x", "y", "both"] = Field("both", description="which edges are to meet")
    strength: Annotated[Number, STRENGTH] = Field(0.7, description="how far from what is there")


class RefinerPass(Section):
    """SDXL's second model walks the last part of the steps. Finals only; drafts do without."""

    model: Alias = Field(description="refiner, by its alias in the catalogue", examples=["sdxl/refiner"])
    denoising_start: Annotated[Number, Field(gt=0.0, lt=1.0)] = Field(
        0.8, description="the part of the steps that is the base's (its `denoising_end`)"
    )
    aesthetic_score: Annotated[Number, Field(ge=0.0, le=10.0)] = Field(6.0, description="what the refiner aims at")
    negative_aesthetic_score: Annotated[Number, Field(ge=0.0, le=10.0)] = Field(2.5, description="and away from")


class Background(Section):
    """How the subject is cut from its ground. `transparent` alone keys a flat ground out."""

    by: Literal["key", "model", "none"] = Field(
        "key", description="key: the flat ground that the style asked for is keyed out; model: by a matting model"
    )
    model: Alias | None = Field(None, description="matting model, by its alias", examples=["studio/birefnet"])
    holes: Flag = Field(True, description="key: enclosed places of the ground's colour are transparent too")


def _background(value: Any) -> Any:
    """The two words, as what they mean."""
    return (
        {"transparent": {"by": "key"}, "opaque": {"by": "none"}}.get(value, value) if isinstance(value, str) else value
    )


class Shared(Sampling):
    """What `defaults` and every asset can say. Any field may be a list: then every value is made."""

    size: Several[Size] | None = Field(None, description="px: 1024, or WIDTHxHEIGHT", examples=[1024, "1216x832"])
    tier: Several[Tier] | None = Field(None, description="draft: few steps, to choose from; final: to deliver")
    seeds: Seeds | None = Field(None, description="how many (4), or which ones ([11, 12])", examples=[4, [11, 12]])
    style: Several[Alias] | None = Field(None, description="a name under `styles`; none for none", examples=["icon"])
    negative_prompt: Several[Prompt] | None = Field(None, description="what to keep out", examples=["blurry"])
    values: dict[Alias, Several[Spoken]] = Field(
        default_factory=dict, description="what $placeholders stand for", examples=[{"colour": ["red", "blue"]}]
    )
    strength: Several[Annotated[Number, STRENGTH]] | None = Field(
        None, description="textures: how far from the source, 0 to 1 (0.5 when not said)", examples=[[0.3, 0.5]]
    )
    storage_dtype: StorageDtype | None = Field(
        None,
        description="an approximation: hold the weights in 8 bits or 4, in half the memory or a third; pictures change",
    )
    hires: HiresPass | None = Field(None, description="a second pass for large finals; drafts do without")
    refiner: RefinerPass | None = Field(None, description="SDXL's second model for finals; drafts do without")
    background: Annotated[Background, BeforeValidator(_background), _OrWord("transparent", "opaque")] | None = Field(
        None,
        description="transparent: the subject is cut out after it is made, and delivered with alpha (renders, repairs)",
        examples=["transparent", {"by": "model", "model": "studio/birefnet"}],
    )
    embeddings: Several[Alias] | None = Field(
        None, description="textual inversions that prompts may name by their words; all at once, not an axis"
    )
    text: TextRequest | None = Field(
        None, description="words that must be in the picture, whatever `brand.text_expected` says"
    )
    criteria: Several[Criterion] | None = Field(
        None, description="what reviewers look at; all at once, not an axis", examples=[["text", "brand"]]
    )


class Defaults(Shared):
    """For every asset that does not say otherwise."""


class Control(Section):
    """One ControlNet or T2I-Adapter. Give a picture (`image`), or the finished condition (`condition`), not both."""

    type: Alias = Field(description="what is kept of the picture", examples=["canny", "depth", "pose"])
    image: Several[Picture] | None = Field(None, description="picture from which the condition is computed")
    condition: Several[Picture] | None = Field(None, description="finished condition, used as it is")
    model: Alias | None = Field(None, description="ControlNet or T2I-Adapter alias; else the model's own for this type")
    params: dict[Alias, Number] = Field(
        default_factory=dict, description="the detector's own", examples=[{"low_threshold": 80, "high_threshold": 160}]
    )
    controlnet_conditioning_scale: Several[Annotated[Number, CONTROL_SCALE]] = Field(
        (1.0,), description="how strongly it is followed", examples=[0.8]
    )
    control_guidance_start: Several[Part] = Field((0.0,), description="from this part of the steps on, 0 to 1")
    control_guidance_end: Several[Part] = Field((1.0,), description="to this part of the steps, 0 to 1")


class Reference(Section):
    """A picture that shows the style instead of telling it (IP-Adapter)."""

    image: Several[Picture] = Field(description="picture whose look is taken", examples=["brand/hero.png"])
    model: Alias = Field(description="IP-Adapter, by its alias in the catalogue")
    scale: Several[Annotated[Number, REFERENCE_SCALE]] = Field((0.6,), description="how much it counts")


class Asset(Shared):
    """What both kinds of asset have."""

    name: Name = Field(description="unique in the manifest", examples=["Red Potion"])
    prompt: Several[Prompt] = Field(description="what to make, with $placeholders", examples=["a $colour potion"])
    prompt_2: Several[Prompt] | None = Field(None, description="for SDXL's second text encoder; else `prompt`")
    negative_prompt_2: Several[Prompt] | None = Field(None, description="the same for `negative_prompt`")
    model: Several[Alias] | None = Field(None, description="another model than the manifest's")
    vae: Several[Alias] | None = Field(None, description="another VAE than the model's own")
    loras: Loras | None = Field(
        None, description="instead of the manifest's", examples=[{"studio-tiny/style": [0.4, 0.8]}]
    )
    zip: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(lambda v: _groups(v))] = Field(
        (),
        description="fields whose lists go together, first with first, instead of every combination",
        examples=[["values.colour", "seeds"], [["prompt", "seeds"], ["size", "style"]]],
        json_schema_extra={"items": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}},
    )
    exclude: tuple[dict[str, Several[Any]], ...] = Field(
        (), description="combinations not to make", examples=[[{"values.colour": "red", "style": "pixel"}]]
    )
    controls: tuple[Control, ...] = Field((), max_length=8, description="ControlNets and T2I-Adapters, together")
    references: tuple[Reference, ...] = Field((), max_length=4, description="pictures that show the style, together")
    delivery_name: DeliveryName | None = Field(None, description="instead of `delivery.name`")
    note: Text = Field("", description="for people; changes no image")
    watermark: Flag | None = Field(
        None, description="false: not in this asset's pictures; true: even in those of 256 colours or fewer"
    )
    used_in: Text = Field("", description="where players or viewers see it, for `dailies disclosure`", max_length=300)

    @property
    def shown(self) -> tuple[str, ...]:
        """Pictures of its controls and references."""
        given = (path for control in self.controls for path in (*(control.image or ()), *(control.condition or ())))
        return (*given, *(path for reference in self.references for path in reference.image))


class RenderAsset(Asset):
    """Made from text, and from the structure of pictures when there are controls."""

    kind: Literal["render"] = "render"

    @property
    def pictures(self) -> tuple[str, ...]:
        return self.shown


class FromPictures(Asset):
    """What starts from given pictures."""

    sources: Several[Picture] = Field(description="pictures to start from", examples=["sources/brick.png"])

    @property
    def pictures(self) -> tuple[str, ...]:
        return (*self.sources, *self.shown)


class TextureVariants(FromPictures):
    """Variants of given pictures (img2img): every source with every strength, seed and prompt."""

    kind: Literal["texture"] = "texture"
    seamless: Several[Literal["none", "x", "y", "both"]] = Field(
        ("none",), description="which edges meet when the texture is tiled"
    )
    keep_colour: Flag = Field(False, description="move the result's colours back to the source's")
    seam_repair: SeamPass | None = Field(None, description="a second pass over the edges, so that they meet")
    maps: tuple[MapKind, ...] = Field(
        (), max_length=6, description="derived from the approved image and delivered beside it, labelled as derived"
    )
    metallic: Part = Field(0.0, description="of the metallic map: 0 for none, 1 for bare metal")
    metallic_mask: Picture | None = Field(None, description="instead of `metallic`: a picture, white where metal is")

    @property
    def pictures(self) -> tuple[str, ...]:
        return (*super().pictures, *((self.metallic_mask,) if self.metallic_mask else ()))


class RepairPlace(Section):
    """A box in a picture, as parts of its width and height, from the top left corner."""

    x: Part = Field(description="its left edge, 0 to 1", examples=[0.3])
    y: Part = Field(description="its top edge, 0 to 1", examples=[0.55])
    width: Annotated[Number, Field(gt=0.0, le=1.0)] = Field(description="0 to 1", examples=[0.2])
    height: Annotated[Number, Field(gt=0.0, le=1.0)] = Field(description="0 to 1", examples=[0.2])


class Repair(FromPictures):
    """One place of a given picture painted again; the rest stays to the bit, and so does the picture's size."""

    kind: Literal["repair"] = "repair"
    recipe: Literal["hands", "face", "detail", "replace"] = Field(
        "replace", description="strength, context and words that suit this place; replace: whatever the prompt says"
    )
    region: RepairPlace | None = Field(None, description="the place; or `mask`")
    mask: Several[Picture] | None = Field(
        None, description="picture of the source's size, white where to paint", examples=["pictures/hand_mask.png"]
    )
    padding_mask_crop: Annotated[Whole, Field(ge=0, le=1024)] | None = Field(
        None, description="px of context around the place; else the recipe's"
    )

    @property
    def pictures(self) -> tuple[str, ...]:
        return (*self.sources, *(self.mask or ()), *self.shown)


class Import(FromPictures):
    """Pictures made elsewhere, as they are: checked, reviewed, repaired and delivered like any other.

    Sampling, model and LoRAs are those of a repair that a reviewer asks for.
    """

    kind: Literal["import"] = "import"
    prompt: Several[Prompt] = Field(("",), description="what they show, for people and the search", max_length=1)
    digital_source_type: DigitalSource | None = Field(
        None,
        description="how they were made (IPTC's word); of those that do not say it themselves",
        examples=["digitalCreation"],
    )


ASSET_KINDS: dict[str, type[Asset]] = {
    "render": RenderAsset, "texture": TextureVariants, "repair": Repair, "import": Import,
}  # fmt: skip


def _kind(value: Any) -> str:
    kind = value.get("kind", "render") if isinstance(value, dict) else getattr(value, "kind", "render")
    return kind if kind in ASSET_KINDS else "render"


AnyAsset = RenderAsset | TextureVariants | Repair | Import
AssetRequest = Annotated[
    Annotated[RenderAsset, Tag("render")]
    | Annotated[TextureVariants, Tag("texture")]
    | Annotated[Repair, Tag("repair")]
    | Annotated[Import, Tag("import")],
    Discriminator(_kind),
]


class RetakeDefault(Section):
    """What the retake panel proposes when a reviewer gives this reason; she may change all of it.

    What does not apply to an image (a control scale without a control) is left out.
    """

    way: Literal["seed", "change", "region"] = Field(
        "change", description="seed: only a new seed; change: as below; region: paint only the marked place again"
    )
    add_prompt: Text = Field("", max_length=500, description="put behind the prompt", examples=["five fingers"])
    add_negative: Text = Field("", max_length=500, description="put behind the negative prompt", examples=["text"])
    strength: Annotated[Number, STRENGTH] | None = Field(None, description="of a repair or an img2img")
    guidance_scale: Annotated[Number, GUIDANCE] | None = Field(None, description="instead of the image's")
    control_times: Annotated[Number, Field(gt=0.0, le=4.0)] | None = Field(
        None, description="the control scale, times this"
    )
    reference_times: Annotated[Number, Field(gt=0.0, le=4.0)] | None = Field(
        None, description="the scale of reference pictures, times this"
    )
    seamless: Literal["x", "y", "both"] | None = Field(None, description="tile it")
    keep_colour: Flag | None = Field(None, description="move the colours back to the source's")


StepName = Annotated[str, Field(strict=True, min_length=1, max_length=40, pattern=r"^\S(.*\S)?$")]


class Review(Section):
    """How the images are looked at. Every image is, whatever is said here."""

    criteria: Several[Criterion] = Field(
        (Criterion.HANDS, Criterion.TEXT, Criterion.BRAND), description="what reviewers look at"
    )
    double_share: Part = Field(0.0, description="share of the images that two people must review, 0 to 1")
    steps: tuple[StepName, ...] = Field(
        (),
        description="who looks after whom; delivered is what the last one approved. Groups are in dailies.toml",
        examples=[["art lead", "director", "client"]],
        max_length=8,
    )
    max_retakes: Annotated[Whole, Field(ge=0, le=50)] | None = Field(
        None, description="how often one image may be sent back; else the studio's setting"
    )
    backgrounds: tuple[Picture, ...] = Field(
        (),
        max_length=6,
        description="pictures from the game, behind cut-outs in the Inbox",
        examples=[["ui/inventory_slot.png", "shots/level1.png"]],
    )
    retakes: dict[Reason, RetakeDefault] = Field(
        default_factory=dict,
        description="what the retake panel proposes, by reason; else the house's (docs/review.md)",
        examples=[{"hands wrong": {"way": "region", "strength": 0.5, "add_negative": "extra fingers"}}],
    )


class PictureReading(Section):
    """How given pictures become 8-bit sRGB, where they are something else."""

    on: Literal["white", "black", "edge"] = Field(
        "white", description="the ground under transparent places; edge: the colour of what is beside them"
    )
    view: Literal["standard", "raw"] = Field(
        "standard", description="OpenEXR: standard is cut to 0..1 with the sRGB curve; raw has no curve, for data"
    )
    licence: Text = Field("", description="of the given pictures, for sidecar and disclosure", examples=["CC0"])
    licences: dict[str, Text] = Field(
        default_factory=dict,
        description="of single ones, by path",
        examples=[{"sources/brick.png": "CC-BY-4.0, A. Lo"}],
    )
    exposure: Annotated[Number, Field(ge=-20.0, le=20.0)] = Field(0.0, description="OpenEXR: stops, before the view")


class Promotion(Section):
    """What becomes of approved drafts. A final starts from its draft (img2img), with the same seed."""

    when: Literal["asked", "always", "never"] = Field(
        "asked", description="asked: the reviewer says so, image by image"
    )
    strength: Annotated[Number, STRENGTH] = Field(0.5, description="how far the final may leave its draft")


class DeliverySettings(Section):
    """What approved images are called and under which terms they leave."""

    name: DeliveryName | None = Field(
        None,
        description="path with fields in braces; else the preset's, else T_{Asset}_{Variant}_BC.png",
        examples=["{project}/{asset}.png"],
    )
    preset: PresetName | None = Field(None, description="names as this engine's users have them", examples=["unreal"])
    engine_files: Flag = Field(
        False,
        description="import settings for the preset's engine beside each file: .meta, .import or .import.json",
    )
    ascii: Flag = Field(False, description="names in ASCII alone: other scripts are transliterated")
    format: PictureFormat = Field(
        "as_made", description="of the pictures; jxl, tga and exr are signed beside, exr is linear light in half floats"
    )
    map_format: MapFormat = Field("png", description="of derived maps; png: 16 bits for heights, 8 for the others")
    packing: dict[PackName, Channels] = Field(
        default_factory=dict,
        max_length=8,
        description="files of every texture that hold one map in each channel, R G B and perhaps A",
        examples=[{"ORM": ["ao", "roughness", "metallic"], "MaskMap": ["metallic", "ao", "black", "smoothness"]}],
    )
    sides: Sides = Field("as_made", description="sides in pixels that the engine wants")
    fit: Fit = Field("pad", description="how a picture gets them: pad (up, evenly) or resize (to the nearest)")
    watermark: WatermarkSetting = Field(
        False,
        description="an invisible mark in the pictures, never in maps: true for the image's digest, or a short id",
        examples=[True, "POTION"],
    )
    alpha: AlphaKind = Field("straight", description="of cut-out pictures; OpenEXR is always premultiplied")
    non_commercial: Flag = Field(
        False, description="what is delivered is not sold, so models under non-commercial licences may have made it"
    )
    licence: Text = Field("", description="put into the sidecar", examples=["all rights reserved, Potion Shop Ltd"])
    metadata: Literal["full", "label", "none"] = Field(
        "full",
        description="what files and sidecars say: full; label: no prompts, no spec; none: only that a model made them",
    )


class Manifest(Section):
    """One order of images."""

    version: Literal[1] = Field(1, description="of this format")
    project: Name = Field(description="images, budgets and reports are kept by project", examples=["Potion Shop"])
    asked_by: Text = Field("", max_length=200, description="who asks; else who submits", examples=["Mara Lind"])
    due: Day | None = Field(None, description="day it is needed", examples=["2026-12-24"])
    priority: Annotated[Whole, Field(ge=-100, le=100)] = Field(0, description="higher is made first", examples=[10])
    note: Text = Field("", description="for people; changes no image")

    model: Alias = Field(description="checkpoint, by its alias in the catalogue", examples=["studio-tiny"])
    vae: Alias | None = Field(None, description="another VAE than the model's own, by alias")
    loras: Loras = Field(default_factory=dict, description="alias: weight", examples=[{"studio-tiny/style": 0.8}])
    styles: dict[Alias, Style] = Field(default_factory=dict, description="looks, by name")
    brand: BrandGuide = Field(default_factory=BrandGuide, description="what is on brand")
    tiers: dict[Tier, TierSettings] = Field(default_factory=dict, description="sampling of draft and final")
    defaults: Defaults = Field(default_factory=Defaults)
    pictures: PictureReading = Field(default_factory=PictureReading)
    review: Review = Field(default_factory=Review)
    promotion: Promotion = Field(default_factory=Promotion)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    assets: tuple[AssetRequest, ...] = Field(
        min_length=1, description="what to make, or the name of a CSV file of assets"
    )

    def asset(self, name: str) -> AnyAsset:
        """Raises KeyError when there is none."""
        for asset in self.assets:
            if asset.name == name:
                return asset
        raise KeyError(name)

    @cached_property
    def positions(self) -> dict[int, int]:
        """id of an asset -> its place in `assets`. By identity: before the check, two may have one name."""
        return {id(asset): number for number, asset in enumerate(self.assets)}

    def criteria_of(self, asset: Asset) -> tuple[Criterion, ...]:
        return asset.criteria or self.defaults.criteria or self.review.criteria

    def text_request(self, asset: Asset) -> TextRequest | None:
        return asset.text or self.defaults.text

    def watermark_of(self, asset: Asset) -> bool | str:
        """As `delivery.watermark`."""
        return False if asset.watermark is False else self.delivery.watermark or bool(asset.watermark)

    def delivery_name_of(self, asset: Asset) -> str:
        return asset.delivery_name or self.delivery.name or find_preset(self.delivery.preset).template


HOUSE_TIERS: dict[Tier, Sampling] = {
    Tier.DRAFT: Sampling(scheduler=("LCM",), num_inference_steps=(6,), guidance_scale=(1.0,)),
    Tier.FINAL: Sampling(scheduler=("Euler",), num_inference_steps=(30,), guidance_scale=(5.0,)),
}
HOUSE_SIZE = "1024x1024"
HOUSE_PAG_LAYERS = ("mid",)
HOUSE_STRENGTH = 0.5


def _groups(value: Any) -> Any:
    """`zip: [a, b]` is one group."""
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return [value]
    return value


class FrozenFile(Frozen):
    """A picture that a manifest names, as it was on the day of its submission. Sizes in pixels."""

    digest: Sha256
    key: str = ""
    """Where it is in the object store; empty while it is only looked at."""
    width: int
    height: int
    remarks: tuple[str, ...] = ()
    """What was changed or should be known, sentence by sentence."""
    digital_source: DigitalSource | None = None
    """What the file itself says of how it was made."""
