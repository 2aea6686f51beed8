"""The section of bench/gpu.py that makes pictures from end to end: 64 jobs, half of them with a ControlNet.

A  plain: the loop that a user writes first, one prompt a call, in bfloat16. Over a quarter of the jobs.
B  diffusers at its own best settings: joined projections, channels_last, compiled blocks and decoder, prompts and
   generators in lists, the batch size that was fastest of those tried.
C  the engine, with B's batch size.

Order A B C C B where the budget allows the second round. Warm-up and compiling are told apart and in no ratio.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline, StableDiffusionXLPipeline
from PIL import Image

from bench import sdxl
from bench.section import Section
from engine.compiling import Compiler
from engine.diffuse import Engine
from engine.guards import free_memory
from engine.pixels import Sources
from engine.prompts import Encoder
from engine.runtime_options import RuntimeOptions
from schemas.spec import ControlSpec, ImageSpec, ModelRef

PROMPTS = ("a red potion on white", "a stone wall with moss", "a blue lantern, night", "a knight with a shield")
NEGATIVE = "blurred, text"
KINDS = ("plain", "controlnet")


class Work:
    """The jobs as specs, and as what diffusers is called with."""

    def __init__(self, at: Section) -> None:
        self.at = at
        self.catalogue = sdxl.shelf(at.folder, at.shapes, **at.where)
        side = at.shapes.side
        blocks = np.random.default_rng(0).integers(0, 2, (8, 8, 1)) * 255
        self.lines = np.kron(blocks, np.ones((side // 8, side // 8, 3))).astype(np.uint8)
        net = ModelRef(alias="bench-xl/canny", digest=self.catalogue.digest("bench-xl/canny"))
        control = ControlSpec(type="canny", image="c" * 64, precomputed=True, model=net)
        self.controls = {"plain": (), "controlnet": (control,)}
        self.conditions = {control.condition_key(side, side): self.lines}
        self.model = ModelRef(alias="bench-xl", digest=self.catalogue.digest("bench-xl"))

    def specs(self, kind: str, many: int, *, steps: int | None = None) -> list[ImageSpec]:
        side = self.at.shapes.side
        return [
            ImageSpec(
                project="bench", asset=f"{kind}-{n}", variant="1", prompt=PROMPTS[n % 4], negative_prompt=NEGATIVE,
                seed=n, width=side, height=side, num_inference_steps=steps or self.at.steps, guidance_scale=5.0,
                model=self.model, controls=self.controls[kind],
            )
            for n in range(many)
        ]  # fmt: skip


class Diffusers:
    """B when `best`, else A: its own pipelines over its own copy of the weights."""

    def __init__(self, work: Work, *, best: bool) -> None:
        at, self.work = work.at, work
        load: dict[str, Any] = {"dtype": at.dtype, "local_files_only": True, "use_safetensors": True}
        folder = work.catalogue.where("bench-xl", asker="bench")
        base = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False, **load).to(at.device)
        where = work.catalogue.where("bench-xl/canny", asker="bench")
        net = ControlNetModel.from_pretrained(where, **load).to(at.device)
        if best:
            base.fuse_qkv_projections()
            net.fuse_qkv_projections()
            compiler = Compiler(on=True, backend=at.backend, folder=at.folder)
            for part in (base.unet, net, base.vae):
                part.to(memory_format=torch.channels_last)
                compiler.prepare(part)
        parts = base.components
        self.pipes = {
            "plain": base,
            "controlnet": StableDiffusionXLControlNetPipeline(**parts, controlnet=net, add_watermarker=False),
        }
        for pipe in self.pipes.values():
            pipe.set_progress_bar_config(disable=True)

    def __call__(self, kind: str, specs: Sequence[ImageSpec], batch: int) -> None:
        for start in range(0, len(specs), batch):
            some = specs[start : start + batch]
            side = some[0].width
            shape: dict[str, Any] = {"width": side, "height": side}
            if kind == "controlnet":
                shape["image"] = [Image.fromarray(self.work.lines)] * len(some)
            self.pipes[kind](
                prompt=[spec.prompt for spec in some],
                negative_prompt=[spec.negative_prompt for spec in some],
                generator=[torch.Generator().manual_seed(spec.seed) for spec in some],
                num_inference_steps=some[0].num_inference_steps,
                guidance_scale=some[0].guidance_scale,
                output_type="np",
                **shape,
            )


class Ours:
    """C"""

    def __init__(self, work: Work) -> None:
        at, self.work = work.at, work
        levers = RuntimeOptions(compile=True, compile_backend=at.backend, attention="auto", folder=at.folder)
        word = str(at.dtype).removeprefix("torch.")
        self.engine = Engine(work.catalogue, device=str(at.device), dtype=word, levers=levers)
        self.stages: dict[str, float] = {}

    def __call__(self, kind: str, specs: Sequence[ImageSpec], batch: int) -> None:
        self.engine.encoder, self.engine.sources = Encoder(), Sources()  # nothing known from an earlier turn
        self.stages = {}
        for start in range(0, len(specs), batch):
            for row in self.engine.render(specs[start : start + batch], conditions=self.work.conditions):
                if row.error is not None:
                    raise row.error
                for stage, seconds in row.timings.items():
                    self.stages[stage] = self.stages.get(stage, 0.0) + seconds / len(specs)


def jobs(at: Section) -> None:
    began = time.perf_counter()
    work = Work(at)
    at.note("weights written, s", round(time.perf_counter() - began, 1))
    half = max(1, at.jobs // 2)
    for kind in KINDS:
        at.note(f"{kind}, tflop an image", round(_operations(at, kind) / 1e12, 3))
    with at.part("A"):
        plain = Diffusers(work, best=False)
        for kind in KINDS:
            _timed(at, work, f"A {kind}", plain, kind, max(1, half // 4), 1)
        del plain
    _empty(at)
    batch = 8 if at.true_size else 2
    with at.part("B"):
        best = Diffusers(work, best=True)
        tried = {}
        for size in (4, 8, 16) if at.true_size else (1, 2):
            with at.part(f"B, batches of {size}"):
                few = work.specs("plain", size, steps=3)
                best("plain", few, size)
                tried[size] = at.milliseconds(partial(best, "plain", few, size), repeats=3) / size
            if at.left < at.seconds / 2:
                break
        batch = min(tried, key=lambda size: tried[size])
        at.note("batch", {"taken": batch, **{f"{size}, ms an image in 3 steps": ms for size, ms in tried.items()}})
        for kind in KINDS:
            _timed(at, work, f"B {kind}", best, kind, half, batch)
        del best
    _empty(at)
    with at.part("C"):
        ours = Ours(work)
        for again in ("", ", again") if at.true_size else ("",):
            for kind in KINDS:
                if again and at.left < 2 * (at.noted("jobs", f"C {kind}", "seconds") or 0):
                    continue
                _timed(at, work, f"C {kind}{again}", ours, kind, half, batch)
                at.note(f"C {kind}{again}, s an image", {stage: round(s, 4) for stage, s in ours.stages.items()})
        del ours
    _empty(at)
    needed = sum(2.5 * (at.noted("jobs", f"B {kind}", "seconds") or 0) for kind in KINDS)
    if at.true_size and at.left > needed + 60:
        with at.part("B, again"):
            best = Diffusers(work, best=True)
            for kind in KINDS:
                _timed(at, work, f"B {kind}, again", best, kind, half, batch)
    for kind in KINDS:
        speed = {run: _best(at, f"{run} {kind}") for run in "ABC"}
        if all(speed.values()):
            at.note(f"{kind}: C/A, C/B", {f"C/{run}": round(speed["C"] / speed[run], 3) for run in "AB"})


def _timed(at: Section, work: Work, name: str, run: Callable[..., None], kind: str, many: int, batch: int) -> None:
    """Batches that fill; two in three steps come first and are counted apart: the engine finds its room in one."""
    many = max(batch, many // batch * batch)
    began = time.perf_counter()
    for _ in range(2):
        run(kind, work.specs(kind, batch, steps=3), batch)
    warm = time.perf_counter() - began
    one = at.noted("jobs", f"A {kind}", "s_an_image") or 0.0
    while many > batch and many * one > at.left - 20:  # as many as A's pace would let through
        many -= batch
    at.wait()
    began = time.perf_counter()
    run(kind, work.specs(kind, many), batch)
    at.wait()
    seconds = time.perf_counter() - began
    work_done = (at.noted("jobs", f"{kind}, tflop an image") or 0) * 1e12 * many
    figures = {"images": many, "batch": batch, "seconds": round(seconds, 3), "s_an_image": round(seconds / many, 4)}
    at.note(name, figures | {"warm_up_s": round(warm, 2)} | at.speed(seconds * 1000, work_done))


def _operations(at: Section, kind: str) -> float:
    """Of one image: two rows of UNet (and ControlNet) a step, one decoding."""
    given = sdxl.inputs(at.shapes, 2, **at.where)
    with torch.inference_mode():
        step = at.operations(partial(sdxl.unet(at.shapes, **at.where), **given))
        if kind == "controlnet":
            condition = torch.rand(2, 3, at.shapes.side, at.shapes.side, **at.where)
            step += at.operations(partial(sdxl.controlnet(at.shapes, **at.where), **given, controlnet_cond=condition))
        decoder = sdxl.autoencoder(at.shapes, **at.where)
        latents = torch.randn(1, 4, at.shapes.latent, at.shapes.latent, **at.where)
        return at.steps * step + at.operations(lambda: decoder.decode(latents))


def _best(at: Section, name: str) -> float:
    """Images a second, of the better round."""
    rounds = [at.noted("jobs", f"{name}{again}", "s_an_image") for again in ("", ", again")]
    return max((1 / seconds for seconds in rounds if seconds), default=0.0)


def _empty(at: Section) -> None:
    torch._dynamo.reset()
    gc.collect()
    free_memory(at.device)
