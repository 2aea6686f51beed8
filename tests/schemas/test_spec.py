"""ImageSpec's digest: ten of them pinned, every field in it, nothing else; and its batch and affinity keys."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas.spec import (
    ENGINE_VERSION,
    NO_MODEL,
    PER_ROW,
    ControlSpec,
    EmbeddingRef,
    Hires,
    ImageSpec,
    LoraRef,
    ModelRef,
    ReferenceSpec,
    Task,
)

GOLDEN = json.loads((Path(__file__).parent / "golden_specs.json").read_text(encoding="utf-8"))
A, B = "a" * 64, "b" * 64
MODEL = {"alias": "m", "digest": A}
FULL: dict[str, Any] = {
    "engine_version": ENGINE_VERSION,
    "project": "P",
    "asset": "A",
    "variant": "01",
    "kind": "render",
    "tier": "final",
    "prompt": "a potion",
    "negative_prompt": "text",
    "prompt_2": "a flask",
    "negative_prompt_2": "blurry",
    "seed": 7,
    "width": 128,
    "height": 96,
    "scheduler": "DDIMScheduler",
    "scheduler_options": [["eta", 0.5]],
    "num_inference_steps": 20,
    "guidance_scale": 5.0,
    "guidance_rescale": 0.1,
    "guidance_start": 0.1,
    "guidance_end": 0.9,
    "clip_skip": 1,
    "pag_scale": 3.0,
    "pag_applied_layers": ["mid"],
    "approximation": {"cache_interval": 2},
    "model": MODEL,
    "vae": {"alias": "v", "digest": B},
    "storage_dtype": "float8_e4m3fn",
    "loras": [{"alias": "l", "digest": B, "weight": 0.5}],
    "embeddings": [{"alias": "e", "digest": B, "token": "gouache"}],
    "controls": [{"type": "canny", "image": A, "model": MODEL, "params": [["low_threshold", 80.0]]}],
    "references": [{"image": A, "model": MODEL, "scale": 0.5}],
    "source": A,
    "strength": 0.5,
    "mask": B,
    "padding_mask_crop": 16,
    "seamless": "x",
    "keep_colour": True,
    "hires": {"width": 64, "height": 64, "strength": 0.3},
    "seam_repair": {"axes": "x", "strength": 0.7},
    "refiner": {"model": MODEL},
    "background": {"holes": False},
    "parent": A,
    "take": 2,
}
OTHER: dict[str, Any] = {
    **dict.fromkeys(("project", "asset", "variant"), "other"),
    **dict.fromkeys(("prompt", "negative_prompt", "prompt_2", "negative_prompt_2"), "other words"),
    "engine_version": ENGINE_VERSION + 1,
    "kind": "texture",
    "tier": "draft",
    "seed": 8,
    "width": 256,
    "height": 256,
    "scheduler": "EulerDiscreteScheduler",
    "scheduler_options": [["eta", 0.6]],
    "num_inference_steps": 21,
    "guidance_scale": 5.1,
    "guidance_rescale": 0.2,
    "guidance_start": 0.2,
    "guidance_end": 1.0,
    "clip_skip": None,
    "pag_scale": 2.0,
    "pag_applied_layers": ["up_blocks.0"],
    "approximation": {"cache_interval": 2, "tgate_after": 0.5},
    "model": {"alias": "m", "digest": B},
    "vae": None,
    "storage_dtype": "",
    "loras": [{"alias": "l", "digest": B, "weight": 0.6}],
    "embeddings": [{"alias": "e", "digest": A, "token": "gouache"}],
    "controls": [],
    "references": [{"image": A, "model": {"alias": "m", "digest": B}, "scale": 0.6}],
    "source": B,
    "strength": 0.6,
    "mask": A,
    "padding_mask_crop": 32,
    "seamless": "y",
    "keep_colour": False,
    "hires": None,
    "seam_repair": None,
    "refiner": {"model": {"alias": "m", "digest": B}},
    "background": {"model": {"alias": "m", "digest": B}},
    "parent": B,
    "take": 3,
}
WEIGHTS = {"model", "vae", "storage_dtype", "loras", "controls", "references", "refiner"}


def spec(**changes: Any) -> ImageSpec:
    return ImageSpec.model_validate(FULL | changes)


def test_there_are_ten() -> None:
    assert len(GOLDEN) == 10
    assert len({entry["digest"] for entry in GOLDEN}) == 10


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["about"])
def test_a_digest_never_changes(entry: dict[str, Any]) -> None:
    """A digest that changed would make again every image there is. Raise ENGINE_VERSION instead, on purpose."""
    assert ImageSpec.model_validate(entry["body"]).digest == entry["digest"]


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["about"])
def test_the_documented_form_gives_the_same_digest(entry: dict[str, Any]) -> None:
    """docs/spec.md, followed without ImageSpec: sorted keys, no white space, UTF-8, SHA-256."""
    text = json.dumps(entry["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode("utf-8")).hexdigest() == entry["digest"]


MADE = [name for name in ImageSpec.model_fields if name != "digital_source"]
"""Fields of what is made here; the last is an import's alone."""


def an_import(**fields: Any) -> ImageSpec:
    body = {"project": "P", "asset": "A", "variant": "a", "prompt": "", "seed": 0, "width": 64, "height": 64}
    body |= {"num_inference_steps": 1, "guidance_scale": 0.0, "model": NO_MODEL, "source": A}
    return ImageSpec.model_validate({**body, "kind": "import", "digital_source": "print", **fields})


def test_an_import_needs_no_weights_and_shares_a_shift_with_every_other() -> None:
    one, other = an_import(), an_import(source=B, width=72, digital_source="digitalCreation", asset="C")
    assert one.models() == () and one.task is Task.IMPORT and one.digests_needed() == {A}
    assert one.digest != other.digest and an_import(digital_source="digitalCapture").digest != one.digest
    assert (one.batch_key, one.affinity_key) == (other.batch_key, other.affinity_key)
    assert one.affinity_key != spec().affinity_key and one.batch_key != spec().batch_key


