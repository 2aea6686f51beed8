"""A row is what diffusers would make of it alone, whatever shares its batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from engine.diffuse import Engine
from engine.models import PIPELINES
from schemas.errors import ConditionError, ModelChanged, RenderError
from schemas.spec import ImageSpec, Task
from tests.engine.conftest import HEIGHT, WIDTH, Studio, get_pixels

TASKS = ["txt2img", "img2img", "inpaint", "control", "two controls", "control img2img", "control inpaint"]


class Recorder:
    """The UNet's answers, in order."""

    def __init__(self, engine: Engine) -> None:
        self.unet = engine.models._base.unet
        self.said: list[torch.Tensor] = []

    def __enter__(self) -> Recorder:
        self.hook = self.unet.register_forward_hook(lambda module, given, said: self.said.append(said[0].clone()))
        return self

    def __exit__(self, *raised: object) -> None:
        self.hook.remove()


@pytest.mark.parametrize("task", TASKS)
def test_a_row_does_not_depend_on_its_batch(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]], task: str
) -> None:
    specs = [tasks[task](n) for n in (0, 1, 2)]
    assert len({spec.batch_key for spec in specs}) == 1
    studio.render(engine, specs[:1])  # so that the checkpoint is there to listen to
    with Recorder(engine) as together:
        batch = studio.render(engine, specs)
    for row, spec in enumerate(specs):
        with Recorder(engine) as alone:
            single = studio.render(engine, [spec])[0]
        mine = together.said[0][[row, row + 3]]  # negative and positive half
        distance = torch.linalg.vector_norm(mine - alone.said[0]) / torch.linalg.vector_norm(alone.said[0])
        assert distance < 1e-5
        assert np.abs(batch[row].pixels.astype(int) - single.pixels.astype(int)).max() <= 1
        assert (batch[row].row, batch[row].batch_size, single.batch_size) == (row, 3, 1)


@pytest.mark.parametrize("task", TASKS)
def test_a_row_is_what_diffusers_makes_of_it(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]], task: str
) -> None:
    spec = tasks[task](1)
    made = studio.render(engine, [tasks[task](0), spec])[1]
    base = engine.models._base
    nets = [engine.models._nets[control.model.digest] for control in spec.controls]
    pipe = getattr(diffusers, PIPELINES[spec.task, bool(nets)])(
        **{name: part for name, part in base.components.items() if name != "scheduler"},
        scheduler=diffusers.EulerDiscreteScheduler.from_config(base.scheduler.config),
        force_zeros_for_empty_prompt=base.config.force_zeros_for_empty_prompt,
        add_watermarker=False,
        **({"controlnet": nets} if nets else {}),
    )
    pipe.set_progress_bar_config(disable=True)
    conditions = [Image.fromarray(studio.conditions[c.condition_key(WIDTH, HEIGHT)]) for c in spec.controls]
    call = {"num_inference_steps": 3, "guidance_scale": 4.0, "prompt": spec.prompt, "output_type": "np"}
    if spec.task is not Task.TXT2IMG:
        call |= {"image": Image.fromarray(studio.sources[str(spec.source)]), "strength": spec.strength}
    if spec.task is Task.INPAINT:
        call |= {"mask_image": Image.fromarray(studio.masks[str(spec.mask)])}
    if spec.task is not Task.IMG2IMG:
        call |= {"height": HEIGHT, "width": WIDTH}
    if conditions:
        call["image" if spec.task is Task.TXT2IMG else "control_image"] = conditions
        call["controlnet_conditioning_scale"] = [c.controlnet_conditioning_scale for c in spec.controls]
    expected = pipe(negative_prompt=spec.negative_prompt, generator=torch.Generator().manual_seed(1), **call).images[0]
    levels = np.rint(expected * 255).astype(int)
    inside = studio.masks[spec.mask] > 127 if spec.mask else np.ones((HEIGHT, WIDTH), bool)
    if spec.mask:  # the feather mixes the source in near the edge; compare where it no longer does
        inside = inside & (np.pad(np.ones((2, 6), bool), ((23, 23), (27, 31))))
    assert np.abs(made.pixels.astype(int) - levels)[inside].max() <= 1


def test_what_is_drawn_depends_on_seed_prompt_negative_and_condition(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]]
) -> None:
    fields = {
        "controls": (studio.control(),),
        "prompt": "a red potion on a white background",
    }
    variants = [
        studio.spec(0, **fields),
        studio.spec(9, **fields),
        studio.spec(0, **fields | {"prompt": "a blue shield in a dungeon, pixel art"}),
        studio.spec(0, **fields, negative_prompt="a red potion, flat"),
        studio.spec(0, **fields | {"controls": (studio.control(image="d"),)}),
    ]
    pictures = [row.pixels.astype(int) for row in studio.render(engine, variants)]
    for other in pictures[1:]:
        assert np.abs(other - pictures[0]).mean() > 1


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_each_row_has_its_own_conditioning_scales(engine: Engine, studio: Studio, guidance_scale: float) -> None:
    scales = [(0.3, 1.0), (1.0, 0.5), (2.0, 0.1)]
    specs = [
        studio.spec(
            0,
            guidance_scale=guidance_scale,
            controls=tuple(
                studio.control(kind, controlnet_conditioning_scale=scale)
                for kind, scale in zip(("canny", "depth"), pair, strict=True)
            ),
        )
        for pair in scales
    ]
    rows = studio.render(engine, specs)
    assert [row.batch_size for row in rows] == [3, 3, 3]
    together = [get_pixels(row).astype(int) for row in rows]
    for spec, pixels in zip(specs, together, strict=True):
        assert np.abs(get_pixels(studio.render(engine, [spec])[0]) - pixels).max() <= 1
    assert min(np.abs(one - other).max() for one, other in itertools.combinations(together, 2)) > 4


