"""IP-Adapters with random weights, so what is proved is the path: against diffusers' own, on and off, row by row."""

from __future__ import annotations

from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from schemas.errors import RenderError
from schemas.spec import Hires, ImageSpec, ModelRef, ReferenceSpec
from tests.engine.conftest import HEIGHT, WIDTH, Studio

TOKENS, SEEN = 4, 24


@pytest.fixture(scope="module")
def shown(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, ModelFiles, Path]:
    """(engine, catalogue, folder): the small checkpoint, an image encoder, an IP-Adapter for its UNet."""
    folder = tmp_path_factory.mktemp("adapter")
    base = studio.catalogue.where("studio-tiny", asker="test")
    unet = diffusers.UNet2DConditionModel.from_pretrained(base / "unet")
    torch.manual_seed(6)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8,
        projection_dim=SEEN,
    )  # fmt: skip
    CLIPVisionModelWithProjection(vision).save_pretrained(folder / "encoder")
    width = unet.config.cross_attention_dim
    weights = {
        "image_proj.proj.weight": torch.randn(TOKENS * width, SEEN),
        "image_proj.proj.bias": torch.randn(TOKENS * width),
        "image_proj.norm.weight": torch.ones(width), "image_proj.norm.bias": torch.zeros(width),
    }  # fmt: skip
    number = 1
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            for side in ("k", "v"):
                weights[f"ip_adapter.{number}.to_{side}_ip.weight"] = torch.randn_like(module.to_k.weight) * 0.3
            number += 2
    save_file(weights, folder / "adapter.safetensors")
    canny = str(studio.catalogue.where("studio-tiny/canny", asker="test"))
    style = str(studio.catalogue.where("studio-tiny/style", asker="test"))
    entries = {
        "studio-tiny": {"kind": "checkpoint", "path": str(base)},
        "studio-tiny/canny": {"kind": "controlnet", "path": canny, "controls": ["canny"]},
        "studio-tiny/style": {"kind": "lora", "path": style},
        "look": {"kind": "ip_adapter", "path": "adapter.safetensors", "image_encoder": "eye"},
        "eye": {"kind": "image_encoder", "path": "encoder"},
    }
    (folder / "catalogue.yaml").write_text(yaml.safe_dump(entries))
    catalogue = ModelFiles.read(folder / "catalogue.yaml")
    return Engine(catalogue, device="cpu", dtype="float32"), catalogue, folder


def reference(catalogue: ModelFiles, image: str = "a", scale: float = 0.8) -> ReferenceSpec:
    return ReferenceSpec(image=image * 64, model=ModelRef(alias="look", digest=catalogue.digest("look")), scale=scale)


def pixels(engine: Engine, studio: Studio, *specs: ImageSpec) -> list[np.ndarray]:
    rows = studio.render(engine, list(specs))
    assert all(row.error is None for row in rows), [row.error for row in rows]
    return [row.pixels.astype(int) for row in rows]


def test_a_row_is_what_diffusers_makes_of_it(shown: tuple[Engine, ModelFiles, Path], studio: Studio) -> None:
    engine, catalogue, folder = shown
    specs = [studio.spec(n, references=(reference(catalogue, "ab"[n]),)) for n in (0, 1)]
    made = pixels(engine, studio, *specs)[1]
    plain = pixels(engine, studio, studio.spec(1))[0]
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(
        catalogue.where("studio-tiny", asker="x"), add_watermarker=False, dtype=torch.float32,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(folder / "encoder"),
    )  # fmt: skip
    pipe.load_ip_adapter(str(folder), subfolder="", weight_name="adapter.safetensors", image_encoder_folder=None)
    pipe.set_ip_adapter_scale(0.8)
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        specs[1].prompt, negative_prompt=specs[1].negative_prompt, height=HEIGHT, width=WIDTH, num_inference_steps=3,
        guidance_scale=4.0, ip_adapter_image=Image.fromarray(studio.sources["b" * 64]), output_type="np",
        generator=torch.Generator().manual_seed(1),
    ).images[0]  # fmt: skip
    assert np.abs(made - np.rint(expected * 255)).max() <= 1
    assert np.abs(made - plain).max() > 1


