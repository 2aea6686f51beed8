"""What checks say and what people decide, and how a decision becomes the next night's spec."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from schemas.spec import (
    AssetKind,
    ControlScale,
    Frozen,
    Guidance,
    ImageSpec,
    LongText,
    ReferenceScale,
    Seed,
    Sha256,
    Steps,
    Strength,
    Tier,
)


class Criterion(StrEnum):
    """What a reviewer looks at. The first three are the house's own and always asked unless a manifest says less."""

    HANDS = "hands"
    TEXT = "text"
    BRAND = "brand"
    COMPOSITION = "composition"
    TECHNICAL = "technical"


class Verdict(StrEnum):
    """`undo` takes the decision before it back; it too is a row, since decisions only append."""

    APPROVE = "approve"
    REJECT = "reject"
    RETAKE = "retake"
    UNDO = "undo"


class Mark(StrEnum):
    """A reviewer's answer on one criterion; absent means not answered."""

    OK = "ok"
    BAD = "bad"


class Result(StrEnum):
    """What a check found. Only `pass` means that it looked and saw nothing wrong."""

    PASS = "pass"
    FLAG = "flag"
    ERROR = "error"
    NOT_CHECKED = "not_checked"


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Region(Frozen):
    """A box as fractions of the image's width and height, from the top left corner."""

    x: Fraction
    y: Fraction
    width: Fraction
    height: Fraction
    criterion: Criterion | None = None
    label: str = ""


Point = tuple[Fraction, Fraction]
Stroke = Annotated[tuple[Point, ...], Field(min_length=1, max_length=500)]


class Shape(StrEnum):
    """What a reviewer draws with. Only an arrow marks no area."""

    BOX = "box"
    BRUSH = "brush"
    ARROW = "arrow"


class Drawing(Region):
    """A place that a reviewer drew. The box is around all of it.

    A brush has `strokes`, lines of points, `thickness` wide as a fraction of the image's width, with round ends. An
    arrow has one, from its tail to its head.
    """

    label: str = Field(default="", max_length=300)
    shape: Shape = Shape.BOX
    strokes: tuple[Stroke, ...] = Field(default=(), max_length=100)
    thickness: Fraction = 0.0

    @model_validator(mode="after")
    def _check_shape(self) -> Drawing:
        if self.shape is Shape.BOX and (self.strokes or self.thickness):
            raise ValueError("a box has no strokes")
        if self.shape is Shape.BRUSH and not (self.strokes and self.thickness):
            raise ValueError("a brush has strokes and a thickness")
        if self.shape is Shape.ARROW and [len(stroke) for stroke in self.strokes] != [2]:
            raise ValueError("an arrow goes from one point to another")
        return self


class Finding(Frozen):
    """What one check says of one image. `score`: 0 nothing wrong, to 1 surely wrong; `sentence` is for a person."""

    check: Criterion
    result: Result
    score: Fraction = 0.0
    sentence: str
    regions: tuple[Region, ...] = ()
    data: dict[str, object] = Field(default_factory=dict)
    """What the check measured, for later analysis (raw words read, distances, hashes)."""


class Reason(StrEnum):
    """Why an image was rejected or sent back, in the words of the review screen."""

    HANDS = "hands wrong"
    TEXT = "unwanted text"
    TEXT_WRONG = "text misspelt"
    OFF_BRAND = "off brand"
    COMPOSITION = "composition"
    ARTEFACT = "artefact"
    SEAM = "visible seam"
    DUPLICATE = "too like another"
    BRIEF = "not what was asked"


class Changes(Frozen):
    """What a retake alters; a field left out stays as the parent had it. All empty means: a new seed.

    `region` asks for the repair of one place: inpaint inside what was drawn, everything else kept from the parent.
    `tier` final on an approved draft promotes it: img2img over the draft, so that seed and composition stay.
    """

    seed: Seed | None = None
    keep_seed: bool = False
    prompt: LongText | None = None
    negative_prompt: LongText | None = None
    strength: Strength | None = None
    controlnet_conditioning_scale: ControlScale | None = None
    guidance_scale: Guidance | None = None
    num_inference_steps: Steps | None = None
    reference_scale: ReferenceScale | None = None
    """Of every picture that shows the style (IP-Adapter)."""
    seamless: Literal["x", "y", "xy"] | None = None
    keep_colour: bool | None = None
    region: Drawing | None = None
    tier: Tier | None = None

    @model_validator(mode="after")
    def _repair_an_area(self) -> Changes:
        if self.region is not None and self.region.shape is Shape.ARROW:
            raise ValueError("an arrow marks no area to repair; draw a box or use the brush")
        return self


def spell_errors(wrong: ValidationError) -> str:
    """What a choice or a change has wrong, in one line and without the values, which can be millions of letters."""
    fields = [
        (".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")) for error in wrong.errors()
    ]
    return "; ".join(f"{field}: {message}" if field else message for field, message in fields[:5])


MAX_REVISION = 2**31 - 2
"""The database keeps revisions as 32-bit integers."""


