"""Few-step weights: what a manifest leaves open is set right, what it says against them is refused by name.

And what suits an architecture: SD 1.5, a refiner, weights made for something else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.model_files import ModelFiles
from schemas.errors import SettingsError
from schemas.fewstep import FAMILIES
from schemas.manifest import Manifest
from schemas.rules.approximations import find_absent_branches
from schemas.rules.consistency import find_conflicts
from schemas.rules.model_names import find_unknown_models
from schemas.settings import Limits
from schemas.spec import Approximation, ImageSpec
from tasks.planning.lookup import look_up_models
from tasks.planning.plan import expand_manifest

ENTRIES: dict[str, dict[str, Any]] = {
    "hero": {
        "kind": "checkpoint", "size": 128,
        "tiers": {
            "final": {"scheduler": "Euler", "num_inference_steps": 24, "guidance_scale": 5.0},
            "draft": {"scheduler": "LCM", "num_inference_steps": 6, "guidance_scale": 1.5, "loras": {"lcm": 1.0}},
        },
    },
    "turbo": {"kind": "checkpoint", "few_step": "turbo"},
    "lcm": {"kind": "lora", "few_step": "lcm"},
    "lightning": {"kind": "lora", "few_step": "lightning", "steps": [4]},
    "hyper": {"kind": "lora", "few_step": "hyper", "steps": [2, 8]},
    "look": {"kind": "lora"},
    "old": {"kind": "checkpoint", "architecture": "sd15"},
    "old/look": {"kind": "lora", "architecture": "sd15"},
    "old/word": {"kind": "embedding", "architecture": "sd15"},
    "refiner": {"kind": "checkpoint", "architecture": "sdxl-refiner"},
    "fat": {"kind": "vae"},
}  # fmt: skip
PINS = {alias: f"{number:064x}" for number, alias in enumerate(ENTRIES)}


def catalogue(tmp_path: Path, **more: dict[str, Any]) -> ModelFiles:
    entries = {alias: {"path": "x", **fields} for alias, fields in (ENTRIES | more).items()}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(entries), encoding="utf-8")
    return ModelFiles.read(tmp_path / "c.yaml")


def manifest(asset: dict[str, Any], **shared: Any) -> Manifest:
    return Manifest.model_validate(
        {"project": "P", "model": "hero", "assets": [{"name": "A", "prompt": "a potion"} | asset]} | shared
    )


def problems(tmp_path: Path, asset: dict[str, Any], **shared: Any) -> list[str]:
    asked = manifest(asset, **shared)
    found = [*find_conflicts(asked, Limits()), *find_unknown_models(asked, catalogue(tmp_path))]
    said = [f"{'.'.join(map(str, path))}: {came}; {allowed}" for path, came, allowed in found]
    return list(dict.fromkeys(said))  # as a reading does: steps are judged with the model's numbers, too


def made(tmp_path: Path, asset: dict[str, Any], **shared: Any) -> ImageSpec:
    asked = manifest(asset, **shared)
    assert problems(tmp_path, asset, **shared) == []
    return next(iter(expand_manifest(asked, {}, look_up_models(asked, catalogue(tmp_path), PINS).models)))


def sampling(spec: ImageSpec) -> tuple[object, ...]:
    return spec.scheduler, spec.scheduler_options, spec.num_inference_steps, spec.guidance_scale


TRAILING = (("timestep_spacing", "trailing"),)


@pytest.mark.parametrize(
    ("asset", "expected"),
    [
        ({}, ("EulerDiscreteScheduler", (), 24, 5.0)),
        ({"tier": "draft"}, ("LCMScheduler", (), 6, 1.5)),
        ({"loras": {"lcm": 1.0}}, ("LCMScheduler", (), 4, 1.0)),
        ({"loras": {"lcm": 0.0}}, ("EulerDiscreteScheduler", (), 24, 5.0)),
        ({"loras": {"lightning": 1.0}}, ("EulerDiscreteScheduler", TRAILING, 4, 1.0)),
        ({"loras": {"hyper": 1.0, "look": 0.5}}, ("DDIMScheduler", TRAILING, 8, 1.0)),
        ({"loras": {"hyper": 1.0}, "scheduler": "TCD"}, ("TCDScheduler", (), 8, 1.0)),
        ({"model": "turbo"}, ("EulerAncestralDiscreteScheduler", TRAILING, 4, 1.0)),
        ({"model": "turbo", "num_inference_steps": 1}, ("EulerAncestralDiscreteScheduler", TRAILING, 1, 1.0)),
        ({"model": "turbo", "scheduler": "LCM"}, ("LCMScheduler", (), 4, 1.0)),
    ],
)
def test_what_is_left_open_is_set_right(tmp_path: Path, asset: dict[str, Any], expected: tuple[object, ...]) -> None:
    assert sampling(made(tmp_path, asset)) == expected


@pytest.mark.parametrize(
    ("asset", "shared", "said"),
    [
        (
            {"loras": {"lightning": 1.0}, "num_inference_steps": 30},
            {},
            "assets.0.num_inference_steps.0: got 30; 4 steps for lightning (lightning)",
        ),
        (
            {"loras": {"hyper": 1.0}, "num_inference_steps": [2, 4]},
            {},
            "assets.0.num_inference_steps.1: got 4; 2 or 8 steps for hyper (hyper)",
        ),
        (
            {"model": "turbo"},
            {"defaults": {"guidance_scale": 6.0}},
            "defaults.guidance_scale.0: got 6; 0 to 1 for turbo (turbo), that is without guidance",
        ),
        (
            {"tier": "draft"},
            {"tiers": {"draft": {"scheduler": "UniPC"}}},
            "tiers.draft.scheduler.0: got UniPC; LCMScheduler for lcm (lcm)",
        ),
        (
            {"loras": {"lightning": 1.0}, "scheduler_options": {"timestep_spacing": "leading"}},
            {},
            "assets.0.scheduler_options: got timestep_spacing leading; trailing for lightning (lightning)",
        ),
        (
            {"loras": {"lightning": 1.0}, "scheduler": "Euler Karras"},
            {},
            "assets.0.scheduler: got Euler Karras, which sets use_karras_sigmas; "
            "the plain spacing for lightning (lightning)",
        ),
        (
            {"loras": {"lightning": 1.0, "hyper": 0.5}},
            {},
            "assets.0.loras: got hyper (hyper) and lightning (lightning) for one image; "
            "the weights of one few-step family",
        ),
        (
            {"model": "old", "prompt_2": "x"},
            {},
            "assets.0.prompt_2: got prompt_2 for old, which is SD 1.5; `prompt` alone: it has one text encoder",
        ),
        (
            {"model": "old", "refiner": {"model": "refiner"}},
            {},
            "assets.0.refiner.model: got a refiner for old, which is SD 1.5; no refiner: only SDXL has one",
        ),
        (
            {"refiner": {"model": "turbo"}},
            {},
            "assets.0.refiner.model: got 'turbo', which is SDXL; a catalogue entry with `architecture: sdxl-refiner`",
        ),
        (
            {"model": "refiner"},
            {},
            "assets.0.model.0: got 'refiner', which is a refiner; a checkpoint; a refiner goes under `refiner`",
        ),
        (
            {"loras": {"old/look": 1.0}},
            {},
            "assets.0.loras.old/look: got 'old/look', made for SD 1.5, with hero, which is SDXL; one made for SDXL",
        ),
        (
            {"embeddings": "old/word", "prompt": "a word"},
            {},
            "assets.0.embeddings.0: got 'old/word', made for SD 1.5, with hero, which is SDXL; one made for SDXL",
        ),
        (
            {"model": "old"},
            {"vae": "fat"},
            "vae: got 'fat', made for SDXL, with old, which is SD 1.5; one made for SD 1.5",
        ),
        (
            {"model": "old", "embeddings": "old/word"},
            {},
            "assets.0.embeddings.0: got the embedding 'old/word', whose word 'word' stands in no prompt; "
            "'word' in a prompt, or no embedding",
        ),
        (
            {"refiner": {"model": "refiner"}, "hires": {"first_size": 64}, "size": 128},
            {},
            "assets.0.refiner: got a refiner beside hires; one of them: hires draws over the finished picture",
        ),
        (
            {"refiner": {"model": "refiner"}, "guidance_end": 0.6},
            {},
            "assets.0.refiner: got a refiner beside guidance_end 0.6, which counts steps that the two models share; "
            "a refiner or guidance_end, not both",
        ),
        (
            {"pag_applied_layers": ["mid"]},
            {},
            "assets.0.pag_applied_layers: got layers for PAG without a pag_scale; a pag_scale above 0, such as 3.0",
        ),
        (
            {"approximation": {"cache_branch_id": 1}},
            {},
            "assets.0.approximation.cache_branch_id: got a cache_branch_id without a cache_interval; "
            "a cache_interval of 2 or more",
        ),
        (
            {"refiner": {"model": "refiner"}},
            {"tiers": {"final": {"approximation": {"tgate_after": 0.5}}}},
            "tiers.final.approximation.tgate_after: got tgate_after 0.5 beside a refiner, which counts steps that the "
            "two models share; a refiner or tgate_after, not both",
        ),
        (
            {"approximation": {"tgate_after": 0.1}, "num_inference_steps": [5, 20]},
            {},
            "assets.0.approximation.tgate_after: got 0.1 of 5 steps, which is none; 0.2 or more, or more steps",
        ),
        (
            {
                "kind": "texture",
                "sources": "x.png",
                "strength": 0.2,
                "approximation": {"tgate_after": 0.2},
                "num_inference_steps": 20,
            },
            {},
            "assets.0.approximation.tgate_after: got 0.2 of 4 steps, which is none; 0.25 or more, or more steps",
        ),
    ],
)
def test_what_does_not_suit_is_refused_with_what_is_allowed(
    tmp_path: Path, asset: dict[str, Any], shared: dict[str, Any], said: str
) -> None:
    assert problems(tmp_path, asset, **shared) == [said]


@pytest.mark.parametrize(
    "asset",
    [
        {"tier": ["draft", "final"], "num_inference_steps": [4, 40], "zip": ["tier", "num_inference_steps"]},
        {"loras": {"lightning": [0.0, 1.0]}, "num_inference_steps": [30, 4],
         "zip": ["loras.lightning", "num_inference_steps"]},
        {"model": ["hero", "turbo"], "guidance_scale": [6.0, 1.0],
         "exclude": [{"model": "turbo", "guidance_scale": 6.0}]},
        {"tier": "draft", "seeds": 100_000_000},
    ],
)  # fmt: skip
def test_only_combinations_that_are_made_are_judged(tmp_path: Path, asset: dict[str, Any]) -> None:
    found = problems(tmp_path, asset)
    assert [problem for problem in found if "(" in problem] == []


def test_a_refiner_reaches_finals_only(tmp_path: Path) -> None:
    asked = {"refiner": {"model": "refiner", "denoising_start": 0.7}}
    spec = made(tmp_path, asked)
    assert spec.refiner is not None
    assert (spec.refiner.model.alias, spec.refiner.denoising_start, spec.refiner.aesthetic_score) == (
        "refiner",
        0.7,
        6.0,
    )
    assert made(tmp_path, asked | {"tier": "draft"}).refiner is None
    assert spec.models()[-1].alias == "refiner"


def test_an_approximation_belongs_to_a_tier_and_one_that_changes_nothing_is_none(tmp_path: Path) -> None:
    fast = {"tiers": {"final": {"approximation": {"cache_interval": 3}}}}
    assert made(tmp_path, {}, **fast).approximation == Approximation(cache_interval=3)
    assert made(tmp_path, {"tier": "draft"}, **fast).approximation is None
    exact = {"approximation": {"cache_interval": 1, "tgate_after": 1.0}}
    assert made(tmp_path, exact, **fast).digest == made(tmp_path, {}).digest


def test_a_branch_that_the_unet_lacks_is_refused(tmp_path: Path) -> None:
    asked = manifest({"approximation": {"cache_interval": 2, "cache_branch_id": 5}})
    unet = {"block_out_channels": [48, 96, 192], "layers_per_block": 1}
    assert list(find_absent_branches(asked, asked.assets[0], "hero", unet)) == [
        (("assets", 0, "approximation", "cache_branch_id"), "got cache_branch_id 5 for hero", "0 to 4")
    ]
    unet["layers_per_block"] = 2
    assert not list(find_absent_branches(asked, asked.assets[0], "hero", unet))


def test_the_catalogue_refuses_families_that_make_no_sense(tmp_path: Path) -> None:
    for fields, said in (
        ({"kind": "vae", "few_step": "lcm"}, "got few_step for a vae"),
        ({"kind": "lora", "steps": [4]}, "got steps without few_step"),
        ({"kind": "lora", "few_step": "lightning", "steps": [1]}, "got steps 1; lightning has 2 to 8"),
    ):
        with pytest.raises(SettingsError, match=said):
            catalogue(tmp_path, bad=fields)


def test_every_family_allows_what_it_takes_by_itself(tmp_path: Path) -> None:
    for name in FAMILIES:
        few = catalogue(tmp_path, one={"kind": "lora", "few_step": name}).entries["one"].few
        assert few is not None
        for field in ("scheduler", "num_inference_steps", "guidance_scale"):
            assert few.allowed(field, few.usual(field)) == ""
