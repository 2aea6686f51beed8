"""Jobs of each kind that a night has, on the small checkpoint, and the pictures they read."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.model_files import ModelFiles
from schemas.spec import ControlSpec, ImageSpec, LoraRef, ModelRef

SOURCE, LINES = "a" * 64, "b" * 64
PROMPTS = ("a red potion on white", "a stone wall with moss", "a blue lantern, night", "a knight with a shield")
KINDS = ("text-to-image", "other shapes", "LoRA", "few-step", "ControlNet", "img2img", "seamless img2img")
MIXED = "mixed"
"""All kinds in one manifest, shuffled."""


class Jobs:
    """`share`: a quarter of the images of a kind."""

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

    def list_kind(self, kind: str) -> list[ImageSpec]:
        """ControlNets end after 60% of the steps; img2img is two strengths by seeds over one source."""
        if kind == MIXED:
            jobs = [spec for one in KINDS for spec in self.list_kind(one)]
            random.Random(0).shuffle(jobs)
            return jobs
        seeds = range(2 * self.share)
        pairs: list[dict[str, Any]]
        if kind == "text-to-image":
            return [self._spec(n, PROMPTS[n % 4]) for n in range(4 * self.share)]
        if kind == "other shapes":
            pairs = [{"width": 160, "height": 96}, {"width": 96, "height": 160}]
        elif kind == "LoRA":
            pairs = [{"loras": self._lora("style", 0.8)}] * 2
        elif kind == "few-step":
            pairs = [{"loras": self._lora("lcm", 1.0), "scheduler": "LCM", "guidance_scale": 1.0}] * 2
        elif kind == "ControlNet":
            pairs = [{"controls": self.controls}] * 2
        else:
            axes = "xy" if kind == "seamless img2img" else ""
            pairs = [{"source": SOURCE, "strength": strength, "seamless": axes} for strength in (0.4, 0.6)]
        return [self._spec(n, PROMPTS[m + 1], **fields) for m, fields in enumerate(pairs) for n in seeds]

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


def grouped(specs: Sequence[ImageSpec], batch: int) -> list[list[ImageSpec]]:
    """Equal settings together, adapters together, at most `batch` in a call."""
    ordered = sorted(specs, key=lambda spec: (spec.affinity_key, spec.batch_key))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda spec: spec.batch_key)]
    return [group[start : start + batch] for group in groups for start in range(0, len(group), batch)]
