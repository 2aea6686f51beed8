"""The engine against diffusers: images a second on the small checkpoint, in one run, as ratios.

    python -m bench.engine                         five repeats, 5 to 9 minutes on two quiet cores
    python -m bench.engine --repeats 1 --steps 2   a rehearsal

A  plain: one prompt a call, in the manifest's order, LoRAs loaded and unloaded as they come.
B  diffusers at its best: jobs sorted so that equal settings meet, prompts and generators in lists, every LoRA loaded
   once and switched by name, the batch size that was fastest in a probe.
C  the engine, with B's order and batch size.

All three hold one set of parts, compute in float32, and hand back uint8 pixels. They take turns A B C C B A, so that a
machine that warms up or is shared favours none; a ratio is the median over the repeats of the ratio within one repeat.
`homogeneous`: one setting. `mixed`: two LoRAs, three shapes, a ControlNet over the first 60% of the steps, img2img as
strengths x seeds over one source, a prompt in several seeds: what a night looks like.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from engine.models import PIPELINES
from engine.pixels import Sources
from engine.prompts import Encoder
from engine.schedules import make_scheduler
from schemas.settings import ROOT
from schemas.spec import ControlSpec, ImageSpec, LoraRef, ModelRef

SOURCE, LINES = "a" * 64, "b" * 64
PROMPTS = ("a red potion on white", "a stone wall with moss", "a blue lantern, night", "a knight with a shield")


class Jobs:
    """Specs of both manifests, and the pictures they read."""

    def __init__(self, catalogue: ModelFiles, *, steps: int, share: int) -> None:
        self.catalogue, self.steps, self.share = catalogue, steps, share
        rng = np.random.default_rng(0)
        blocks = np.kron(rng.integers(0, 255, (16, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        self.sources = {SOURCE: blocks}
        self.lines = np.where(np.kron(rng.integers(0, 2, (16, 16, 1)), np.ones((8, 8, 3))) > 0, 255, 0).astype(np.uint8)
        control = ControlSpec(
            type="canny", image=LINES, precomputed=True, model=self._ref("studio-tiny/canny"), control_guidance_end=0.6
        )
        self.controls = (control,)
        self.conditions = {control.condition_key(128, 128): self.lines}

    def homogeneous(self) -> list[ImageSpec]:
        return [self._spec(n, PROMPTS[n % 4]) for n in range(4 * self.share)]

    def mixed(self) -> list[ImageSpec]:
        few = range(self.share)
        jobs = [self._spec(n, prompt) for prompt in PROMPTS[:2] for n in few]
        jobs += [self._spec(n, PROMPTS[2], width=160, height=96) for n in few]
        jobs += [self._spec(n, PROMPTS[3], width=96, height=160, loras=self._lora("style", 0.8)) for n in few]
        jobs += [
            self._spec(n, PROMPTS[0], loras=self._lora("lcm", 1.0), scheduler="LCM", guidance_scale=1.0) for n in few
        ]
        jobs += [self._spec(n, prompt, controls=self.controls) for prompt in PROMPTS[1:3] for n in few]
        jobs += [self._spec(n, PROMPTS[1], source=SOURCE, strength=s, seamless="xy") for s in (0.4, 0.6) for n in few]
        random.Random(0).shuffle(jobs)
        return jobs

    def _spec(self, seed: int, prompt: str, **fields: Any) -> ImageSpec:
        given = {
            "project": "bench", "asset": prompt, "variant": str(seed), "prompt": prompt, "negative_prompt": "blurred",
            "seed": seed, "width": 128, "height": 128, "num_inference_steps": self.steps, "guidance_scale": 5.0,
            "model": self._ref("studio-tiny"),
        }  # fmt: skip
        return ImageSpec(**(given | fields))

    def _ref(self, alias: str, cls: Any = ModelRef, **fields: Any) -> Any:
        return cls(alias=alias, digest=self.catalogue.digest(alias), **fields)

    def _lora(self, name: str, weight: float) -> tuple[LoraRef]:
        return (self._ref(f"studio-tiny/{name}", LoraRef, weight=weight),)


class Diffusers:
    """Pipelines over one set of parts, as a careful user keeps them."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        engine = Engine(jobs.catalogue, device="cpu", dtype="float32")  # only to load; its parts are used bare
        self.base = engine.models.pipeline(jobs.homogeneous()[0], asker="bench")
        self.config = engine.models._base.scheduler.config
        from diffusers import ControlNetModel

        folder = jobs.catalogue.where("studio-tiny/canny", asker="bench")
        self.net = ControlNetModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
        self.pipes: dict[Any, Any] = {}
        self.loaded: set[str] = set()

    def pipe(self, spec: ImageSpec) -> Any:
        import diffusers

        key = (spec.task, bool(spec.controls))
        if key not in self.pipes:
            parts = {name: part for name, part in self.base.components.items() if name != "controlnet"}
            extra = {"controlnet": self.net} if spec.controls else {}
            self.pipes[key] = getattr(diffusers, PIPELINES[key])(**parts, **extra, add_watermarker=False)
            self.pipes[key].set_progress_bar_config(disable=True)
        self.pipes[key].scheduler = make_scheduler(spec, self.config)
        return self.pipes[key]

    def call(self, specs: Sequence[ImageSpec]) -> list[np.ndarray]:
        spec, many = specs[0], len(specs)
        given: dict[str, Any] = {
            "prompt": [s.prompt for s in specs], "negative_prompt": [s.negative_prompt for s in specs],
            "num_inference_steps": spec.num_inference_steps, "guidance_scale": spec.guidance_scale,
            "generator": [torch.Generator().manual_seed(s.seed) for s in specs], "output_type": "np",
        }  # fmt: skip
        if spec.source:
            given |= {"image": [Image.fromarray(self.jobs.sources[SOURCE])] * many, "strength": spec.strength}
        else:
            given |= {"width": spec.width, "height": spec.height}
        if spec.controls:
            given |= {"image": [Image.fromarray(self.jobs.lines)] * many, "control_guidance_end": 0.6}
        images = self.pipe(spec)(**given).images
        return [(image * 255).round().astype(np.uint8) for image in images]

    def plain(self, specs: Sequence[ImageSpec]) -> list[np.ndarray]:
        """A"""
        out = []
        for spec in specs:
            for lora in spec.loras:
                self._load(lora)
                self.base.set_adapters([self._name(lora)], [lora.weight])
            out += self.call([spec])
            if spec.loras:
                self.base.unload_lora_weights()
                self.loaded.clear()
        return out

    def best(self, specs: Sequence[ImageSpec], batch: int) -> list[np.ndarray]:
        """B"""
        out = []
        for group in grouped(specs, batch):
            for lora in group[0].loras:
                self._load(lora)
                self.base.enable_lora()
                self.base.set_adapters([self._name(lora)], [lora.weight])
            if not group[0].loras and self.loaded:
                self.base.disable_lora()
            out += self.call(group)
        return out

    def _load(self, lora: LoraRef) -> None:
        if self._name(lora) not in self.loaded:
            folder = self.jobs.catalogue.where(lora.alias, asker="bench")
            file = next(folder.glob("*.safetensors"))
            self.base.load_lora_weights(folder, weight_name=file.name, adapter_name=self._name(lora))
            self.loaded.add(self._name(lora))

    @staticmethod
    def _name(lora: LoraRef) -> str:
        return f"bench_{lora.digest[:8]}"


