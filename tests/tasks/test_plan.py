"""Planning: pure, complete, in one order, and saying in each spec what the manifest said."""

from __future__ import annotations

import itertools
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalogue import TierDefaults
from schemas.manifest import FrozenFile, Manifest
from schemas.matrix import multiply_axes
from schemas.review import Changes
from schemas.schedulers import resolve_scheduler
from schemas.spec import ImageSpec, Tier
from tasks.planning.plan import PlannedModels, count_images, expand_manifest, promote

PICTURES = {
    name: FrozenFile(digest=letter * 64, width=64, height=64) for name, letter in (("a.png", "a"), ("b.png", "b"))
}
ALIASES = ("hero", "other", "look", "style", "fast", "hero/canny", "hero/depth", "vae")
MODELS = PlannedModels(
    digests={alias: f"{index:064x}" for index, alias in enumerate(ALIASES)},
    controlnets={("hero", "canny"): "hero/canny", ("hero", "depth"): "hero/depth"},
    tiers={
        "hero": {
            Tier.DRAFT: TierDefaults(scheduler="LCM", num_inference_steps=4, guidance_scale=1.0, loras={"fast": 1.0}),
            Tier.FINAL: TierDefaults(scheduler="Euler a", num_inference_steps=24, guidance_scale=5.0),
        }
    },
    sizes={"hero": 128},
)


def manifest(*assets: dict[str, Any], **shared: Any) -> Manifest:
    given_assets = [{"name": "Potion", "prompt": "a potion"} | asset for asset in assets or ({},)]
    return Manifest.model_validate({"project": "P", "model": "hero", "assets": given_assets} | shared)


def specs(*assets: dict[str, Any], **shared: Any) -> list[ImageSpec]:
    return list(expand_manifest(manifest(*assets, **shared), PICTURES, MODELS))


def one(*assets: dict[str, Any], **shared: Any) -> ImageSpec:
    [spec] = specs(*assets, **shared)
    return spec


def test_an_asset_that_says_nothing_gets_the_model_s_defaults() -> None:
    spec = one()
    assert (spec.width, spec.height) == (128, 128)
    assert (spec.scheduler, spec.num_inference_steps, spec.guidance_scale) == (
        "EulerAncestralDiscreteScheduler",
        24,
        5.0,
    )
    assert (spec.prompt, spec.negative_prompt, spec.variant, spec.take, spec.parent) == ("a potion", "", "01", 1, None)
    assert spec.model.digest == MODELS.digests["hero"]


def test_a_model_that_says_nothing_gets_the_house_s() -> None:
    spec = one(model="other")
    assert (spec.width, spec.scheduler, spec.num_inference_steps) == (1024, "EulerDiscreteScheduler", 30)


@pytest.mark.parametrize(
    ("asset", "shared", "steps"),
    [
        ({}, {}, 24),
        ({}, {"defaults": {"num_inference_steps": 30}}, 30),
        ({}, {"defaults": {"num_inference_steps": 30}, "tiers": {"final": {"num_inference_steps": 40}}}, 40),
        ({"num_inference_steps": 9}, {"tiers": {"final": {"num_inference_steps": 40}}}, 9),
        ({"tier": "draft"}, {}, 4),
        ({"tier": "draft"}, {"defaults": {"num_inference_steps": 30}}, 4),
        ({}, {"defaults": {"num_inference_steps": 3, "tier": "draft"}}, 3),
        ({"tier": "final"}, {"defaults": {"num_inference_steps": 3, "tier": "draft"}}, 24),
        ({"tier": "draft"}, {"tiers": {"draft": {"num_inference_steps": 2}}}, 2),
    ],
)
def test_which_setting_wins(asset: dict[str, Any], shared: dict[str, Any], steps: int) -> None:
    assert one(asset, **shared).num_inference_steps == steps


def test_style_and_values_are_filled_in_once() -> None:
    made = one(
        {
            "prompt": "a $colour $asset",
            "values": {"colour": "red $prompt {0}"},
            "negative_prompt": "blurry $colour",
            "style": "icon",
        },
        styles={"icon": {"prompt": "$prompt, flat, by $project", "negative_prompt": "text", "loras": {"style": 0.5}}},
        loras={"look": 0.8},
    )
    assert made.prompt == "a red $prompt {0} Potion, flat, by P"
    assert made.negative_prompt == "text, blurry red $prompt {0}"
    assert [(lora.alias, lora.weight) for lora in made.loras] == [("look", 0.8), ("style", 0.5)]


