"""Which setting wins and where it came from; and that planning, the sweep and the checks ask the same object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.model_files import ModelFiles
from schemas.catalogue import Catalogue
from schemas.manifest import Manifest
from schemas.matrix import Matrix
from schemas.resolved import Origin, Resolved
from schemas.spec import Tier
from tasks.planning.lookup import look_up_models
from tasks.planning.plan import expand_manifest
from tasks.planning.sweep import make_base, make_grid

ENTRIES: dict[str, Any] = {
    "plain": {"kind": "checkpoint", "path": "plain"},
    "own": {
        "kind": "checkpoint",
        "path": "own",
        "size": 512,
        "tiers": {"final": {"scheduler": "DDIM", "num_inference_steps": 24, "guidance_scale": 6.0}},
    },
    "forbidden": {  # the catalogue says what its own few-step LoRA was not distilled for
        "kind": "checkpoint",
        "path": "forbidden",
        "tiers": {
            "final": {
                "scheduler": "Euler", "num_inference_steps": 30, "guidance_scale": 0.5,
                "loras": {"fast": 1.0, "off": 0.0},
            }
        },
    },
    "fast": {"kind": "lora", "path": "fast", "few_step": "lcm"},
    "off": {"kind": "lora", "path": "off"},
    "look": {"kind": "lora", "path": "look"},
}  # fmt: skip
PINS = {alias: f"{number:x}" * 64 for number, alias in enumerate(ENTRIES)}


def manifest(**fields: Any) -> Manifest:
    asset = {"name": "Thing", "prompt": "a thing"} | fields.pop("asset", {})
    return Manifest.model_validate({"project": "P", "model": "plain", "assets": [asset]} | fields)


def setting(asked: Manifest, field: str, *, tier: Tier = Tier.FINAL, **at: Any) -> tuple[Any, Origin, tuple[Any, ...]]:
    resolved = Resolved(asked, asked.assets[0], tier)
    chosen = {"model": asked.model} | {name: value[0] for name in [field] if (value := resolved.get(name))} | at
    found = resolved.setting(field, chosen, catalogue().facts)
    return found.value, found.origin, found.path


def catalogue() -> Catalogue:
    return Catalogue.parse(yaml.safe_dump(ENTRIES), name="c.yaml", folder=Path("."))


STEPS = "num_inference_steps"


@pytest.mark.parametrize(
    ("fields", "value", "origin", "path"),
    [
        ({}, 30, Origin.HOUSE, ()),
        ({"model": "own"}, 24, Origin.CATALOGUE, ()),
        ({"model": "forbidden"}, 4, Origin.FEW_STEP, ()),
        ({"model": "own", "defaults": {STEPS: 20}}, 20, Origin.DEFAULTS, ("defaults", STEPS)),
        (
            {"model": "own", "defaults": {STEPS: 20}, "tiers": {"final": {STEPS: 21}}},
            21, Origin.TIERS, ("tiers", "final", STEPS),
        ),
        (
            {"defaults": {STEPS: 20}, "tiers": {"final": {STEPS: 21}}, "asset": {STEPS: 22}},
            22, Origin.ASSET, ("assets", 0, STEPS),
        ),
        # what `defaults` says counts for the tiers that it names
        ({"defaults": {STEPS: 6, "tier": ["draft"]}, "asset": {"tier": ["final"]}}, 30, Origin.HOUSE, ()),
    ],
)  # fmt: skip
def test_the_order(fields: dict[str, Any], value: int, origin: Origin, path: tuple[Any, ...]) -> None:
    assert setting(manifest(**fields), STEPS) == (value, origin, path)


def test_what_is_not_sampling() -> None:
    assert setting(manifest(model="own"), "size") == ("512x512", Origin.CATALOGUE, ())
    assert setting(manifest(), "size") == ("1024x1024", Origin.HOUSE, ())
    assert setting(manifest(vae="v"), "vae") == ("v", Origin.MANIFEST, ("vae",))
    texture = {"kind": "texture", "sources": "a.png"}
    asked = manifest(asset=texture, defaults={"strength": 0.3})
    assert setting(asked, "strength") == (0.3, Origin.DEFAULTS, ("defaults", "strength"))
    repair = texture | {"kind": "repair", "recipe": "face", "mask": "m.png"}
    asked = manifest(asset=repair, defaults={"strength": 0.3, "size": 512})
    assert setting(asked, "strength") == (0.45, Origin.HOUSE, ()), "a repair's strength is its recipe's"
    assert Resolved(asked, asked.assets[0], Tier.FINAL).get("size") is None


def test_loras_of_tier_style_and_asset_are_worn_together() -> None:
    asked = manifest(
        model="forbidden", styles={"icon": {"prompt": "$prompt", "loras": {"look": 0.5, "fast": 0.7}}},
        loras={"look": [0.8]}, defaults={"style": "icon"},
    )  # fmt: skip
    (combination,) = Matrix(asked, asked.assets[0])
    resolved = Resolved(asked, asked.assets[0], Tier.FINAL)
    assert resolved.loras(combination.at, catalogue().facts) == {"fast": 0.7, "off": 0.0, "look": 0.8}


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("model", ["plain", "own", "forbidden"])
def test_the_sweep_starts_from_what_the_plan_makes(model: str, tier: Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two users of one rule. `forbidden`: both overrule a catalogue entry that its few-step weights do not allow."""
    files = ModelFiles(catalogue().entries, folder=Path("."))
    monkeypatch.setattr(files, "digest", lambda alias, asker: PINS[alias])
    asked = manifest(model=model, asset={"tier": [tier.value], "seeds": [1], "prompt": "a thing"})
    (planned,) = expand_manifest(asked, {}, look_up_models(asked, files, PINS).models)
    base, few = make_base(files, model, size=None, tier=tier)
    (cell,) = make_grid(base, {}, prompts=["a thing"], seeds=[1], few=few)
    whose = {"project": "", "asset": "", "variant": ""}
    assert cell.spec.model_copy(update=whose) == planned.model_copy(update=whose)