class Choice(Frozen):
    """A reviewer's act on one image, as the page sends it.

    `revision` is the number of decisions the page had seen on that image; a different number now means that
    somebody decided in between, and the choice is refused (`StaleDecision`), never applied on top.
    """

    image: Sha256
    revision: int = Field(ge=0, le=MAX_REVISION)
    verdict: Verdict
    marks: dict[Criterion, Mark] = Field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    regions: tuple[Drawing, ...] = ()
    note: str = Field(default="", max_length=4000)
    changes: Changes | None = None
    """For `retake`: what to alter. For `approve` of a draft: `Changes(tier=final)` promotes it."""
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How long the image was on the reviewer's screen."""

    @model_validator(mode="after")
    def _check_text(self) -> Choice:
        texts = [self.note, *(region.label for region in self.regions)]
        if self.changes is not None:
            texts += [self.changes.prompt or "", self.changes.negative_prompt or ""]
        if any("\0" in text for text in texts):
            raise ValueError("text must not contain the NUL character")
        return self

    @model_validator(mode="after")
    def _say_why(self) -> Choice:
        grounded = self.reasons or self.regions or self.note.strip() or Mark.BAD in self.marks.values()
        if self.verdict in (Verdict.REJECT, Verdict.RETAKE) and not (grounded or self.changes):
            raise ValueError("reject and retake need a criterion marked bad, a region, a reason or a note")
        if self.verdict not in (Verdict.RETAKE, Verdict.APPROVE) and self.changes is not None:
            raise ValueError("changes go with retake, or with the approval of a draft")
        return self


REPAIR_CONTEXT = 32
"""px around a region that its repair sees; the place is enlarged to the image's size while it is repainted."""


REPAIR_STRENGTH = 0.75
"""Of a repair that says none."""


def derive_seed(parent: str, take: int) -> int:
    """The seed of a retake that names none: fixed by its parent, so that planning it twice plans one image."""
    return int.from_bytes(hashlib.sha256(f"{parent}/{take}".encode()).digest()[:4])


def apply_changes(spec: ImageSpec, changes: Changes, *, picture: str, mask: str | None = None) -> ImageSpec:
    """The spec that makes `spec`'s image again with `changes`. Pure; the same arguments give the same digest.

    `picture`: SHA-256 of the parent image's own bytes, the source when a region is repaired.
    `mask`: SHA-256 of the mask picture (white = repaint), needed when `changes.region` is given.
    Tier defaults for a promotion, and the model that repairs an imported picture, are the caller's
    (tasks/planning/plan.py), which knows the manifest. Raises ValueError.
    """
    take = spec.take + 1
    update: dict[str, object] = {"parent": spec.digest, "take": take}
    if spec.is_imported:
        check_repair_of_import(spec, changes)
        update |= {"kind": AssetKind.REPAIR, "digital_source": None}
    for name in ("prompt", "negative_prompt", "guidance_scale", "num_inference_steps"):
        value = getattr(changes, name)
        if value is not None:
            update[name] = value
    if changes.seed is not None:
        update["seed"] = changes.seed
    elif not changes.keep_seed:
        update["seed"] = derive_seed(spec.digest, take)
    if changes.strength is not None and (spec.source or changes.region):
        update["strength"] = changes.strength
    if changes.controlnet_conditioning_scale is not None:
        update["controls"] = tuple(
            control.model_copy(update={"controlnet_conditioning_scale": changes.controlnet_conditioning_scale})
            for control in spec.controls
        )
    if changes.reference_scale is not None:
        update["references"] = tuple(
            reference.model_copy(update={"scale": changes.reference_scale}) for reference in spec.references
        )
    if changes.seamless is not None:
        update["seamless"] = changes.seamless
    if changes.keep_colour is not None and spec.source:
        update["keep_colour"] = changes.keep_colour
    if changes.region is not None:
        if mask is None:
            raise ValueError("repairing a region needs its mask")
        update |= {"source": picture, "mask": mask, "strength": changes.strength or REPAIR_STRENGTH}
        update |= {"padding_mask_crop": REPAIR_CONTEXT, "hires": None, "refiner": None}
    return ImageSpec.model_validate(spec.model_copy(update=update).model_dump())


def check_repair_of_import(spec: ImageSpec, changes: Changes) -> None:
    """Raises ValueError for what cannot be done to a picture that was made elsewhere."""
    if changes.region is None:
        raise ValueError("this picture was made elsewhere and cannot be made again; expected a place to repair in it")
    if spec.width % 8 or spec.height % 8 or min(spec.width, spec.height) < 64:
        raise ValueError(
            f"got a picture of {spec.width}x{spec.height} px; expected sides that are multiples of 8, from 64"
        )


def count_reviews(digest: str, double_share: float) -> int:
    """2 for the share of images that two people must review; the digest decides, so asking again changes nothing."""
    return 2 if int(digest[:8], 16) < double_share * 2**32 else 1


BAND = 10_000
"""Ranks of one priority: the place in the inbox within it is 0 to 9,999."""


def rank_in_inbox(priority: int, findings: Sequence[Finding]) -> int:
    """Place in the inbox, smaller first: by priority, then what was flagged, what could not be checked, the rest."""
    results = {finding.result for finding in findings}
    seen = 0 if Result.FLAG in results else 1 if Result.ERROR in results else 2
    return -priority * BAND + seen * (BAND // 3)


def rank_by_chance(rank: int, chance: float) -> int:
    """The place of an image that will be rejected with this chance, 0 to 1: within its priority, likely ones first."""
    return rank // BAND * BAND + round((1 - chance) * (BAND - 1))
