"""Specs that share a batch key -> pictures, through diffusers' own SDXL pipelines.

Each row has its own prompt, negative prompt, seed, source, mask and conditions. Generators are the CPU's, so that a
seed means the same noise on every device. Keeps no picture and knows no store; who calls brings the pictures in.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from numpy.typing import NDArray

from engine.catalogue import Catalogue
from engine.guards import free, reason_of
from engine.guidance import guided
from engine.hires import two_passes
from engine.models import Models, eta_of
from engine.pixels import (
    Box,
    Picture,
    Sources,
    cut,
    decoded,
    fit,
    near_constant,
    pasted,
    put_back,
    recoloured,
    surroundings,
    tensor,
)
from engine.prompts import Encoder, Words
from engine.seamless import tiling
from schemas.errors import ConditionError, DeviceLost, ModelError, OutOfMemory, RenderError
from schemas.spec import ImageSpec, Task

Progress = Callable[[int, int], None]
"""Told (steps done, steps in all) of the forward pass that is running."""


@dataclass(frozen=True)
class Rendered:
    """What became of one spec: `pixels` uint8 [height, width, 3], or the `error` that kept it from being made.

    `timings` is this picture's share of its batch, in seconds, by stage; `row` of `batch_size` is where it was made.
    """

    digest: str
    pixels: Picture | None
    error: RenderError | None
    timings: dict[str, float]
    batch_size: int
    row: int
    models: dict[str, str]
    device: str
    dtype: str
    notes: tuple[str, ...] = ()


@dataclass
class Row:
    """A spec with its pictures at the spec's size, waiting for a forward pass."""

    spec: ImageSpec
    source: Picture | None = None
    mask: Picture | None = None
    conditions: list[Picture] = field(default_factory=list)
    whole: tuple[Picture, Picture, Box] | None = None
    """Source and mask before they were cut to a box, and the box."""
    references: list[tuple[str, Picture]] = field(default_factory=list)
    """Digest and picture, in the order of the spec's references."""
    words: Words | None = None
    notes: tuple[str, ...] = ()