def grouped(specs: Sequence[ImageSpec], batch: int) -> list[list[ImageSpec]]:
    """Equal settings together, adapters together, at most `batch` in a call."""
    ordered = sorted(specs, key=lambda spec: (spec.affinity_key, spec.batch_key))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda spec: spec.batch_key)]
    return [group[start : start + batch] for group in groups for start in range(0, len(group), batch)]


def ours(engine: Engine, jobs: Jobs, specs: Sequence[ImageSpec], batch: int) -> None:
    """C, knowing no prompt and no source from an earlier turn."""
    engine.encoder, engine.sources = Encoder(), Sources()
    for group in grouped(specs, batch):
        for row in engine.render(group, sources=jobs.sources, conditions=jobs.conditions):
            assert row.error is None, row.error


def probe(theirs: Diffusers, specs: Sequence[ImageSpec]) -> int:
    """The batch size at which B is fastest."""
    speed = {}
    for batch in (1, 2, 4, 8):
        some = list(specs[:8])
        theirs.best(some, batch)
        speed[batch] = min(_seconds(partial(theirs.best, some, batch)) for _ in range(2))
    return min(speed, key=lambda batch: speed[batch])


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_clock = time.perf_counter


def _seconds(run: Callable[[], object]) -> float:
    started = _clock()
    run()
    return _clock() - started