@pytest.mark.parametrize(
    "fields", [{"source": None}, {"digital_source": None}, {"model": {"alias": "a", "digest": A}}, {"kind": "texture"}]
)
def test_an_import_is_whole(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"import|digital source type"):
        an_import(**fields)


def test_every_field_is_in_the_examples() -> None:
    assert FULL.keys() == OTHER.keys() == set(MADE)


@pytest.mark.parametrize("field", MADE)
def test_the_digest_feels_every_field(field: str) -> None:
    assert spec(**{field: OTHER[field]}).digest != spec().digest


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("controls", ControlSpec),
        ("loras", LoraRef),
        ("embeddings", EmbeddingRef),
        ("hires", Hires),
        ("vae", ModelRef),
        ("references", ReferenceSpec),
    ],
)
def test_the_digest_feels_every_nested_field(section: str, model: type[BaseModel]) -> None:
    whole = spec().model_dump(mode="json")
    one = whole[section][0] if isinstance(whole[section], list) else whole[section]
    for field in model.model_fields:
        old = one[field]
        given: dict[str, Any] = {"params": [["low_threshold", 81.0]], "precomputed": True, "kind": "t2i_adapter"}
        new = (given | {name: {"alias": "m", "digest": B} for name in ("model", "upscaler")}).get(field)
        if new is None:
            new = (
                (B if old == A else A)
                if isinstance(old, str) and len(old) == 64
                else f"{old}x"
                if isinstance(old, str)
                else None
            )
        if new is None:
            new = 0.25 if isinstance(old, float) else (old or 0) + 8
        changed = {**one, field: new}
        assert spec(**{section: [changed] if isinstance(whole[section], list) else changed}).digest != spec().digest, (
            field
        )


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_digest_ignores_the_order_of_keys(shuffle: random.Random) -> None:
    keys = list(FULL)
    shuffle.shuffle(keys)
    assert ImageSpec.model_validate({key: FULL[key] for key in keys}).digest == spec().digest


def test_the_digest_ignores_how_a_number_or_a_default_is_written() -> None:
    needed = {name for name, field in ImageSpec.model_fields.items() if field.is_required()}
    least = {name: FULL[name] for name in needed}
    plain = ImageSpec.model_validate(least)
    assert ImageSpec.model_validate(plain.model_dump(mode="json")).digest == plain.digest
    assert ImageSpec.model_validate(least | {"guidance_scale": 5}).digest == plain.digest
    assert ImageSpec.model_validate(least | {"guidance_rescale": -0.0}).digest == plain.digest


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_infinite(value: float) -> None:
    with pytest.raises(ValidationError):
        spec(guidance_scale=value)


@pytest.mark.parametrize("field", MADE)
def test_what_shares_a_batch(field: str) -> None:
    """Per row: prompts, seed, pictures and whose it is. Everything that a forward pass takes once: in the key."""
    same = spec(**{field: OTHER[field]}).batch_key == spec().batch_key
    assert same == (PER_ROW.get(field) is True)


def test_a_new_field_is_in_the_batch_key_until_somebody_says_otherwise() -> None:
    class Later(ImageSpec):
        sharpness: float = 0.0

    class LaterControl(ControlSpec):
        blur: float = 0.0

    class LaterStill(ImageSpec):
        controls: tuple[LaterControl, ...] = ()

    control = FULL["controls"][0]
    assert Later.model_validate(FULL | {"sharpness": 1.0}).batch_key != Later.model_validate(FULL).batch_key
    keys = {LaterStill.model_validate(FULL | {"controls": [control | {"blur": blur}]}).batch_key for blur in (0.0, 1.0)}
    assert len(keys) == 2


def test_what_is_made_from_a_picture_says_how_strongly_it_changes_it() -> None:
    with pytest.raises(ValidationError, match="without a strength"):
        spec(strength=None)
    assert spec(source=None, mask=None, strength=None).strength is None


@pytest.mark.parametrize("field", MADE)
def test_what_shares_a_shift(field: str) -> None:
    same = spec(**{field: OTHER[field]}).affinity_key == spec().affinity_key
    assert same == (field not in WEIGHTS)


def test_a_controls_picture_and_scale_are_per_row() -> None:
    """But not whether it has one: without there is no forward pass. A union's and an adapter's are a batch's."""
    control = FULL["controls"][0]
    half, none = {"controlnet_conditioning_scale": 0.5}, {"controlnet_conditioning_scale": 0.0}
    assert spec(controls=[control | {"image": B}]).batch_key == spec().batch_key
    assert spec(controls=[control | half]).batch_key == spec().batch_key
    assert spec(controls=[control | none]).batch_key != spec().batch_key
    for other in (control | {"control_mode": 3}, control | {"kind": "t2i_adapter"}):
        assert spec(controls=[other | half]).batch_key != spec(controls=[other]).batch_key


def test_a_condition_is_computed_once_for_each_source_size_and_setting() -> None:
    control = ControlSpec.model_validate(FULL["controls"][0])
    keys = {
        control.condition_key(128, 96),
        control.condition_key(96, 128),
        control.model_copy(update={"params": ()}).condition_key(128, 96),
        control.model_copy(update={"image": B}).condition_key(128, 96),
        control.model_copy(update={"type": "depth"}).condition_key(128, 96),
        control.model_copy(update={"precomputed": True}).condition_key(128, 96),
    }
    assert len(keys) == 6
    assert control.model_copy(update={"controlnet_conditioning_scale": 0.1}).condition_key(128, 96) in keys