def test_a_lora_of_weight_0_is_none_and_the_asset_s_own_wins() -> None:
    first, second = specs(
        {"loras": {"look": [0, 0.5], "style": 0.9}, "style": "icon"}, styles={"icon": {"loras": {"style": 0.1}}}
    )
    assert [(lora.alias, lora.weight) for lora in first.loras] == [("style", 0.9)]
    assert [(lora.alias, lora.weight) for lora in second.loras] == [("look", 0.5), ("style", 0.9)]


def test_controls_and_textures() -> None:
    controls = [
        {
            "type": "canny",
            "image": ["a.png", "b.png"],
            "params": {"low_threshold": 80},
            "controlnet_conditioning_scale": 0.7,
        },
        {"type": "depth", "condition": "b.png", "control_guidance_end": 0.5, "model": "hero/canny"},
    ]
    first, second = specs({"controls": controls})
    assert [control.image for control in first.controls] == ["a" * 64, "b" * 64]
    assert [control.image for control in second.controls] == ["b" * 64, "b" * 64]
    assert first.controls[0].params == (("low_threshold", 80.0),) and not first.controls[0].precomputed
    assert first.controls[1].precomputed and first.controls[1].model.alias == "hero/canny"
    assert first.batch_key == second.batch_key
    texture = {"kind": "texture", "sources": ["a.png", "b.png"], "strength": [0.3, 0.6], "seamless": "both"}
    made = specs(texture)
    assert [(spec.source, spec.strength, spec.seamless) for spec in made] == [
        ("a" * 64, 0.3, "xy"), ("a" * 64, 0.6, "xy"), ("b" * 64, 0.3, "xy"), ("b" * 64, 0.6, "xy")
    ]  # fmt: skip
    assert [spec.variant for spec in made] == [
        "a_strength0.3_01",
        "a_strength0.6_01",
        "b_strength0.3_01",
        "b_strength0.6_01",
    ]


def test_zip_goes_together_and_exclude_takes_out() -> None:
    asset = {
        "prompt": "a $colour potion on $ground",
        "values": {"colour": ["red", "blue"], "ground": ["white", "black"]},
        "size": [128, "256x128"],
        "seeds": [5, 6],
        "zip": ["values.colour", "values.ground"],
        "exclude": [{"values.colour": "red", "size": 128}, {"seeds": 6, "size": "256x128"}],
    }
    made = [(spec.prompt[2:6].strip(), spec.width, spec.seed) for spec in specs(asset)]
    assert made == [("blue", 128, 5), ("blue", 128, 6), ("red", 256, 5), ("blue", 256, 5)]
    assert {spec.prompt for spec in specs(asset)} == {"a red potion on white", "a blue potion on black"}


def test_a_tier_zipped_with_its_steps() -> None:
    made = specs({"tier": ["draft", "final"], "num_inference_steps": [2, 40], "zip": ["tier", "num_inference_steps"]})
    assert [(spec.tier, spec.num_inference_steps, spec.variant) for spec in made] == [
        (Tier.DRAFT, 2, "draft_01"), (Tier.FINAL, 40, "final_01")
    ]  # fmt: skip


def test_more_seeds_leave_the_first_ones_as_they_were() -> None:
    few, many = specs({"seeds": 3}), specs({"seeds": 9})
    assert [spec.digest for spec in many[:3]] == [spec.digest for spec in few]
    assert len({spec.seed for spec in many}) == 9
    assert {spec.seed for spec in few}.isdisjoint(spec.seed for spec in specs({"name": "Sword", "seeds": 3}))


def test_planning_again_gives_the_same_specs_whatever_the_order_of_keys() -> None:
    body = {
        "name": "A", "prompt": "$b $a", "values": {"b": ["x", "y"], "a": ["1", "2"]},
        "loras": {"style": 1.0, "look": [0.5, 1.0]}, "size": [128, 64],
        "guidance_scale": [4, 5], "tier": ["draft", "final"], "seeds": 2,
    }  # fmt: skip

    def shuffled(value: Any, rng: random.Random) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: shuffled(value[key], rng) for key in rng.sample(list(value), len(value))}

    first = [spec.digest for spec in specs(body)]
    assert len(set(first)) == len(first) == 128
    for seed in range(5):
        assert [spec.digest for spec in specs(shuffled(body, random.Random(seed)))] == first


LISTS: dict[str, list[Any]] = {
    "size": [128, 64, "128x64"],
    "tier": ["draft", "final"],
    "guidance_scale": [1.0, 4.0, 7.5],
    "num_inference_steps": [4, 8],
    "style": ["flat", "none"],
    "seeds": [1, 2, 3],
    "prompt": ["x", "y $colour"],
    "negative_prompt": ["a", "b"],
}