class Engine:
    """One device and what is loaded on it. Not to be shared between threads."""

    def __init__(
        self, catalogue: Catalogue, *, device: str = "auto", dtype: str = "auto", pins: Mapping[str, str] | None = None
    ) -> None:
        self.device = torch.device(_best_device() if device == "auto" else device)
        by_device = {"cuda": torch.bfloat16}
        self.dtype = by_device.get(self.device.type, torch.float32) if dtype == "auto" else getattr(torch, dtype)
        self.device_name = _device_name(self.device)
        self.models = Models(catalogue, device=self.device, dtype=self.dtype, pins=pins or {})
        self.encoder = Encoder()
        self.sources = Sources()
        self.room: dict[str, int] = {}
        """Rows known to fit, by batch shape, once one did not."""

    def render(
        self,
        specs: Sequence[ImageSpec],
        *,
        sources: Mapping[str, NDArray[Any]] | None = None,
        conditions: Mapping[str, NDArray[Any]] | None = None,
        masks: Mapping[str, NDArray[Any]] | None = None,
        progress: Progress | None = None,
    ) -> list[Rendered]:
        """One `Rendered` a spec, in order. `sources` and `masks` by digest, `conditions` by `condition_key`.

        A row that fails alone is returned with its error. Raises ModelError when the models cannot be had, DeviceLost
        when the process must end, ValueError when the specs do not share a batch key.
        """
        if len({spec.batch_key for spec in specs}) > 1:
            raise ValueError("specs of several batch keys came; render takes the specs of one")
        if not specs:
            return []
        if specs[0].hires is not None:
            pictures = {"sources": sources or {}, "masks": masks or {}, "progress": progress}
            asker = f"{specs[0].project}/{specs[0].asset}"
            upscaler = specs[0].hires.upscaler
            by = self.models.upscaler(upscaler, asker=asker) if upscaler else None
            made = two_passes(self.render, specs, conditions=conditions or {}, by=by, **pictures)
            return [replace(row, models=_models_of(spec)) for row, spec in zip(made, specs, strict=True)]
        done: dict[int, Rendered] = {}
        # 1. pictures to size; a row without its pictures fails here
        rows: dict[int, Row] = {}
        for number, spec in enumerate(specs):
            try:
                rows[number] = _row(spec, sources or {}, conditions or {}, masks or {})
            except RenderError as missing:
                done[number] = self._failed(Row(spec), missing)
        # 2. models onto the device
        asker = f"{specs[0].project}/{specs[0].asset}"
        try:
            pipe = self.models.pipeline(specs[0], asker=asker)
        except RenderError as wrong:
            return [self._failed(Row(spec), wrong) for spec in specs]
        # 3. prompts; rows of one forward pass must be equally long, so a long prompt goes with others of its length
        waiting, spent = self._by_length(pipe, rows, done)
        # 4. forward passes, smaller ones where the device or a row demands it
        with torch.inference_mode():
            while waiting:
                numbers = waiting.pop(0)
                made, reason = self._try(pipe, [rows[n] for n in numbers], spent, progress)
                if reason is None:
                    done |= dict(zip(numbers, made, strict=True))
                elif len(numbers) == 1:
                    done[numbers[0]] = self._failed(rows[numbers[0]], reason)
                else:
                    waiting[:0] = self._smaller(numbers, rows, reason)
        return [done[number] for number in range(len(specs))]

    def _by_length(
        self, pipe: Any, rows: dict[int, Row], done: dict[int, Rendered]
    ) -> tuple[list[list[int]], dict[str, float]]:
        """Row numbers in groups of one prompt length, no larger than is known to fit; and the seconds encoding took."""
        started = time.perf_counter()
        lengths: dict[int, list[int]] = {}
        with torch.inference_mode():
            for number, row in list(rows.items()):
                try:
                    wearing = self.models.wearing(row.spec)
                    row.words = self.encoder.words(pipe, row.spec, wearing=wearing, device=self.device)
                    lengths.setdefault(row.words.length, []).append(number)
                except Exception as error:
                    reason = reason_of(error)
                    if isinstance(reason, DeviceLost | ModelError):
                        raise reason from None
                    done[number] = self._failed(row, reason)
        groups = []
        for numbers in lengths.values():
            size = self.room.get(rows[numbers[0]].spec.batch_key, len(numbers))
            groups += [numbers[start : start + size] for start in range(0, len(numbers), size)]
        share = (time.perf_counter() - started) / max(1, len(rows))
        return groups, {"encode": share}

    def _try(
        self, pipe: Any, rows: list[Row], spent: dict[str, float], progress: Progress | None
    ) -> tuple[list[Rendered], RenderError | None]:
        """A forward pass, or why there was none. Raises only what the rest of the batch cannot survive either."""
        reason = None
        try:
            return self._forward(pipe, rows, spent, progress), None
        except Exception as error:
            reason = reason_of(error)
        # the `except` is left: its frames, and the tensors they held, are gone
        self.models.forget_conditions()
        free(self.device)
        if isinstance(reason, DeviceLost | ModelError):
            raise reason
        return [], reason

    def _smaller(self, numbers: list[int], rows: dict[int, Row], reason: RenderError) -> list[list[int]]:
        """Halves when there was no room; single rows for any other reason, so that only the culprit fails."""
        size, note = 1, f"a batch of {len(numbers)} failed ({reason}); its rows were made one by one"
        if isinstance(reason, OutOfMemory):
            size = len(numbers) // 2
            self.room[rows[numbers[0]].spec.batch_key] = size
            note = f"no room for {len(numbers)} at once; made in batches of {size}"
        for number in numbers:
            rows[number].notes += (note,)
        return [numbers[start : start + size] for start in range(0, len(numbers), size)]

    def _forward(
        self, pipe: Any, rows: list[Row], spent: dict[str, float], progress: Progress | None
    ) -> list[Rendered]:
        """Numbered as diffusers' pipelines are; every list below has one entry a row."""
        spec = rows[0].spec
        clock = _Clock(self.device, len(rows), spent)
        generators = [torch.Generator("cpu").manual_seed(row.spec.seed) for row in rows]
        networks = [pipe.unet, pipe.vae, *(pipe.controlnet.nets if spec.controls else [])]
        with tiling(networks, spec.seamless):
            # 1. what every task shares
            call = _shared_arguments(spec, rows, progress)
            # 2. sources and masks
            if spec.task is not Task.TXT2IMG:
                call |= {"strength": spec.strength if spec.strength is not None else 0.5}
                with clock("source"):
                    call["image"] = self._start(pipe, rows, generators)
            if spec.task is Task.INPAINT:
                masks = torch.stack([torch.from_numpy(row.mask)[None].float() / 255 for row in rows])
                call |= {"mask_image": masks, "height": spec.height, "width": spec.width}
            if spec.task is Task.TXT2IMG:
                call |= {"height": spec.height, "width": spec.width}
            # 3. conditions: one tensor a ControlNet, one row a picture
            if spec.controls:
                stacks = [
                    tensor([row.conditions[n] for row in rows], device=self.device) for n in range(len(spec.controls))
                ]
                call["image" if spec.task is Task.TXT2IMG else "control_image"] = stacks
                call |= {
                    "controlnet_conditioning_scale": [c.controlnet_conditioning_scale for c in spec.controls],
                    "control_guidance_start": [c.control_guidance_start for c in spec.controls],
                    "control_guidance_end": [c.control_guidance_end for c in spec.controls],
                }
            # 4. references
            if spec.references:
                with clock("encode"):
                    seen = [row.references for row in rows]
                    shown = self.models.references.embeddings(pipe, seen, guided=spec.guidance_scale > 1)
                call["ip_adapter_image_embeds"] = shown
                pipe.prepare_ip_adapter_image_embeds = lambda *_, **__: shown  # a row's own, already one a row
            # 5. denoise
            with clock("denoise"), guided(pipe, spec, rows=len(rows)):
                latents = pipe(**call, generator=generators, output_type="latent", return_dict=False)[0]
            # 6. decode, row by row finite or not
            with clock("decode"):
                pictures = decoded(pipe.vae, latents)
        self.models.forget_conditions()
        # 7. outside a mask the source stays as it was
        out = []
        for number, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
            if isinstance(picture, RenderError):
                out.append(replace(self._failed(row, picture), batch_size=len(rows), row=number, timings=clock.shares))
                continue
            if row.spec.keep_colour and row.source is not None and row.mask is None:
                picture = recoloured(picture, row.source)
            if row.whole is not None:
                source, mask, box = row.whole
                picture = pasted(put_back(picture, source, box), source, mask)
            elif row.mask is not None and row.source is not None:
                picture = pasted(picture, row.source, row.mask)
            notes = row.notes + (("nearly one colour",) if near_constant(picture) else ())
            out.append(
                Rendered(
                    digest=row.spec.digest,
                    pixels=picture,
                    error=None,
                    timings=dict(clock.shares),
                    batch_size=len(rows),
                    row=number,
                    models=_models_of(row.spec),
                    device=self.device_name,
                    dtype=str(self.dtype).removeprefix("torch."),
                    notes=notes,
                )
            )
        return out

    def _start(self, pipe: Any, rows: list[Row], generators: list[torch.Generator]) -> torch.Tensor:
        """What img2img starts from: latents, encoded once a source. Inpaint needs the pixels, for it masks them."""
        if rows[0].spec.task is Task.INPAINT:
            return tensor([row.source for row in rows if row.source is not None], device=self.device)
        latents = []
        for row, generator in zip(rows, generators, strict=True):
            spec = row.spec
            assert row.source is not None
            vae = spec.vae.digest if spec.vae else spec.model.digest
            key = (vae, spec.source, spec.width, spec.height, spec.seamless)
            latents.append(self.sources.latents(pipe.vae, row.source, generator, key=key))
        return torch.cat(latents)

    def _failed(self, row: Row, reason: RenderError) -> Rendered:
        return Rendered(
            digest=row.spec.digest,
            pixels=None,
            error=reason,
            timings={},
            batch_size=1,
            row=0,
            models=_models_of(row.spec),
            device=self.device_name,
            dtype=str(self.dtype).removeprefix("torch."),
            notes=row.notes,
        )


