"""Approximations: what is taken over from an earlier step, exact where they are none, gone with the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention

from engine.approximation import list_deep_modules
from engine.diffuse import Engine
from engine.memory import Placement, Policy
from engine.model_files import ModelFiles
from engine.rendered import Rendered
from engine.runtime_options import RuntimeOptions
from schemas.spec import Approximation, ControlSpec, Hires, ImageSpec, ModelRef, ReferenceSpec
from tests.engine.conftest import HEIGHT, WIDTH, Studio, get_pixels
from tests.untrained import make

CACHE = Approximation(cache_interval=2)
GATE = Approximation(tgate_after=0.5)
BOTH = Approximation(cache_interval=2, cache_branch_id=2, tgate_after=0.5)
NAMES = {"cache": CACHE, "gate": GATE, "both": BOTH}
STEPS = 6


def pixels(engine: Engine, studio: Studio, *specs: ImageSpec, **rest: Any) -> list[np.ndarray]:
    return [get_pixels(row).astype(int) for row in studio.render(engine, list(specs), **rest)]


def with_fields(spec: ImageSpec, **fields: Any) -> ImageSpec:
    return ImageSpec.model_validate(spec.model_dump() | {"num_inference_steps": STEPS} | fields)


def list_overridden(engine: Engine) -> list[str]:
    unet = engine.models._base.unet
    changed = [name for name, module in unet.named_modules() if "forward" in module.__dict__]
    return changed + [str(hooks) for hooks in (unet._forward_hooks, unet._forward_pre_hooks) if hooks]


@contextmanager
def repeated(module: torch.nn.Module, due: Callable[[int], bool]) -> Iterator[None]:
    """Its answer of the last step that was due, wherever another is not: by a hook, with everything still computed."""
    state: dict[str, Any] = {"step": 0}

    def after(module: Any, given: Any, said: Any) -> Any:
        if due(state["step"]):
            state["answer"] = said
        state["step"] += 1
        return state["answer"]

    hook = module.register_forward_hook(after)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("asked", [Approximation(), Approximation(cache_branch_id=1)], ids=["none", "branch alone"])
@pytest.mark.parametrize("task", ["txt2img", "two controls"])
def test_at_interval_1_and_gate_1_it_is_exact(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]], task: str, asked: Approximation
) -> None:
    plain, same = (with_fields(tasks[task](1), approximation=given) for given in (None, asked))
    np.testing.assert_array_equal(pixels(engine, studio, plain)[0], pixels(engine, studio, same)[0])


@pytest.mark.parametrize(
    ("branch", "boundary"),
    [
        (0, "up_blocks.2.resnets.0"),
        (1, "up_blocks.1"),
        (2, "up_blocks.1.attentions.0"),
        (3, "up_blocks.0"),
        (4, "up_blocks.0.attentions.0"),
    ],
)
@pytest.mark.parametrize("interval", [2, 4])
def test_a_step_between_takes_over_what_lies_below_its_branch(
    engine: Engine, studio: Studio, branch: int, boundary: str, interval: int
) -> None:
    asked = Approximation(cache_interval=interval, cache_branch_id=branch)
    made = pixels(engine, studio, with_fields(studio.spec(1), approximation=asked))[0]
    with repeated(engine.models._base.unet.get_submodule(boundary), lambda step: step % interval == 0):
        expected = pixels(engine, studio, with_fields(studio.spec(1)))[0]
    np.testing.assert_array_equal(made, expected)
    assert np.abs(made - pixels(engine, studio, with_fields(studio.spec(1)))[0]).max() > 1


def test_controlnets_and_deep_modules_do_not_run_in_the_steps_between(engine: Engine, studio: Studio) -> None:
    """The whole control is taken over with the deep features, and begins and ends when it should."""
    control = studio.control(control_guidance_end=0.5)
    spec = with_fields(studio.spec(1), approximation=Approximation(cache_interval=4), controls=(control,))
    pixels(engine, studio, spec)
    unet, net = engine.models._base.unet, engine.models._nets[control.model.digest]
    runs: list[tuple[str, int]] = []
    watched = {"net": net, "mid": unet.mid_block.resnets[0], "last": unet.up_blocks[-1].resnets[-1]}
    hooks = [
        module.register_forward_pre_hook(lambda module, given, name=name: runs.append((name, len(given[0]))))
        for name, module in watched.items()
    ]
    pixels(engine, studio, spec)
    for hook in hooks:
        hook.remove()
    assert [name for name, _ in runs] == ["net", "mid", "last", "last", "last", "mid", "last", "mid", "last", "last"]
    assert {rows for _, rows in runs} == {2}


def test_after_the_gate_cross_attention_gives_the_mean_of_both_halves_again(engine: Engine, studio: Studio) -> None:
    made = pixels(engine, studio, with_fields(studio.spec(1), approximation=GATE))[0]
    layers = [
        module
        for module in engine.models._base.unet.modules()
        if isinstance(module, Attention) and module.is_cross_attention
    ]
    kept: dict[int, list[torch.Tensor]] = {id(layer): [] for layer in layers}

    def after(layer: Any, given: Any, answer: torch.Tensor) -> torch.Tensor:
        kept[id(layer)].append(answer)
        return answer if len(answer) == 2 else kept[id(layer)][STEPS // 2 - 1].mean(dim=0, keepdim=True)

    hooks = [layer.register_forward_hook(after) for layer in layers]
    expected = pixels(engine, studio, with_fields(studio.spec(1), guidance_end=0.5))[0]
    for hook in hooks:
        hook.remove()
    assert {len(answers) for answers in kept.values()} == {STEPS} and len(kept) == 7
    assert np.abs(made - expected).max() <= 1  # a mean may be rounded otherwise
    assert np.abs(made - pixels(engine, studio, with_fields(studio.spec(1), guidance_end=0.5))[0]).max() > 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", ["txt2img", "img2img", "inpaint", "two controls"])
def test_a_row_does_not_depend_on_its_batch_and_nothing_stays(
    engine: Engine, studio: Studio, tasks: dict[str, Callable[[int], ImageSpec]], task: str, name: str
) -> None:
    plain = with_fields(tasks[task](1))
    before = pixels(engine, studio, plain)[0]
    specs = [with_fields(tasks[task](number), approximation=NAMES[name]) for number in (0, 1, 2)]
    together = pixels(engine, studio, *specs)
    assert np.abs(together[1] - pixels(engine, studio, specs[1])[0]).max() <= 1
    assert not list_overridden(engine)
    np.testing.assert_array_equal(pixels(engine, studio, plain)[0], before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "fields",
    [
        {"guidance_start": 0.3, "guidance_end": 0.9, "guidance_rescale": 0.3},
        {"pag_scale": 3.0, "pag_applied_layers": ("mid",)},
        {"pag_scale": 3.0, "pag_applied_layers": ("mid",), "guidance_scale": 1.0, "guidance_end": 0.4},
        {"guidance_scale": 1.0, "scheduler": "LCMScheduler"},
        {"scheduler": "HeunDiscreteScheduler"},
        {"source": "a" * 64, "strength": 0.7, "seamless": "x", "storage_dtype": "float8_e4m3fn"},
        {"hires": Hires(width=64, height=48, strength=0.7, tile=64), "width": 128, "height": 96},
    ],
    ids=["interval", "pag", "pag alone", "lcm", "heun", "seamless, float8", "windows"],
)
def test_with_what_else_changes_a_step(engine: Engine, studio: Studio, fields: dict[str, Any], name: str) -> None:
    plain = pixels(engine, studio, with_fields(studio.spec(1), **fields))[0]
    before = list_overridden(engine)
    asked, other = (with_fields(studio.spec(n), **fields, approximation=NAMES[name]) for n in (1, 0))
    made = pixels(engine, studio, other, asked)[1]
    assert np.abs(made - pixels(engine, studio, asked)[0]).max() <= 1
    assert np.abs(made - plain).max() > 1
    assert list_overridden(engine) == before


def test_an_error_and_too_little_room_leave_nothing_behind(engine: Engine, studio: Studio) -> None:
    plain = with_fields(studio.spec(1))
    before = pixels(engine, studio, plain)[0]
    specs = [with_fields(studio.spec(n), approximation=BOTH) for n in range(4)]
    expected = pixels(engine, studio, *specs)
    calls = []

    def full(module: Any, given: Any) -> None:
        calls.append(len(given[0]))
        if len(given[0]) > 4 and len(calls) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = engine.models._base.unet.register_forward_pre_hook(full)
    rows = studio.render(engine, specs)
    hook.remove()
    assert {row.batch_size for row in rows} == {2} and max(calls) == 8
    for row, picture in zip(rows, expected, strict=True):
        assert np.abs(get_pixels(row).astype(int) - picture).max() <= 1

    def stop(step: int, of: int) -> None:
        if step == 3:
            raise RuntimeError("stopped on the way")

    failed: list[Rendered] = studio.render(engine, specs[:1], progress=stop)
    assert "stopped on the way" in str(failed[0].error) and not list_overridden(engine)
    np.testing.assert_array_equal(pixels(engine, studio, plain)[0], before)


def test_what_a_unet_or_a_run_cannot_do_is_an_error_with_what_can(engine: Engine, studio: Studio) -> None:
    deep = with_fields(studio.spec(0), approximation=Approximation(cache_interval=2, cache_branch_id=5))
    assert str(studio.render(engine, [deep])[0].error).endswith(
        "got cache_branch_id 5; expected 0 to 4 for studio-tiny"
    )
    early = with_fields(studio.spec(0), approximation=Approximation(tgate_after=0.1))
    assert str(studio.render(engine, [early])[0].error).endswith(
        "got tgate_after 0.1 of 6 steps, which is none; expected 0.167 or more"
    )
    assert not list_overridden(engine)


def test_streamed_weights_are_not_approximated(studio: Studio) -> None:
    """Each layer fetches the next one's weights: those of one that is left out would stay on the device."""
    streaming = Engine(studio.catalogue, device="cpu", dtype="float32")
    streaming.models.policy = lambda spec: Policy(Placement.STREAMED, 4 * 2**20)  # type: ignore[method-assign]
    said = [
        row.error for row in studio.render(streaming, [with_fields(studio.spec(n), approximation=GATE) for n in (0, 1)])
    ]
    assert all("got an approximation where weights come layer by layer" in str(error) for error in said)
    pixels(streaming, studio, studio.spec(0))


