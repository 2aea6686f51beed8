"""Models of an example that are not there: named before the night, by alias, with who asks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.model_files import ModelFiles
from schemas.errors import ManifestError, ModelMissing
from schemas.settings import ROOT, Settings
from tasks.planning.submit import check_manifest, list_planned_specs, read_sound_manifest

GUIDES = ROOT / "manifests" / "untrained" / "guides.yaml"
KINDS = {
    "untrained/union": {"kind": "controlnet", "path": "union", "modes": {"canny": 3, "depth": 1}},
    "untrained/look": {"kind": "ip_adapter", "path": "look.safetensors", "image_encoder": "untrained/eye"},
    "untrained/eye": {"kind": "image_encoder", "path": "eye"},
    "untrained/enlarger": {"kind": "upscaler", "path": "enlarger.safetensors"},
}


def test_aliases_that_the_catalogue_lacks_are_told_in_their_places(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as wrong:
        check_manifest(GUIDES, Settings(home=tmp_path))
    for said in (
        "assets[0].controls[0].model: got the controlnet 'untrained/union'",
        "assets[1].references[0].model: got the ip_adapter 'untrained/look'",
        "assets[2].hires.upscaler: got the upscaler 'untrained/enlarger'",
    ):
        assert said in str(wrong.value)


def test_weights_that_are_not_on_this_machine_are_named(tmp_path: Path) -> None:
    """A check may be made on a desk; planning, which needs their digests, is refused."""
    shipped = yaml.safe_load((ROOT / "models" / "catalogue.yaml").read_text("utf-8"))
    entries = {alias: entry | {"path": str(ROOT / "models" / entry["path"])} for alias, entry in shipped.items()}
    (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump(entries | KINDS))
    settings = Settings(home=tmp_path / "home", catalogue=tmp_path / "catalogue.yaml")
    notes = "\n".join(check_manifest(GUIDES, settings).notes)
    for alias in ("untrained/union", "untrained/look", "untrained/enlarger"):
        assert f"not on this machine: Untrained asks for {alias}: nothing is at {tmp_path}" in notes
    catalogue = ModelFiles.read(settings.catalogue)
    looked, manifest = read_sound_manifest(GUIDES, settings, catalogue)
    with pytest.raises(ModelMissing, match="asks for untrained/enlarger: nothing is at"):
        list_planned_specs(manifest, looked.frozen, catalogue, {})
