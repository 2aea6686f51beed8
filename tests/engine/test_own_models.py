"""Single files as studios have them, in the small: each makes what its folder makes, or is refused by day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from engine.control_lora import load_control_lora
from engine.diffuse import Engine
from engine.memory import weigh_models
from engine.model_files import ModelFiles
from engine.single_file import load_part
from schemas.catalogue import Catalogue, Entry
from schemas.manifest import Manifest
from schemas.rules.compatibility import find_unsuitable
from schemas.rules.warnings import find_warnings
from schemas.spec import ControlSpec, LoraRef, ModelRef, Refiner
from schemas.weights import original
from schemas.weights.adapters import list_t2i_shapes, list_t2i_tables, read_vision_config
from schemas.weights.components import read_json
from schemas.weights.configs import vae_config
from schemas.weights.header import Header, Tensor
from storage.image_metadata import make_parameters_text
from tests import shelf
from tests.engine.conftest import Studio
from tests.untrained import BASE, refiner, t2i_adapter

World = tuple[ModelFiles, Engine]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """(catalogue, engine): the small models as single files in their original layouts, and beside them as folders."""
    folder = tmp_path_factory.mktemp("own")
    config = read_json(BASE / "unet/config.json")
    # 1. a ControlNet in the names of its authors' code
    net = load_file(BASE / "controlnet-canny/diffusion_pytorch_model.safetensors")
    names = original.map_original_unet(net, {**config, **read_json(BASE / "controlnet-canny/config.json")})
    table = {source.key: net[name].contiguous() for name, source in names.items()}
    save_file({f"control_model.{key}": tensor for key, tensor in table.items()}, folder / "canny.safetensors")
    # 2. a control-LoRA: what the UNet has as pairs, the rest whole
    drawn = torch.Generator().manual_seed(5)
    pairs = {}
    for name, source in names.items():
        at, tensor = source.key.removesuffix(".weight"), net[name].float()
        if tensor.ndim > 1 and not name.startswith("controlnet_"):
            pairs[f"{at}.up"] = torch.randn(tensor.shape[0], 4, *(1 for _ in tensor.shape[2:]), generator=drawn) * 0.05
            pairs[f"{at}.down"] = torch.randn(4, *tensor.shape[1:], generator=drawn) * 0.05
        else:
            pairs[source.key] = tensor
    save_file({"lora_controlnet": torch.zeros(()), **pairs}, folder / "control-lora.safetensors")
    # 3. a T2I-Adapter, numbered through
    t2i_adapter(folder / "t2i")
    own = read_json(folder / "t2i/config.json")
    weights = load_file(folder / "t2i/diffusion_pytorch_model.safetensors")
    through = list_t2i_tables(list_t2i_shapes(own), own)[2]
    save_file({source.key: weights[name] for name, source in through.items()}, folder / "t2i.safetensors")
    # 4. a refiner
    refiner(folder / "refiner")
    unet = load_file(folder / "refiner/unet/diffusion_pytorch_model.safetensors")
    spelt = original.map_original_unet(unet, read_json(folder / "refiner/unet/config.json"))
    words = load_file(folder / "refiner/text_encoder_2/model.safetensors")
    whole = {f"model.diffusion_model.{source.key}": unet[name] for name, source in spelt.items()}
    whole |= {f"conditioner.embedders.0.model.{name}": tensor for name, tensor in words.items()}
    save_file(whole, folder / "refiner.safetensors")

    entries = {
        "studio-tiny": {"kind": "checkpoint", "path": str(BASE), "size": 128},
        "canny": {"kind": "controlnet", "path": str(BASE / "controlnet-canny"), "controls": ["canny"]},
        "canny/file": {"kind": "controlnet", "path": "canny.safetensors", "config": str(BASE / "controlnet-canny")},
        "control-lora": {"kind": "controlnet", "path": "control-lora.safetensors", "checkpoints": ["studio-tiny"]},
        "t2i": {"kind": "t2i_adapter", "path": "t2i"},
        "t2i/file": {"kind": "t2i_adapter", "path": "t2i.safetensors", "config": "t2i"},
        "refiner": {"kind": "checkpoint", "path": "refiner", "architecture": "sdxl-refiner"},
        "refiner/file": {"kind": "checkpoint", "path": "refiner.safetensors", "architecture": "sdxl-refiner",
                         "config": "refiner"},
        "style": {"kind": "lora", "path": str(BASE / "lora-blueprint")},
    }  # fmt: skip
    (folder / "catalogue.yaml").write_text(yaml.safe_dump(entries))
    catalogue = ModelFiles.read(folder / "catalogue.yaml")
    return catalogue, Engine(catalogue, device="cpu", dtype="float32")


def ref(catalogue: ModelFiles, alias: str, cls: Any = ModelRef, **fields: Any) -> Any:
    return cls(alias=alias, digest=catalogue.digest(alias), **fields)


def pixels(world: World, studio: Studio, **fields: Any) -> Any:
    catalogue, engine = world
    spec = studio.spec(0, model=ref(catalogue, "studio-tiny"), **fields)
    row = studio.render(engine, [spec])[0]
    assert row.error is None, row.error
    return row.pixels.astype(int)


def control(world: World, studio: Studio, alias: str, **fields: Any) -> ControlSpec:
    return studio.control("canny").model_copy(update={"model": ref(world[0], alias), **fields})


def test_a_controlnet_in_its_authors_names_makes_what_its_folder_makes(world: World, studio: Studio) -> None:
    one, other = (pixels(world, studio, controls=(control(world, studio, a),)) for a in ("canny", "canny/file"))
    np.testing.assert_array_equal(one, other)


def test_a_t2i_adapter_in_one_file_makes_what_its_folder_makes(world: World, studio: Studio) -> None:
    given = {"kind": "t2i_adapter"}
    one, other = (pixels(world, studio, controls=(control(world, studio, a, **given),)) for a in ("t2i", "t2i/file"))
    np.testing.assert_array_equal(one, other)
    assert np.abs(one - pixels(world, studio)).max() > 1


def test_a_refiner_in_one_file_makes_what_its_folder_makes(world: World, studio: Studio) -> None:
    def refined(alias: str) -> Refiner:
        return Refiner(model=ref(world[0], alias), denoising_start=0.5)

    one, other = (pixels(world, studio, refiner=refined(alias)) for alias in ("refiner", "refiner/file"))
    np.testing.assert_array_equal(one, other)


def test_a_control_lora_is_the_checkpoints_encoder_and_a_difference(world: World, studio: Studio) -> None:
    catalogue, _ = world
    file = load_file(catalogue.where("control-lora", asker="test"))
    unet = load_file(BASE / "unet/diffusion_pytorch_model.safetensors")
    config = read_json(BASE / "unet/config.json") | {"conditioning_embedding_out_channels": read_hint_channels()}
    net = load_control_lora(
        catalogue.where("control-lora", asker="test"), BASE, config, dtype=torch.float32
    ).state_dict()
    names = original.map_original_unet(net, config)
    pairs = 0
    for name, source in names.items():
        at = source.key.removesuffix(".weight")
        if f"{at}.up" in file and name.endswith("weight"):
            change = file[f"{at}.up"].flatten(1) @ file[f"{at}.down"].flatten(1)
            expected, pairs = unet[name].float() + change.reshape(unet[name].shape), pairs + 1
        else:
            expected = file[source.key].float()
        torch.testing.assert_close(net[name], expected, rtol=1e-5, atol=1e-5)
    assert pairs > 20


def read_hint_channels() -> Any:
    return read_json(BASE / "controlnet-canny/config.json").get("conditioning_embedding_out_channels")


def test_the_autoencoder_of_sdxl_in_one_file_has_its_own_factor(tmp_path: Path) -> None:
    path = shelf.write(tmp_path / "vae.safetensors", shelf.vae("sdxl", ""))
    for architecture, factor in (("sdxl", 0.13025), ("sd15", 0.18215)):
        entry = Entry(alias="vae", kind="vae", path=path, architecture=architecture)
        config = vae_config(Catalogue({"vae": entry}, folder=tmp_path), entry, path)
        assert config["scaling_factor"] == factor
        assert load_part(path, "vae", config, dtype=torch.float16).config.scaling_factor == factor


def test_an_image_encoder_in_one_file_is_what_its_shapes_say() -> None:
    for width, side, projection, layers, inner in ((1280, 224, 1024, 3, 5120), (1664, 224, 1280, 2, 8192)):
        config = CLIPVisionConfig(
            hidden_size=width, image_size=side, patch_size=14, projection_dim=projection, num_hidden_layers=layers,
            intermediate_size=inner, num_attention_heads=16, hidden_act="gelu",
        )  # fmt: skip
        with torch.device("meta"):
            shapes = {n: tuple(t.shape) for n, t in CLIPVisionModelWithProjection(config).state_dict().items()}
        said = read_vision_config(Header({name: Tensor("F16", shape) for name, shape in shapes.items()}))
        assert all(getattr(config, name) == value for name, value in said.items())


def test_loras_count_in_the_memory_plan(world: World, studio: Studio) -> None:
    catalogue, _ = world
    spec = studio.spec(0, model=ref(catalogue, "studio-tiny"))
    worn = spec.model_copy(update={"loras": (ref(catalogue, "style", LoraRef, weight=1.0),)})
    file = next((BASE / "lora-blueprint").glob("*.safetensors"))
    count = sum(tensor.numel() for tensor in load_file(file).values())
    plain, more = (weigh_models(catalogue, each, itemsize=2) for each in (spec, worn))
    assert more.total - plain.total == 2 * count > 0


def manifest(**fields: Any) -> Manifest:
    given = {"project": "p", "model": "it", "assets": [{"name": "a", "prompt": "a boat", "size": "1024x1024"}]}
    return Manifest.model_validate(given | fields)


def catalogue_with(tmp_path: Path, shapes: dict[str, Any], **fields: Any) -> Catalogue:
    path = shelf.write(tmp_path / "it.safetensors", shapes)
    return Catalogue({"it": Entry(alias="it", kind="checkpoint", path=path, **fields)}, folder=tmp_path)


def test_text_to_image_with_an_inpainting_checkpoint_is_refused_by_day(tmp_path: Path) -> None:
    catalogue = catalogue_with(tmp_path, shelf.checkpoint("sdxl", in_channels=9))
    (said,) = find_unsuitable(manifest(), catalogue)
    assert said[0] == ("model",) and "an inpainting checkpoint (9 channels), for kind: render" in said[1]
    repair = [{"name": "a", "kind": "repair", "sources": "a.png", "mask": "m.png", "prompt": "x"}]
    assert not list(find_unsuitable(manifest(assets=repair), catalogue))


def test_a_scheduler_that_cannot_reach_zero_snr_is_refused_by_day(tmp_path: Path) -> None:
    catalogue = catalogue_with(tmp_path, shelf.checkpoint("sdxl") | {"v_pred": (), "ztsnr": ()})
    for name, fits in (("Heun", False), ("DPM++ SDE", False), ("Euler", True), ("DDIM", True), ("UniPC", True)):
        said = list(find_unsuitable(manifest(defaults={"scheduler": name}), catalogue))
        assert (said == []) == fits, (name, said)
        assert fits or "trained to zero terminal SNR" in said[0][1]
    assert not list(find_unsuitable(manifest(), catalogue))


def test_clip_skip_means_layers_left_out_and_is_said_as_a1111_counts_it(tmp_path: Path, studio: Studio) -> None:
    catalogue = catalogue_with(tmp_path, shelf.checkpoint("sdxl"))
    (said,) = [each for each in find_warnings(manifest(defaults={"clip_skip": 2}), catalogue) if "clip_skip" in each[1]]
    assert "which A1111 and ComfyUI call 4" in said[1] and said[0][:2] == ("defaults", "clip_skip")
    old = catalogue_with(tmp_path, shelf.checkpoint("sd15"), architecture="sd15")
    assert not [e for e in find_warnings(manifest(defaults={"clip_skip": 1}), old) if "clip_skip" in e[1]]
    spec = studio.spec(0, clip_skip=1)
    assert "Clip skip: 3," in make_parameters_text(spec)
    assert "Clip skip: 2," in make_parameters_text(spec, architecture="sd15")
    assert "Clip skip" not in make_parameters_text(studio.spec(0))