def test_with_untrained_guides(studio: Studio, tmp_path: Path) -> None:
    """SD 1.5, a T2I-Adapter, and a reference picture: each row its own, and nothing stays."""
    catalogue = ModelFiles.read(make(tmp_path))
    other = Engine(catalogue, device="cpu", dtype="float32")

    def ref(alias: str) -> ModelRef:
        return ModelRef(alias=alias, digest=catalogue.digest(alias))

    lines = studio.control("canny", image="c")
    sketch = ControlSpec(
        type="sketch", image=lines.image, model=ref("untrained/t2i-sketch"), kind="t2i_adapter", precomputed=True
    )
    studio.conditions[sketch.condition_key(WIDTH, HEIGHT)] = studio.conditions[lines.condition_key(WIDTH, HEIGHT)]
    shown = ReferenceSpec(image="a" * 64, model=ref("untrained/look"), scale=0.9)
    kinds: list[dict[str, Any]] = [{"model": ref("untrained/sd15")}, {"controls": (sketch,)}, {"references": (shown,)}]
    for fields in kinds:
        plain = with_fields(studio.spec(1), **fields)
        before = pixels(other, studio, plain)[0]
        asked, neighbour = (with_fields(studio.spec(n), **fields, approximation=BOTH) for n in (1, 0))
        made = pixels(other, studio, neighbour, asked)[1]
        assert np.abs(made - pixels(other, studio, asked)[0]).max() <= 1 and np.abs(made - before).max() > 1
        np.testing.assert_array_equal(pixels(other, studio, plain)[0], before)


def test_the_deepest_branch_leaves_more_than_the_middle_block(engine: Engine) -> None:
    unet = engine.models._base.unet
    names = {id(module): name for name, module in unet.named_modules()}
    assert [names[id(module)] for module in list_deep_modules(unet, 4)] == [
        "mid_block", "down_blocks.2", "up_blocks.0.resnets.0", "up_blocks.0.attentions.0",
    ]  # fmt: skip


def test_compiled_blocks_may_be_approximated(engine: Engine, studio: Studio) -> None:
    traced = Engine(
        studio.catalogue, device="cpu", dtype="float32", levers=RuntimeOptions(compile=True, compile_backend="eager")
    )
    try:
        for asked in (None, BOTH, None, GATE):
            spec = with_fields(studio.spec(1), approximation=asked)
            assert np.abs(pixels(traced, studio, spec)[0] - pixels(engine, studio, spec)[0]).max() <= 1
    finally:
        torch._dynamo.reset()
