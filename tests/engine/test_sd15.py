"""SD 1.5 through the same path, against diffusers' own pipelines. Random weights: what is proved is the path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextModel

from engine.diffuse import Engine
from engine.embeddings import read_inversion
from engine.model_files import ModelFiles
from engine.models import PIPELINES_SD15
from engine.prompts import encode_prompts, list_encoders
from engine.runtime_options import RuntimeOptions
from schemas.spec import ControlSpec, ImageSpec, ModelRef, Task
from tests.engine.conftest import HEIGHT, WIDTH, Studio
from tests.untrained import make


@pytest.fixture(scope="module")
def world(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, ModelFiles]:
    """(engine, catalogue)"""
    catalogue = ModelFiles.read(make(tmp_path_factory.mktemp("untrained")))
    return Engine(catalogue, device="cpu", dtype="float32"), catalogue


def spec_of(
    studio: Studio, catalogue: ModelFiles, seed: int, task: str = "txt2img", *, control: bool = False, **fields: Any
) -> ImageSpec:
    fields["model"] = ModelRef(alias="untrained/sd15", digest=catalogue.digest("untrained/sd15"))
    if task != "txt2img":
        fields |= {"source": "ab"[seed % 2] * 64, "strength": 0.7}
    if task == "inpaint":
        fields |= {"mask": "e" * 64, "strength": 1.0}
    if control:
        image = "cd"[seed % 2]
        lines = studio.conditions[studio.control("canny", image=image).condition_key(WIDTH, HEIGHT)]
        ref = ModelRef(alias="untrained/sd15/canny", digest=catalogue.digest("untrained/sd15/canny"))
        made = ControlSpec(type="canny", image=image * 64, model=ref, controlnet_conditioning_scale=0.8)
        studio.conditions[made.condition_key(WIDTH, HEIGHT)] = lines
        fields["controls"] = (made,)
    return studio.spec(seed, **fields)


def pixels(engine: Engine, studio: Studio, *specs: ImageSpec) -> list[np.ndarray]:
    rows = studio.render(engine, list(specs))
    assert all(row.error is None for row in rows), [row.error for row in rows]
    return [row.pixels.astype(int) for row in rows]


@pytest.mark.parametrize("control", [False, True], ids=["plain", "control"])
@pytest.mark.parametrize("task", ["txt2img", "img2img", "inpaint"])
def test_a_row_of_a_batch_is_what_diffusers_makes_of_it(
    world: tuple[Engine, ModelFiles], studio: Studio, task: str, control: bool
) -> None:
    engine, catalogue = world
    spec = spec_of(studio, catalogue, 1, task, control=control)
    made = pixels(engine, studio, spec_of(studio, catalogue, 0, task, control=control), spec)[1]
    base = engine.models._base
    parts = dict(base.components) | {"scheduler": diffusers.EulerDiscreteScheduler.from_config(base.scheduler.config)}
    if control:
        parts["controlnet"] = engine.models._nets[spec.controls[0].model.digest]
    pipe = getattr(diffusers, PIPELINES_SD15[Task(task), control])(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    call: dict[str, Any] = {"height": HEIGHT, "width": WIDTH}
    if task != "txt2img":
        call = {"image": Image.fromarray(studio.sources[str(spec.source)]), "strength": spec.strength}
    if task == "inpaint":
        call |= {"mask_image": Image.fromarray(studio.masks[str(spec.mask)]), "height": HEIGHT, "width": WIDTH}
    if control:
        seen = Image.fromarray(studio.conditions[spec.controls[0].condition_key(WIDTH, HEIGHT)])
        call |= {"image" if task == "txt2img" else "control_image": seen, "controlnet_conditioning_scale": 0.8}
    expected = pipe(
        spec.prompt, negative_prompt=spec.negative_prompt, num_inference_steps=3, guidance_scale=4.0,
        output_type="np", generator=torch.Generator().manual_seed(1), **call,
    ).images[0]  # fmt: skip
    # the feather mixes the source in near the mask's edge; compare where it no longer does
    inside = (slice(23, 25), slice(27, 33)) if task == "inpaint" else (slice(None), slice(None))
    assert np.abs(made - np.rint(expected * 255))[inside].max() <= 1


def test_prompts_are_read_as_diffusers_reads_them_and_clip_skip_leaves_layers_out(
    world: tuple[Engine, ModelFiles], studio: Studio
) -> None:
    engine, catalogue = world
    pixels(engine, studio, spec_of(studio, catalogue, 0))
    base, prompt = engine.models._base, "a red boat in fog"

    def states(clip_skip: int | None) -> torch.Tensor:
        said = encode_prompts(
            list_encoders(base), prompt, "unread", clip_skip=clip_skip, chunks=1, device=torch.device("cpu")
        )
        assert said.pooled is None
        return said.states

    expected, _ = base.encode_prompt(prompt, torch.device("cpu"), 1, False)
    torch.testing.assert_close(states(None), expected)
    # diffusers' own clip_skip of SD 1.5 fails with transformers 5; a model without its last layer is the same thing
    folder = catalogue.where("untrained/sd15", asker="x") / "text_encoder"
    short = CLIPTextModel.from_pretrained(folder, num_hidden_layers=2, dtype=torch.float32).eval()
    ids = base.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(states(1), short(ids)[0])


def test_long_prompts_embeddings_guidance_and_hires_go_through(
    world: tuple[Engine, ModelFiles], studio: Studio, tmp_path: Path
) -> None:
    engine, catalogue = world
    save_file({"emb_params": torch.randn(2, 64)}, tmp_path / "old.safetensors")
    inversion = read_inversion(tmp_path / "old.safetensors", token="old", digest="1", asker="x")
    assert inversion.sides[1] is None
    fields: dict[str, Any] = {
        "prompt": "a (red:1.3) boat " + "on the sea " * 40, "guidance_rescale": 0.3, "guidance_end": 0.7,
        "pag_scale": 2.0, "pag_applied_layers": ("down_blocks.0",), "seamless": "xy",
        "hires": {"width": 32, "height": 24, "strength": 0.5},
    }  # fmt: skip
    specs = [spec_of(studio, catalogue, seed, control=True, **fields) for seed in (0, 1)]
    together = pixels(engine, studio, *specs)
    assert np.abs(together[1] - pixels(engine, studio, specs[1])[0]).max() <= 1


def test_going_to_sdxl_and_back_leaves_no_trace(world: tuple[Engine, ModelFiles], studio: Studio) -> None:
    engine, catalogue = world
    before = pixels(engine, studio, spec_of(studio, catalogue, 1))[0]
    pixels(engine, studio, studio.spec(1))
    np.testing.assert_array_equal(pixels(engine, studio, spec_of(studio, catalogue, 1))[0], before)


def test_a_graph_makes_the_same_pictures(world: tuple[Engine, ModelFiles], studio: Studio, tmp_path: Path) -> None:
    """Without SDXL's sizes among its inputs."""
    engine, catalogue = world
    levers = RuntimeOptions(backend="onnxruntime", folder=tmp_path)
    graphed = Engine(catalogue, device="cpu", dtype="float32", levers=levers)
    for control in (False, True):
        spec = spec_of(studio, catalogue, 1, control=control)
        assert abs(pixels(graphed, studio, spec)[0] - pixels(engine, studio, spec)[0]).max() <= 1
        assert studio.render(graphed, [spec])[0].levers == {"backend": "onnxruntime"}