def test_each_row_has_its_own_reference(shown: tuple[Engine, ModelFiles, Path], studio: Studio) -> None:
    engine, catalogue, _ = shown
    together = pixels(engine, studio, *(studio.spec(n, references=(reference(catalogue, "aba"[n]),)) for n in range(3)))
    alone = pixels(engine, studio, studio.spec(1, references=(reference(catalogue, "b"),)))[0]
    other = pixels(engine, studio, studio.spec(1, references=(reference(catalogue, "a"),)))[0]
    assert np.abs(together[1] - alone).max() <= 1 < np.abs(together[1] - other).max()


def test_it_is_taken_off_without_a_trace(shown: tuple[Engine, ModelFiles, Path], studio: Studio) -> None:
    engine, catalogue, _ = shown
    plain = pixels(engine, studio, studio.spec(0))[0]
    pixels(engine, studio, studio.spec(0, references=(reference(catalogue),)))
    np.testing.assert_array_equal(pixels(engine, studio, studio.spec(0))[0], plain)
    assert (
        np.abs(pixels(engine, studio, studio.spec(0, references=(reference(catalogue, scale=0.0),)))[0] - plain).max()
        <= 1
    )


def test_with_controls_loras_img2img_and_an_interval(shown: tuple[Engine, ModelFiles, Path], studio: Studio) -> None:
    engine, catalogue, _ = shown
    style = studio.lora().model_copy(update={"digest": catalogue.digest("studio-tiny/style")})
    made = pixels(
        engine, studio,
        studio.spec(0, references=(reference(catalogue), reference(catalogue, "b", 0.3)), controls=(studio.control(),),
                    loras=(style,), source="a" * 64, strength=0.7, guidance_end=0.5),
    )[0]  # fmt: skip
    assert made.shape == (HEIGHT, WIDTH, 3)
    large = studio.spec(0, references=(reference(catalogue),), hires=Hires(width=32, height=24, strength=0.5))
    assert pixels(engine, studio, large)[0].shape == (HEIGHT, WIDTH, 3)
    plain = pixels(engine, studio, studio.spec(0, controls=(studio.control(),), loras=(style,)))[0]
    assert np.abs(made - plain).max() > 1


def test_what_is_missing_is_named(shown: tuple[Engine, ModelFiles, Path], studio: Studio, tmp_path: Path) -> None:
    engine, catalogue, folder = shown
    row = engine.render([studio.spec(0, references=(reference(catalogue),))])[0]
    assert isinstance(row.error, RenderError) and "asset-0: its reference aaaaaaaaaaaa was not handed in" in str(
        row.error
    )
    text = f"look: {{kind: ip_adapter, path: {folder / 'adapter.safetensors'}, image_encoder: eye}}\n"
    text += "eye: {kind: image_encoder, path: nowhere}"
    (tmp_path / "catalogue.yaml").write_text(text)
    spec = studio.spec(0, references=(reference(catalogue),))
    said = ModelFiles.read(tmp_path / "catalogue.yaml").missing([spec])
    assert f"test/asset-0 asks for eye: nothing is at {tmp_path / 'nowhere'}" in said


def test_the_image_encoder_is_part_of_the_adapters_digest(
    shown: tuple[Engine, ModelFiles, Path], tmp_path: Path
) -> None:
    _, catalogue, folder = shown
    before = catalogue.digest("look")
    (tmp_path / "other").mkdir()
    for file in (folder / "encoder").iterdir():
        (tmp_path / "other" / file.name).write_bytes(file.read_bytes() + b" ")
    entries = yaml.safe_load((folder / "catalogue.yaml").read_text())
    entries["eye"]["path"] = str(tmp_path / "other")
    entries["look"]["path"] = str(folder / "adapter.safetensors")
    (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump(entries))
    assert ModelFiles.read(tmp_path / "catalogue.yaml").digest("look") != before
