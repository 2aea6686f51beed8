"""A checkpoint in one file, as they are traded, makes what its folder makes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from models.studio_tiny.export import checkpoint
from schemas.errors import UnfitWeights
from schemas.spec import LoraRef, ModelRef
from tests.engine.conftest import Studio, get_pixels


@pytest.fixture(scope="module")
def shelf(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """A catalogue of single files made from the small checkpoint's folders."""
    folder = tmp_path_factory.mktemp("files")
    base = studio.catalogue.where("studio-tiny", asker="test")
    checkpoint(base, folder / "base.safetensors")
    style = next(studio.catalogue.where("studio-tiny/style", asker="test").glob("*.safetensors"))
    save_file(kohya(load_file(style)), folder / "style.safetensors")
    entries = {
        "one": {"kind": "checkpoint", "path": "base.safetensors", "config": str(base)},
        "bare": {"kind": "checkpoint", "path": "base.safetensors"},
        "style": {"kind": "lora", "path": "style.safetensors"},
        "vae": {"kind": "vae", "path": str(base / "vae")},
    }
    (folder / "catalogue.yaml").write_text(yaml.safe_dump(entries))
    return ModelFiles.read(folder / "catalogue.yaml")


def kohya(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A diffusers LoRA by the names of kohya's scripts, with alpha beside it."""
    out = {}
    for key, value in weights.items():
        where, _, rest = key.partition(".")
        prefix = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}[where]
        module, _, side = rest.rpartition(".lora_")
        module = module.replace(".processor", "").replace(".", "_")
        if where != "unet" and not module.startswith("text_model"):
            module = f"text_model_{module}"
        name = f"{prefix}_{module}"
        out[f"{name}.lora_{'down' if side.startswith('A') else 'up'}.weight"] = value
        if side.startswith("A"):
            import torch

            out[f"{name}.alpha"] = torch.tensor(float(value.shape[0]))
    return out


def ref(catalogue: ModelFiles, alias: str, cls: type[ModelRef] = ModelRef, **fields: Any) -> Any:
    return cls(alias=alias, digest=catalogue.digest(alias), **fields)


def test_a_single_file_makes_what_the_folder_makes(engine: Engine, studio: Studio, shelf: ModelFiles) -> None:
    expected = studio.render(engine, [studio.spec(0)])[0].pixels
    other = Engine(shelf, device="cpu", dtype="float32")
    row = other.render([studio.spec(0, model=ref(shelf, "one"))])[0]
    assert row.error is None
    np.testing.assert_array_equal(row.pixels, expected)


def test_a_kohya_lora_does_what_the_diffusers_one_does(engine: Engine, studio: Studio, shelf: ModelFiles) -> None:
    expected = studio.render(engine, [studio.spec(0, loras=(studio.lora(weight=0.7),))])[0].pixels.astype(int)
    plain = studio.render(engine, [studio.spec(0)])[0].pixels.astype(int)
    other = Engine(shelf, device="cpu", dtype="float32")
    spec = studio.spec(0, model=ref(shelf, "one"), loras=(ref(shelf, "style", LoraRef, weight=0.7),))
    made = get_pixels(other.render([spec])[0]).astype(int)
    assert np.abs(made - expected).max() <= 1 < np.abs(made - plain).max()


def test_another_autoencoder_is_put_in_and_taken_out(engine: Engine, studio: Studio, shelf: ModelFiles) -> None:
    other = Engine(shelf, device="cpu", dtype="float32")
    plain = other.render([studio.spec(0, model=ref(shelf, "one"))])[0].pixels
    same = other.render([studio.spec(0, model=ref(shelf, "one"), vae=ref(shelf, "vae"))])[0].pixels
    np.testing.assert_array_equal(plain, same)
    assert other.models.loads == 1
    other.render([studio.spec(0, model=ref(shelf, "one"))])
    assert other.models._base_key is not None and other.models._base_key[1] is None


def test_without_configs_the_error_says_what_to_give(studio: Studio, shelf: ModelFiles) -> None:
    row = Engine(shelf, device="cpu", dtype="float32").render([studio.spec(0, model=ref(shelf, "bare"))])[0]
    assert isinstance(row.error, UnfitWeights)
    assert re.match(r"test/asset-0 asks for bare: .* have another shape: .* give `config:`", str(row.error))