class _Clock:
    """Seconds by stage, divided by the rows."""

    def __init__(self, device: torch.device, rows: int, spent: dict[str, float]) -> None:
        self.device, self.rows, self.shares = device, rows, dict(spent)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.shares[stage] = self.shares.get(stage, 0.0) + (time.perf_counter() - started) / self.rows


def _row(
    spec: ImageSpec, sources: Mapping[str, Picture], conditions: Mapping[str, Picture], masks: Mapping[str, Picture]
) -> Row:
    """Raises RenderError naming what is missing; ConditionError for a control."""
    if spec.width % 8 or spec.height % 8:
        raise RenderError(f"{spec.asset}: {spec.width}x{spec.height} came; sides must be multiples of 8")
    row = Row(spec)
    size = {"width": spec.width, "height": spec.height}
    if spec.source is not None:
        if spec.source not in sources:
            raise RenderError(f"{spec.asset}: its source {spec.source[:12]} was not handed in")
        row.source = fit(sources[spec.source], **size)
    if spec.mask is not None:
        if spec.mask not in masks:
            raise RenderError(f"{spec.asset}: its mask {spec.mask[:12]} was not handed in")
        row.mask = fit(masks[spec.mask], **size)
    for reference in spec.references:
        if reference.image not in sources:
            raise RenderError(f"{spec.asset}: its reference {reference.image[:12]} was not handed in")
        row.references.append((reference.image, sources[reference.image]))
    for control in spec.controls:
        key = control.condition_key(spec.width, spec.height)
        if key not in conditions:
            raise ConditionError(f"{spec.asset}: the condition of its control {control.type!r} was not handed in")
        condition = conditions[key]
        if condition.shape != (spec.height, spec.width, 3):
            raise ConditionError(
                f"{spec.asset}: the condition of its control {control.type!r} is {condition.shape[1]}x"
                f"{condition.shape[0]}; {spec.width}x{spec.height} with 3 channels is allowed"
            )
        row.conditions.append(condition)
    if spec.padding_mask_crop is not None and row.source is not None and row.mask is not None:
        box = surroundings(row.mask, padding=spec.padding_mask_crop, **size)
        if box is not None:
            row.whole = row.source, row.mask, box
            row.source, row.mask = cut(row.source, box, **size), cut(row.mask, box, **size)
            row.conditions = [cut(condition, box, **size) for condition in row.conditions]
    return row


