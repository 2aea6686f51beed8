"""What each exact lever of the engine changes: relative L2 of one UNet forward to float32 eager diffusers.

    python -m bench.exactness             without torch.compile, whose code takes minutes to be made on a CPU
    python -m bench.exactness --compile

Every line renders the same row, listens to the UNet's first answer, and compares it with what diffusers' own pipeline
gives for that row alone, in float32, with an ordinary ControlNetModel. The last lines are what bfloat16 itself costs,
which no lever may come near, and what the approximations cost that a manifest may ask for.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, get_args

import diffusers
import torch
from PIL import Image
from torch import Tensor

from bench.kinds import Jobs
from engine.diffuse import Engine
from engine.memory import Placement, Policy
from engine.model_files import ModelFiles
from engine.models import PIPELINES
from engine.runtime_options import RuntimeOptions
from schemas.settings import ROOT, Attention
from schemas.spec import ImageSpec, StorageDtype


@contextmanager
def listening(unet: torch.nn.Module) -> Iterator[list[Tensor]]:
    """The UNet's answers, in order."""
    said: list[Tensor] = []
    hook = unet.register_forward_hook(lambda module, given, answer: said.append(answer[0].float().clone()))
    try:
        yield said
    finally:
        hook.remove()


def reference(jobs: Jobs, spec: ImageSpec, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """diffusers' own pipeline, the row alone: [2, 4, h, w], the negative half first."""
    folder = jobs.catalogue.where("studio-tiny", asker="bench")
    given: dict[str, Any] = {"prompt": spec.prompt, "negative_prompt": spec.negative_prompt, "output_type": "latent"}
    extra = {}
    if spec.controls:
        net = jobs.catalogue.where(spec.controls[0].model.alias, asker="bench")
        extra["controlnet"] = diffusers.ControlNetModel.from_pretrained(net, dtype=dtype, use_safetensors=True)
        given |= {"image": Image.fromarray(jobs.lines)}
        given["controlnet_conditioning_scale"] = spec.controls[0].controlnet_conditioning_scale
    if spec.source:
        given |= {"image": Image.fromarray(jobs.sources[spec.source]), "strength": spec.strength}
    else:
        given |= {"width": spec.width, "height": spec.height}
    base = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, dtype=dtype, add_watermarker=False)
    pipe = getattr(diffusers, PIPELINES[spec.task, bool(spec.controls)])(
        **base.components, **extra, add_watermarker=False
    )
    pipe.set_progress_bar_config(disable=True)
    with listening(pipe.unet) as said:
        pipe(
            **given,
            num_inference_steps=spec.num_inference_steps,
            guidance_scale=spec.guidance_scale,
            generator=torch.Generator().manual_seed(spec.seed),
        )
    return said[0]


def engines(engine: Engine, jobs: Jobs, specs: Sequence[ImageSpec], row: int) -> Tensor:
    """The engine's answer for one row of a batch."""
    render = partial(engine.render, sources=jobs.sources, conditions=jobs.conditions)
    render(specs[:1])
    assert engine.models._base is not None
    with listening(engine.models._base.unet) as said:
        render(specs)
    return said[0][[row, row + len(specs)]]


def distance(mine: Tensor, wanted: Tensor) -> float:
    return float((mine - wanted).norm() / wanted.norm())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--catalogue", type=Path, default=ROOT / "models" / "catalogue.yaml")
    arguments.add_argument("--compile", action="store_true")
    given = arguments.parse_args()
    jobs = Jobs(ModelFiles.read(given.catalogue), steps=2, share=4)
    engine = Engine(jobs.catalogue, device="cpu", dtype="float32")
    plain = jobs.list_kind("text-to-image")[:4]
    controlled = jobs.list_kind("ControlNet")[:4]
    silent = [
        ImageSpec.model_validate(
            spec.model_dump()
            | {"controls": [c.model_dump() | {"controlnet_conditioning_scale": 0.0} for c in spec.controls]}
        )
        for spec in controlled
    ]
    varied = [ImageSpec.model_validate(spec.model_dump() | {"strength": 0.9}) for spec in jobs.list_kind("img2img")[:4]]
    controlled = [
        ImageSpec.model_validate(
            spec.model_dump() | {"controls": [c.model_dump() | {"control_guidance_end": 1.0} for c in spec.controls]}
        )
        for spec in controlled
    ]
    jobs.conditions |= {c.condition_key(128, 128): jobs.lines for s in (*controlled, *silent) for c in s.controls}
    lines = [
        ("txt2img, prompts encoded one by one", plain[1:2], 0),
        ("a row among three others", plain, 1),
        ("ControlNet, condition embedded once", controlled[1:2], 0),
        ("ControlNet, among three others", controlled, 1),
        ("ControlNet at scale 0: no forward pass", silent[1:2], 0),
        ("img2img, source encoded once", varied[1:2], 0),
        ("img2img, among three others", varied, 1),
    ]
    print(f"{'lever':58} relative L2")
    for name, specs, row in lines:
        print(f"{name:58} {distance(engines(engine, jobs, specs, row), reference(jobs, specs[row])):.1e}")
    kernels: tuple[Attention, ...] = ("flash", "math")
    levers = {f"attention: {kernel}": RuntimeOptions(attention=kernel) for kernel in kernels}
    levers["channels_last"] = RuntimeOptions(channels_last="on")
    kept = tempfile.TemporaryDirectory()
    levers["backend: onnxruntime"] = RuntimeOptions(backend="onnxruntime", folder=Path(kept.name))
    if given.compile:
        levers["regional torch.compile"] = RuntimeOptions(compile=True)
    for name, used in levers.items():
        other = Engine(jobs.catalogue, device="cpu", dtype="float32", levers=used)
        for specs, what in ((plain, "a row among three others"), (controlled, "ControlNet, among three others")):
            away = distance(engines(other, jobs, specs, 1), reference(jobs, specs[1]))
            print(f"{f'{name}, {what}':58} {away:.1e}")
    for placement in (Placement.BY_PART, Placement.STREAMED):
        other = Engine(jobs.catalogue, device="cpu", dtype="float32")
        other.models.policy = lambda spec, placement=placement: Policy(placement, 2**22)  # type: ignore[method-assign, misc]
        away = distance(engines(other, jobs, controlled, 1), reference(jobs, controlled[1]))
        print(f"{f'weights {placement}, ControlNet, among three others':58} {away:.1e}")
    for held, (name, specs) in product(get_args(StorageDtype), (("txt2img", plain), ("ControlNet", controlled))):
        eight = [ImageSpec.model_validate(s.model_dump() | {"storage_dtype": held}) for s in specs[:2]]
        away = distance(engines(engine, jobs, eight, 1), reference(jobs, specs[1]))
        print(f"{f'{held} weights (an approximation), {name}':58} {away:.1e}")
    for name, spec in (("txt2img", plain[1]), ("ControlNet", controlled[1])):
        half = distance(reference(jobs, spec, dtype=torch.bfloat16), reference(jobs, spec))
        print(f"{'bfloat16 eager, ' + name:58} {half:.1e}")


if __name__ == "__main__":
    main()