def compare(runs: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, list[float]]:
    """Seconds of each, repeat by repeat, in turns A B C C B A."""
    for run in runs.values():
        run()  # nothing is timed cold
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        both = dict.fromkeys(runs, 0.0)
        for name in [*runs, *reversed(runs)]:
            both[name] += _seconds(runs[name])
        for name, seconds in both.items():
            spent[name].append(seconds / 2)
    return spent


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--catalogue", type=Path, default=ROOT / "models" / "catalogue.yaml")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--steps", type=int, default=8)
    arguments.add_argument("--share", type=int, default=2, help="images of each kind in a manifest")
    arguments.add_argument("--batch", type=int, help="instead of the probe's")
    arguments.add_argument("--only", choices=("homogeneous", "mixed"), help="one manifest instead of both")
    arguments.add_argument("--out", type=Path, help="JSON of every figure")
    arguments.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where other work shares the cores")
    given = arguments.parse_args()
    global _clock
    _clock = CLOCKS[given.clock]
    catalogue = ModelFiles.read(given.catalogue)
    jobs = Jobs(catalogue, steps=given.steps, share=given.share)
    figures: dict[str, Any] = {"threads": torch.get_num_threads(), "steps": given.steps, "clock": given.clock}
    with torch.inference_mode():
        theirs = Diffusers(jobs)
        batch = given.batch or probe(theirs, jobs.homogeneous())
    engine = Engine(catalogue, device="cpu", dtype="float32")
    print(f"{torch.get_num_threads()} threads, {given.steps} steps, batches of {batch}, {given.clock} seconds\n")
    print("manifest       images     A img/s   B img/s   C img/s   C/A (spread)        C/B (spread)")
    for name in (given.only,) if given.only else ("homogeneous", "mixed"):
        specs = getattr(jobs, name)()
        runs: dict[str, Callable[[], object]] = {
            "A": partial(theirs.plain, specs),
            "B": partial(theirs.best, specs, batch),
            "C": partial(ours, engine, jobs, specs, batch),
        }
        spent = compare(runs, repeats=given.repeats)
        speed = {run: len(specs) / statistics.median(seconds) for run, seconds in spent.items()}
        ratios = {run: [s / c for s, c in zip(spent[run], spent["C"], strict=True)] for run in "AB"}
        against_a, against_b = (statistics.median(ratios[run]) for run in "AB")
        said = [
            f"{middle:.2f} ({min(ratios[run]):.2f}-{max(ratios[run]):.2f})"
            for run, middle in (("A", against_a), ("B", against_b))
        ]
        row = f"{speed['A']:9.2f} {speed['B']:9.2f} {speed['C']:9.2f}   {said[0]:19} {said[1]}"
        print(f"{name:12} {len(specs):8}   {row}", flush=True)
        figures[name] = {"images": len(specs), "seconds": spent, "C/A": against_a, "C/B": against_b, "batch": batch}
        figures[name] |= {"ratios": ratios}
    if given.out:
        given.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
