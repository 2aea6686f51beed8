"""`dailies preview`: one draft of each asset, made by the engine as a night would, and nothing in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from engine.model_files import ModelFiles, open_model_files
from flows.__main__ import app
from schemas.errors import InputError
from schemas.manifest import FrozenFile, Manifest
from schemas.settings import Settings
from schemas.spec import ImageSpec, Tier
from tasks.planning.plan import expand_manifest
from tasks.planning.preview import convert_to_draft, group_batches, make_drafts, plan_drafts
from tasks.planning.submit import read_sound_manifest
from tests.flows.studio import engine, write_manifest
from tests.tasks.test_plan import MODELS, PICTURES


def draft(asset: dict[str, Any], **shared: Any) -> ImageSpec:
    body = {"project": "P", "model": "hero", "assets": [{"name": "Potion", "prompt": "a $c potion"} | asset]} | shared
    manifest = Manifest.model_validate({"defaults": {"values": {"c": ["red", "blue"]}}} | body)
    one, combination = convert_to_draft(manifest, manifest.assets[0])
    (spec,) = _expand(manifest, one, combination)
    return spec


def _expand(manifest: Manifest, asset: object, combination: object) -> list[ImageSpec]:
    from tasks.planning.plan import expand_asset

    files: dict[str, FrozenFile] = PICTURES
    return list(expand_asset(manifest, asset, files, MODELS, combinations=[combination]))  # type: ignore[arg-type, list-item]


def test_a_final_is_previewed_with_the_sampling_of_drafts_and_everything_else_of_its_own() -> None:
    spec = draft({"num_inference_steps": [40, 60], "guidance_scale": 9, "size": 64, "seeds": [7, 8]})
    assert (spec.tier, spec.num_inference_steps, spec.guidance_scale) == (Tier.DRAFT, 4, 1.0)
    assert (spec.prompt, spec.seed, spec.width) == ("a red potion", 7, 64)
    assert [lora.alias for lora in spec.loras] == ["fast"]


def test_zip_and_exclude_are_kept() -> None:
    spec = draft(
        {"seeds": [7, 8], "num_inference_steps": [40, 60], "zip": ["seeds", "num_inference_steps"],
         "exclude": [{"seeds": 7}]}
    )  # fmt: skip
    assert spec.seed == 8


def test_a_draft_that_the_manifest_asks_for_is_that_very_image() -> None:
    body = {"project": "P", "model": "hero", "assets": [{"name": "A", "prompt": "x", "tier": ["final", "draft"]}]}
    manifest = Manifest.model_validate(body)
    asked = {spec.digest for spec in expand_manifest(manifest, PICTURES, MODELS)}
    one, combination = convert_to_draft(manifest, manifest.assets[0])
    (spec,) = _expand(manifest, one, combination)
    assert spec.tier is Tier.DRAFT and spec.digest in asked


def test_every_kind_of_asset_is_drafted_by_the_engine_and_nothing_is_kept(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", device="cpu", batch_size=4)
    catalogue = open_model_files(settings)
    looked, manifest = read_sound_manifest(write_manifest(tmp_path / "sent"), settings, catalogue)
    planned = plan_drafts(manifest, looked, catalogue, pins={})
    assert sorted(len(batch) for batch in group_batches([spec for spec, _ in planned], most=4)) == [1, 1, 2]
    drafts = make_drafts(engine(), planned, looked, settings)
    assert [(one.spec.asset, one.images) for one in drafts] == [
        ("Potion", 4),
        ("Sketch", 1),
        ("Shield", 1),
        ("Wall", 1),
    ]
    assert [one.made.error for one in drafts] == [None] * 4
    assert drafts[3].spec.num_inference_steps == 2, "one step at strength 0.6 would be none"
    assert {one.made.pixels.shape for one in drafts if one.made.pixels is not None} == {(64, 64, 3)}
    assert not (tmp_path / "home" / "dailies.db").exists()


def test_the_command_writes_the_sheet_of_one_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILIES_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAILIES_DEVICE", "cpu")
    path, out = write_manifest(tmp_path / "sent"), tmp_path / "sheet.png"
    done = CliRunner().invoke(app, ["preview", str(path), "Sketch", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "1 draft in" in done.output
    with Image.open(out) as sheet:
        assert sheet.width > 1000
    assert not (tmp_path / "home" / "dailies.db").exists()


def test_an_unknown_asset_is_named(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    catalogue: ModelFiles = open_model_files(settings)
    looked, manifest = read_sound_manifest(write_manifest(tmp_path / "sent"), settings, catalogue)
    with pytest.raises(InputError, match=r"got the asset 'Poton'.*Potion"):
        plan_drafts(manifest, looked, catalogue, pins={}, names=["Poton"])
