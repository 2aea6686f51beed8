"""The peers of bench/engine.py: diffusers as a user writes it first (A), and at its own best (B)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.kinds import SOURCE, Jobs, grouped
from engine.diffuse import Engine
from engine.models import PIPELINES
from engine.runtime_options import RuntimeOptions
from engine.schedules import make_scheduler
from schemas.spec import ImageSpec, LoraRef


class Diffusers:
    """Pipelines over one set of parts, as a careful user keeps them."""

    def __init__(self, jobs: Jobs, *, dtype: str) -> None:
        self.jobs = jobs
        bare = RuntimeOptions(channels_last="off")  # parts as diffusers loads them
        engine = Engine(jobs.catalogue, device="cpu", dtype=dtype, levers=bare)
        self.base = engine.models.pipeline(jobs.list_kind("text-to-image")[0], asker="bench")
        self.config = engine.models._base.scheduler.config
        from diffusers import ControlNetModel

        folder = jobs.catalogue.where("studio-tiny/canny", asker="bench")
        self.net = ControlNetModel.from_pretrained(folder, use_safetensors=True, dtype=engine.dtype)
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
        with self._tiling(spec.seamless):
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

    @contextmanager
    def _tiling(self, axes: str) -> Iterator[None]:
        """PyTorch's own circular padding in every convolution of UNet and autoencoder, as diffusers' users set it."""
        parts = [part for whole in (self.base.unet, self.base.vae) for part in whole.modules()] if axes else []
        padded = [part for part in parts if isinstance(part, torch.nn.Conv2d)]
        for part in padded:
            part.padding_mode = "circular"
        yield
        for part in padded:
            part.padding_mode = "zeros"

    def _load(self, lora: LoraRef) -> None:
        if self._name(lora) not in self.loaded:
            folder = self.jobs.catalogue.where(lora.alias, asker="bench")
            file = next(folder.glob("*.safetensors"))
            self.base.load_lora_weights(folder, weight_name=file.name, adapter_name=self._name(lora))
            self.loaded.add(self._name(lora))

    @staticmethod
    def _name(lora: LoraRef) -> str:
        return f"bench_{lora.digest[:8]}"
