"""Configurations and caches that are broken or beyond measure: named in a sentence, or ignored; never waited for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.batch_sizer import BatchSizer
from engine.digests import Digests
from engine.model_files import ModelFiles
from engine.remembered import read_remembered, write_remembered
from schemas.errors import SettingsError, UnfitWeights
from schemas.settings import ROOT
from schemas.weights.components import list_component_shapes, read_folder_configs
from tests.effort import count_calls

TINY = ROOT / "models" / "studio-tiny"
DEEP = '{"a":' * 100_000


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The small checkpoint's configurations, where they can be broken."""
    shutil.copytree(TINY, tmp_path / "tiny", ignore=shutil.ignore_patterns("*.safetensors", "controlnet*", "*lora*"))
    return tmp_path / "tiny"


@pytest.mark.parametrize("text", ["[1, 2", "[1, 2]", DEEP, "", "\xff", "9" * 5000], ids=range(6))
@pytest.mark.parametrize("name", ["model_index.json", "unet/config.json", "text_encoder/config.json"])
def test_a_configuration_that_is_none_is_named(tiny: Path, name: str, text: str) -> None:
    (tiny / name).write_text(text, encoding="latin-1")
    with pytest.raises(UnfitWeights, match=str(tiny / name)):
        list_component_shapes(read_folder_configs(tiny))


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("unet", "layers_per_block", 10**8),
        ("unet", "layers_per_block", [1, 10**8]),
        ("unet", "transformer_layers_per_block", [[1, 10**8], 1]),
        ("unet", "block_out_channels", [32] * 10**5),
        ("vae", "layers_per_block", 10**8),
        ("text_encoder", "num_hidden_layers", 10**8),
    ],
)
def test_more_layers_than_any_model_has_are_not_counted_out(tiny: Path, part: str, field: str, value: Any) -> None:
    components = {name: dict(config) for name, config in read_folder_configs(tiny).items()}
    components[part][field] = value

    def refused() -> None:
        with pytest.raises(UnfitWeights, match=f"{part}: {field}: got .*; expected at most 100"):
            list_component_shapes(components)

    assert count_calls(refused) < 300_000


@pytest.mark.parametrize(
    "hub", ["../..", "a/..", "a--b/c", "-a/b", "a/b.", "a", "a/b/c", "a/" + "b" * 96, "ä/b", "a/b\n"]
)
def test_a_hub_id_that_is_none_is_refused(tmp_path: Path, hub: str) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps({"hero": {"kind": "checkpoint", "hub": hub}}))
    with pytest.raises(SettingsError, match=r"hero: entry: .*expected owner/name"):
        ModelFiles.read(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    "text", ["[1, 2", "[1, 2]", DEEP, "", '{"x": [', '{"x": 7, "y": "short"}', "null"], ids=range(7)
)
def test_a_cache_that_is_broken_is_an_empty_one(tmp_path: Path, text: str) -> None:
    cache, file = tmp_path / "cache.json", tmp_path / "weights"
    file.write_bytes(b"weights")
    right = Digests().sha256(file)
    cache.write_text(text)
    digests = Digests(cache)
    assert not digests.has(file) and digests.sha256(file) == right
    assert Digests(cache).has(file), "it is whole again"
    cache.write_text(text)
    BatchSizer(None, file=cache)
    assert isinstance(read_remembered(cache), dict)
    write_remembered(cache, {"a": 1})
    assert read_remembered(cache) == {"a": 1} and [
        path.name for path in tmp_path.iterdir() if "cache" in path.name
    ] == ["cache.json"]


def test_a_digest_that_is_none_is_taken_again(tmp_path: Path) -> None:
    file, cache = tmp_path / "weights", tmp_path / "cache.json"
    file.write_bytes(b"weights")
    right = Digests(cache).sha256(file)
    cache.write_text(cache.read_text().replace(right, "not a digest"))
    assert Digests(cache).sha256(file) == right
