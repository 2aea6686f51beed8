"""The names and shapes that schemas/weights computes are those of diffusers' and transformers' own modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, ControlNetUnionModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from schemas.settings import ROOT
from schemas.weights.components import list_component_shapes, load_shipped, read_folder_configs
from schemas.weights.shapes import list_controlnet_shapes, list_unet_shapes
from tests.shelf import SSD_1B

FOLDERS = {name: load_shipped(name) for name in ("sdxl", "sdxl-refiner", "sd15")}
FOLDERS["studio-tiny"] = read_folder_configs(ROOT / "models" / "studio-tiny")


def shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name.removeprefix("text_model."): tuple(value.shape) for name, value in module.state_dict().items()}


@pytest.mark.parametrize("name", FOLDERS)
def test_every_component_has_these_weights(name: str) -> None:
    components = FOLDERS[name]
    makers = {
        "unet": UNet2DConditionModel.from_config,
        "vae": AutoencoderKL.from_config,
        "text_encoder": lambda config: CLIPTextModel(CLIPTextConfig(**config)),
        "text_encoder_2": lambda config: CLIPTextModelWithProjection(CLIPTextConfig(**config)),
    }
    expected = list_component_shapes(components)
    with torch.device("meta"):
        for part, weights in expected.items():
            assert weights == shapes(makers[part](components[part])), part


@pytest.mark.parametrize("cls", [ControlNetModel, ControlNetUnionModel])
@pytest.mark.parametrize("name", ["sdxl", "studio-tiny"])
def test_a_controlnet_has_these_weights(cls: Any, name: str) -> None:
    with torch.device("meta"):
        net = cls.from_unet(UNet2DConditionModel.from_config(FOLDERS[name]["unet"]))
    assert list_controlnet_shapes(net.config) == shapes(net)


def test_uneven_depths_are_counted() -> None:
    config = {**FOLDERS["sdxl"]["unet"], **SSD_1B}
    with torch.device("meta"):
        assert list_unet_shapes(config) == shapes(UNet2DConditionModel.from_config(config))