@st.composite
def matrices(draw: st.DrawFn) -> dict[str, Any]:
    """A random asset: any fields as lists, two of one length zipped at times, up to three exclusions."""
    chosen = draw(st.lists(st.sampled_from(sorted(LISTS)), unique=True))
    body: dict[str, Any] = {name: LISTS[name][: draw(st.integers(1, len(LISTS[name])))] for name in chosen}
    body.setdefault("prompt", ["x"])
    by_length: dict[int, list[str]] = {}
    for name, values in body.items():
        by_length.setdefault(len(values), []).append(name)
    pairs = [names[:2] for names in by_length.values() if len(names) >= 2]
    if len(pairs) > 0 and draw(st.booleans()):
        body["zip"] = [draw(st.sampled_from(pairs))]
    fields = [name for name in body if name != "zip"]
    rules = draw(
        st.lists(st.sampled_from(fields), max_size=3).map(lambda names: [{name: body[name][0]} for name in names])
    )
    return body | {"exclude": rules}


@settings(max_examples=120, deadline=None)
@given(matrices())
def test_what_is_counted_is_what_is_made(body: dict[str, Any]) -> None:
    whole = manifest(
        body, styles={"flat": {"prompt": "$prompt, flat"}}, defaults={"values": {"colour": ["red", "blue"]}}
    )
    made = list(expand_manifest(whole, PICTURES, MODELS))
    assert len(made) == count_images(whole)
    assert count_images(whole) <= multiply_axes(whole)
    assert len({spec.variant for spec in made}) == len(made), "a variant names one image of its asset"
    assert len({spec.digest for spec in made}) == len(made)


def test_without_zip_and_exclude_it_is_the_plain_product() -> None:
    body: dict[str, Any] = {name: LISTS[name] for name in ("size", "guidance_scale", "num_inference_steps", "seeds")}
    made = [(spec.width, spec.height, spec.num_inference_steps, spec.guidance_scale, spec.seed) for spec in specs(body)]
    sides = [(128, 128), (64, 64), (128, 64)]
    assert made == [(*side, *rest) for side, *rest in itertools.product(sides, [4, 8], [1.0, 4.0, 7.5], [1, 2, 3])]


def test_a_billion_is_counted_without_being_made() -> None:
    whole = manifest({"seeds": 10**9}, {"name": "B", "seeds": 10**6, "size": [128, 256]})
    started = time.process_time()
    assert multiply_axes(whole) == count_images(whole) == 10**9 + 2 * 10**6
    assert time.process_time() - started < 0.1


def test_a_promoted_draft_keeps_its_seed_and_composition_and_gets_the_final_s_sampling() -> None:
    whole = manifest(
        {"tier": "draft", "loras": {"look": 0.5}, "controls": [{"type": "canny", "image": "a.png"}]},
        tiers={"final": {"scheduler": "DPM++ 2M Karras", "num_inference_steps": 40}},
        promotion={"strength": 0.6},
    )
    [draft] = expand_manifest(whole, PICTURES, MODELS)
    assert [lora.alias for lora in draft.loras] == ["fast", "look"]
    final = promote(draft, Changes(tier=Tier.FINAL), whole, MODELS, picture="c" * 64)
    assert (final.tier, final.seed, final.prompt, final.controls) == (
        Tier.FINAL,
        draft.seed,
        draft.prompt,
        draft.controls,
    )
    assert (final.source, final.strength, final.mask) == ("c" * 64, 0.6, None)
    assert (final.num_inference_steps, final.guidance_scale) == (40, 5.0)
    assert (final.scheduler, final.scheduler_options) == resolve_scheduler("DPM++ 2M Karras")
    assert [lora.alias for lora in final.loras] == ["look"]
    assert (final.parent, final.take) == (draft.digest, 2)
    assert promote(draft, Changes(tier=Tier.FINAL), whole, MODELS, picture="c" * 64).digest == final.digest
    changed = promote(
        draft, Changes(tier=Tier.FINAL, prompt="a blue potion", num_inference_steps=9), whole, MODELS, picture="c" * 64
    )
    assert (changed.prompt, changed.num_inference_steps, changed.seed) == ("a blue potion", 9, draft.seed)


def test_a_body_in_the_ledger_gives_the_spec_again() -> None:
    for spec in specs({"loras": {"look": [0.1, 0.2]}, "seeds": 3, "controls": [{"type": "canny", "image": "a.png"}]}):
        body = json.loads(json.dumps(spec.model_dump(mode="json", exclude_defaults=True)))
        assert ImageSpec.model_validate(body).digest == spec.digest