def _shared_arguments(spec: ImageSpec, rows: list[Row], progress: Progress | None) -> dict[str, Any]:
    words = [row.words for row in rows if row.words is not None]
    call: dict[str, Any] = {
        "prompt_embeds": torch.cat([word.positive.states for word in words]),
        "pooled_prompt_embeds": torch.cat([word.positive.pooled for word in words]),
        "num_inference_steps": spec.num_inference_steps,
        "guidance_scale": spec.guidance_scale,
        "eta": eta_of(spec),
    }
    negatives = [word.negative for word in words if word.negative is not None]
    if negatives:
        call["negative_prompt_embeds"] = torch.cat([text.states for text in negatives])
        call["negative_pooled_prompt_embeds"] = torch.cat([text.pooled for text in negatives])
    if progress is not None:

        def told(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            progress(step + 1, pipe.num_timesteps)
            return tensors

        call["callback_on_step_end"] = told
    return call


def _models_of(spec: ImageSpec) -> dict[str, str]:
    return {ref.alias: ref.digest for ref in spec.models()}


def versions() -> dict[str, str]:
    """Library -> version, of everything that may change a pixel."""
    names = ("torch", "diffusers", "transformers", "peft", "safetensors", "numpy", "opencv-python-headless")
    found = {name: importlib.metadata.version(name) for name in (*names, "controlnet-aux")}
    return {"python": platform.python_version(), **found}


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"