def test_inpaint_leaves_what_is_outside_the_mask_to_the_bit(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]]
) -> None:
    spec = tasks["inpaint"](0)
    made = studio.render(engine, [spec])[0].pixels
    assert spec.source is not None and spec.mask is not None
    outside = studio.masks[spec.mask] == 0
    np.testing.assert_array_equal(made[outside], studio.sources[spec.source][outside])
    assert (made[~outside] != studio.sources[spec.source][~outside]).any()


def test_a_source_of_another_size_is_covered_not_stretched(engine: Engine, studio: Studio) -> None:
    wide = np.zeros((HEIGHT, WIDTH * 2, 3), np.uint8)
    wide[:, WIDTH // 2 : WIDTH // 2 + WIDTH] = studio.sources["a" * 64]
    spec = studio.spec(0, source="9" * 64, strength=0.4)
    cut = engine.render([spec], sources={"9" * 64: wide})[0]
    exact = engine.render([spec], sources={"9" * 64: studio.sources["a" * 64]})[0]
    np.testing.assert_array_equal(cut.pixels, exact.pixels)


def test_loading_happens_once(engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]]) -> None:
    studio.render(engine, [tasks["txt2img"](0)])
    loads = engine.models.loads
    for task in TASKS:
        studio.render(engine, [tasks[task](1)])
    assert engine.models.loads == loads


def test_a_row_without_its_pictures_fails_alone(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]]
) -> None:
    good, bad = tasks["img2img"](0), studio.spec(1, source="7" * 64, strength=0.7)
    first, second = studio.render(engine, [good, bad])
    assert first.error is None and first.pixels is not None
    assert second.pixels is None and isinstance(second.error, RenderError)
    assert "asset-1: its source 777777777777" in str(second.error)
    control = tasks["control"](0)
    lost = engine.render([control])[0]
    assert isinstance(lost.error, ConditionError) and "'canny' was not handed in" in str(lost.error)


def test_sizes_that_the_model_cannot_have_are_refused_not_rounded(engine: Engine, studio: Studio) -> None:
    odd = studio.render(engine, [studio.spec(0, width=60)])[0]
    assert odd.pixels is None and "got 60x48; expected sides that are multiples of 8" in str(odd.error)


def test_specs_of_two_batches_are_refused(engine: Engine, studio: Studio) -> None:
    with pytest.raises(ValueError, match="several batch keys"):
        engine.render([studio.spec(0), studio.spec(1, num_inference_steps=5)])


def test_progress_and_timings(engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]]) -> None:
    told: list[tuple[int, int]] = []
    rows = studio.render(engine, [tasks["img2img"](0), tasks["img2img"](1)], progress=lambda *at: told.append(at))
    assert told == [(1, 2), (2, 2)]
    for row in rows:
        assert set(row.timings) == {"encode", "source", "denoise", "decode"}
        assert all(seconds >= 0 for seconds in row.timings.values())
        assert row.device.startswith("cpu") and row.dtype == "float32"
        assert row.models == {"studio-tiny": studio.catalogue.digest("studio-tiny")}


def test_a_changed_model_is_not_used(engine: Engine, studio: Studio) -> None:
    other = studio.spec(0).model.model_copy(update={"digest": "1" * 64})
    row = engine.render([studio.spec(0, model=other)])[0]
    assert isinstance(row.error, ModelChanged) and "test/asset-0 was planned with 111111111111" in str(row.error)


SAMPLERS = [
    "Euler a",
    "Heun",
    "DDIM",
    "DPM++ 2M Karras",
    "DPM++ 2M SDE",
    "DPM++ 3M SDE Karras",
    "DPM2 a",
    "LMS",
    "UniPC",
    "DEIS",
    "DDPM",
    "PNDM",
    "LCM",
    "TCD",
    "DPM++ 2S",
    "DPM++ 2M Beta",
    "DPM++ 2M Exponential",
]


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_from_each_rows_own_generator(engine: Engine, studio: Studio, name: str) -> None:
    fields = {"scheduler": name, "num_inference_steps": 5}
    specs = [studio.spec(n, **fields) for n in (0, 1)]
    together = studio.render(engine, specs)
    alone = studio.render(engine, specs[1:])[0]
    assert together[1].error is None, together[1].error
    assert np.abs(together[1].pixels.astype(int) - alone.pixels.astype(int)).max() <= 1
    assert np.abs(together[0].pixels.astype(int) - alone.pixels.astype(int)).max() > 1


def test_an_unknown_sampler_says_what_there_is(engine: Engine, studio: Studio) -> None:
    row = studio.render(engine, [studio.spec(0, scheduler="Eulr")])[0]
    assert row.pixels is None and "got the scheduler 'Eulr'; expected a scheduler such as Euler" in str(row.error)
