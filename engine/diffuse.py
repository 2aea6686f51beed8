"""Specs that share a batch key -> pictures, through diffusers' own SDXL pipelines.

Each row has its own prompt, negative prompt, seed, source, mask and conditions. Generators are the CPU's, so that a
seed means the same noise on every device. Keeps no picture and knows no store; who calls brings the pictures in.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray

from engine.adapters import apply_adapters
from engine.approximation import use_approximation
from engine.attention import choose_backend, use_attention
from engine.batch_rows import BatchRow, Progress, make_row, make_shared_arguments
from engine.batch_sizer import BatchSizer, CudaMeter
from engine.compiling import Compiler
from engine.graph_backend import GraphBackend
from engine.graph_session import ControlNetSession, UNetSession
from engine.guards import classify_error, find_device, find_dtype, free_memory
from engine.guidance import use_guidance
from engine.hires import render_two_passes
from engine.memory import Placement, measure_device_memory
from engine.model_files import ModelFiles
from engine.models import LoadedModels
from engine.pixels import (
    Sources,
    decode_latents,
    match_colours,
    near_constant,
    paste_region,
    put_back,
    to_tensor,
)
from engine.prompts import Encoder, Words
from engine.refiner import refine
from engine.rendered import Rendered
from engine.runtime_options import RuntimeOptions
from engine.seam_repair import repair_seams
from engine.seamless import use_circular_padding
from engine.vectors import Vector, list_vectors, watch_middle_block
from engine.windows import denoise_in_windows, list_inner_axes
from schemas.errors import DeviceLost, ModelError, OutOfMemory, RenderError
from schemas.settings import Backend
from schemas.spec import ImageSpec, Task


class Engine:
    """One device and what is loaded on it. Not to be shared between threads."""

    def __init__(
        self,
        catalogue: ModelFiles,
        *,
        device: str = "auto",
        dtype: str = "auto",
        pins: Mapping[str, str] | None = None,
        levers: RuntimeOptions = RuntimeOptions(),
    ) -> None:
        self.device = torch.device(find_device(device))
        self.dtype = find_dtype(dtype, self.device.type, backend=levers.backend)
        self.device_name = _device_name(self.device)
        self.levers = levers
        self.compiler = Compiler(on=levers.compile, backend=levers.compile_backend, folder=levers.folder)
        self.attention = choose_backend(levers.attention, device=self.device, dtype=self.dtype, folder=levers.folder)
        self.graphs = GraphBackend(
            levers.backend, device=self.device, dtype=self.dtype, compiled=levers.compile, folder=levers.folder
        )
        self.models = LoadedModels(
            catalogue,
            device=self.device,
            dtype=self.dtype,
            pins=pins or {},
            compiler=self.compiler,
            graphs=self.graphs,
            channels_last=levers.channels_last,
            room=measure_device_memory(levers.memory, free=_free(self.device)),
        )
        self.encoder = Encoder()
        self.sources = Sources()
        meter = CudaMeter(self.device) if self.device.type == "cuda" else None
        self.batch_sizer = BatchSizer(meter, file=levers.folder / "room.json" if levers.folder else None)

    def render(
        self,
        specs: Sequence[ImageSpec],
        *,
        sources: Mapping[str, NDArray[Any]] | None = None,
        conditions: Mapping[str, NDArray[Any]] | None = None,
        masks: Mapping[str, NDArray[Any]] | None = None,
        progress: Progress | None = None,
        tile: int | None = None,
    ) -> list[Rendered]:
        """One `Rendered` a spec, in order. `sources` and `masks` by digest, `conditions` by `condition_key`; `tile` is
        the second pass's (engine/windows.py).

        A row that fails alone is returned with its error; when the models cannot be had, every row is. Raises
        DeviceLost when the process must end, ValueError when the specs do not share a batch key.
        """
        if len({spec.batch_key for spec in specs}) > 1:
            raise ValueError("got specs of several batch keys; expected those of one")
        if not specs:
            return []
        if specs[0].seam_repair is not None:
            seen = {"conditions": conditions or {}, "sources": sources or {}}
            return repair_seams(self.render, specs, **seen, masks=masks or {}, progress=progress)
        if specs[0].hires is not None:
            pictures = {"sources": sources or {}, "masks": masks or {}, "progress": progress}
            asker = f"{specs[0].project}/{specs[0].asset}"
            upscaler = specs[0].hires.upscaler
            try:
                by = self.models.upscaler(upscaler, asker=asker) if upscaler else None
            except ModelError as missing:
                return [self._failed(BatchRow(spec), missing) for spec in specs]
            made = render_two_passes(self.render, specs, conditions=conditions or {}, by=by, **pictures)
            return [replace(row, models=_list_models(spec)) for row, spec in zip(made, specs, strict=True)]
        done: dict[int, Rendered] = {}
        # 1. pictures to size; a row without its pictures fails here
        rows: dict[int, BatchRow] = {}
        for number, spec in enumerate(specs):
            try:
                rows[number] = make_row(spec, sources or {}, conditions or {}, masks or {})
                rows[number].tile = tile
            except RenderError as missing:
                done[number] = self._failed(BatchRow(spec), missing)
        # 2. models onto the device
        asker = f"{specs[0].project}/{specs[0].asset}"
        pipe, reason = self._models_on(specs[0], asker)
        if reason is not None:
            return [self._failed(BatchRow(spec), reason) for spec in specs]
        # 3. prompts; rows of one forward pass must be equally long, so a long prompt goes with others of its length
        waiting, spent = self._by_length(pipe, rows, done)
        # 4. forward passes, smaller ones where the device or a row demands it
        with torch.inference_mode():
            while waiting:
                numbers = waiting.pop(0)
                size = self.batch_sizer.rows(rows[numbers[0]].spec, len(numbers))
                if size < len(numbers):
                    waiting.insert(0, numbers[size:])
                    numbers = numbers[:size]
                made, reason = self._try(pipe, [rows[n] for n in numbers], spent, progress)
                if reason is None:
                    done |= dict(zip(numbers, made, strict=True))
                elif len(numbers) == 1:
                    done[numbers[0]] = self._failed(rows[numbers[0]], reason)
                else:
                    waiting[:0] = self._smaller(numbers, rows, reason)
        return [done[number] for number in range(len(specs))]

    def expect(self, specs: Iterable[ImageSpec]) -> None:
        """What is going to be rendered, so that `backend = auto` knows what a graph would save."""
        self.graphs.expect(specs)

    def compute_by(self, backend: Backend) -> None:
        """From now on by this backend where it can, whatever the setting says: an image is made again by its own."""
        self.graphs.asked = backend

    def _models_on(self, spec: ImageSpec, asker: str) -> tuple[Any, RenderError | ModelError | None]:
        """The pipeline, or why it cannot be had. What a library left half loaded is dropped."""
        try:
            return self.models.pipeline(spec, asker=asker), None
        except (RenderError, ModelError) as known:
            return None, classify_error(known)
        except Exception as error:
            reason = classify_error(error)
        self.models.drop()
        free_memory(self.device)
        if isinstance(reason, DeviceLost):
            raise reason
        if isinstance(reason, OutOfMemory):
            return None, reason
        return None, ModelError(f"{asker}: its models cannot be loaded: {reason}")

    def _by_length(
        self, pipe: Any, rows: dict[int, BatchRow], done: dict[int, Rendered]
    ) -> tuple[list[list[int]], dict[str, float]]:
        """Row numbers in groups of one prompt length, and the seconds encoding took."""
        started = time.perf_counter()
        lengths: dict[int, list[int]] = {}
        with torch.inference_mode():
            for number, row in list(rows.items()):
                try:
                    wearing = self.models.wearing(row.spec)
                    own = self.models.inversions(row.spec, asker=f"{row.spec.project}/{row.spec.asset}")
                    row.words = self.encoder.words(pipe, row.spec, wearing=wearing, device=self.device, inversions=own)
                    lengths.setdefault(row.words.length, []).append(number)
                except Exception as error:
                    reason = classify_error(error)
                    if isinstance(reason, DeviceLost):
                        raise reason from None
                    done[number] = self._failed(row, reason)
        self.models.placed.rest("text_encoder", "text_encoder_2")
        share = (time.perf_counter() - started) / max(1, len(rows))
        return list(lengths.values()), {"encode": share}

    def _try(
        self, pipe: Any, rows: list[BatchRow], spent: dict[str, float], progress: Progress | None
    ) -> tuple[list[Rendered], RenderError | ModelError | None]:
        """A forward pass, or why there was none. Raises only what the rest of the batch cannot survive either."""
        reason = None
        try:
            return self._forward(pipe, rows, spent, progress), None
        except Exception as error:
            reason = classify_error(error)
        # the `except` is left: its frames, and the tensors they held, are gone
        self.models.forget_conditions()
        self.models.placed.rest("denoiser", "vae")
        free_memory(self.device)
        if isinstance(reason, DeviceLost):
            raise reason
        return [], reason

    def _smaller(
        self, numbers: list[int], rows: dict[int, BatchRow], reason: RenderError | ModelError
    ) -> list[list[int]]:
        """Halves when there was no room; single rows for any other reason, so that only the culprit fails."""
        size, note = 1, f"a batch of {len(numbers)} failed ({reason}); its rows were made one by one"
        if isinstance(reason, OutOfMemory):
            size = len(numbers) // 2
            self.batch_sizer.at_most(rows[numbers[0]].spec, size)
            note = f"no room for {len(numbers)} at once; made in batches of {size}"
        for number in numbers:
            rows[number].notes += (note,)
        return [numbers[start : start + size] for start in range(0, len(numbers), size)]

    def _forward(
        self, pipe: Any, rows: list[BatchRow], spent: dict[str, float], progress: Progress | None
    ) -> list[Rendered]:
        """Numbered as diffusers' pipelines are; every list below has one entry a row."""
        spec, wanted = rows[0].spec, len(rows)
        clock = _Clock(self.device, wanted, spent, self.compiler)
        length = rows[0].words.length if rows[0].words else 0
        rows = [*rows, *[rows[-1]] * (self.compiler.filled(spec, wanted, length=length) - wanted)]
        generators = [torch.Generator("cpu").manual_seed(row.spec.seed) for row in rows]
        adapters = self.models.adapters(spec, asker=f"{spec.project}/{spec.asset}")
        refiner = self.models.refiner(spec, pipe.vae, asker=f"{spec.project}/{spec.asset}")
        networks = [pipe.vae, *(pipe.controlnet.nets if spec.controlnets else []), *adapters]
        networks += [refiner.unet] if refiner is not None else []
        tile, inner = (
            rows[0].tile,
            list_inner_axes(spec.seamless, tile=rows[0].tile, width=spec.width, height=spec.height),
        )
        session, controls, levers = self._choose_backend(pipe, spec, len(rows), tile, inner, clock)
        windows = denoise_in_windows(pipe.unet, tile=tile, factor=pipe.vae_scale_factor, axes=spec.seamless)
        with (
            use_circular_padding(networks, spec.seamless),
            use_circular_padding([pipe.unet], inner),
            ExitStack() as graphs,
        ):
            for by_graph in (*([session] if session else []), *controls):
                graphs.enter_context(by_graph.used())
            graphs.enter_context(windows)
            call = self._make_arguments(pipe, rows, generators, clock=clock, progress=progress)
            followed = [[row.conditions[n] for n in _list_adapters(spec)] for row in rows]
            with (
                clock("denoise"),
                self.batch_sizer.watching(spec, len(rows)),
                use_attention(self.attention),
                apply_adapters(pipe, spec.adapters, adapters, followed),
                use_guidance(pipe, spec, rows=len(rows)),
                use_approximation(pipe, spec, rows=len(rows)),
                watch_middle_block(pipe.unet) as middle,
            ):
                latents = pipe(**call, generator=generators, output_type="latent", return_dict=False)[0]
            if refiner is not None:
                words = self._refiner_words(refiner, rows)
                with clock("refine"), use_attention(self.attention):
                    latents = refine(refiner, spec, latents, words, generators)
            policy, placed = self.models.placed.policy, self.models.placed
            changed = bool(spec.seamless) or spec.width * spec.height > policy.tiled_pixels
            placed.rest("denoiser")
            with clock("decode"), use_attention(self.attention), self.compiler.decoding(pipe.vae, eager=changed):
                pictures = decode_latents(pipe.vae, latents, policy)[:wanted]
            placed.rest("vae")
        self.models.forget_conditions()
        if session is not None:
            middle.output = session.middle
        vectors = list_vectors(middle, rows[:wanted], computed=len(rows))
        return [
            replace(
                self._finish(row, picture, number=number, size=len(rows), shares=clock.shares, vectors=vectors[number]),
                levers=levers,
            )
            for number, (row, picture) in enumerate(zip(rows[:wanted], pictures, strict=True))
        ]

    def _make_arguments(
        self,
        pipe: Any,
        rows: list[BatchRow],
        generators: list[torch.Generator],
        *,
        clock: _Clock,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """What the pipeline is called with: its prompts, sources, masks, conditions and references, one a row."""
        spec = rows[0].spec
        call = make_shared_arguments(spec, rows, progress)
        if spec.task is Task.TXT2IMG:
            call |= {"height": spec.height, "width": spec.width}
        else:
            call |= {"strength": spec.strength}
            with clock("source"):
                call["image"] = self._start(pipe, rows, generators)
        if spec.task is Task.INPAINT:
            masks = torch.stack([torch.from_numpy(row.mask)[None].float() / 255 for row in rows])
            call |= {"mask_image": masks, "height": spec.height, "width": spec.width}
        if spec.controlnets:
            numbers = [n for n in range(len(spec.controls)) if n not in _list_adapters(spec)]
            stacks = [to_tensor([row.conditions[n] for row in rows], device=self.device) for n in numbers]
            call["image" if spec.task is Task.TXT2IMG else "control_image"] = stacks
            call |= {
                "controlnet_conditioning_scale": pipe.controlnet.take_scales(
                    [[c.controlnet_conditioning_scale for c in row.spec.controlnets] for row in rows],
                    device=self.device,
                ),
                "control_guidance_start": [c.control_guidance_start for c in spec.controlnets],
                "control_guidance_end": [c.control_guidance_end for c in spec.controlnets],
            }
        if spec.references:
            with clock("encode"):
                seen = [row.references for row in rows]
                shown = self.models.references.embeddings(pipe, seen, guided=spec.guidance_scale > 1)
            call["ip_adapter_image_embeds"] = shown
            pipe.prepare_ip_adapter_image_embeds = lambda *_, **__: shown  # a row's own, already one a row
        return call

    def _finish(
        self,
        row: BatchRow,
        picture: Any,
        *,
        number: int,
        size: int,
        shares: Mapping[str, float],
        vectors: dict[str, Vector],
    ) -> Rendered:
        """The row's result: outside a mask its source stays as it was. `picture`: pixels, or why there are none."""
        if isinstance(picture, RenderError):
            return replace(self._failed(row, picture), batch_size=size, row=number, timings=dict(shares))
        if row.spec.keep_colour and row.source is not None and row.mask is None:
            picture = match_colours(picture, row.source)
        if row.whole is not None:
            source, mask, box = row.whole
            picture = paste_region(put_back(picture, source, box), source, mask)
        elif row.mask is not None and row.source is not None:
            picture = paste_region(picture, row.source, row.mask)
        return Rendered(
            digest=row.spec.digest,
            pixels=picture,
            error=None,
            timings=dict(shares),
            batch_size=size,
            row=number,
            models=_list_models(row.spec),
            device=self.device_name,
            dtype=str(self.dtype).removeprefix("torch."),
            notes=row.notes + (("nearly one colour",) if near_constant(picture) else ()),
            vectors=vectors,
        )

    def _refiner_words(self, refiner: Any, rows: list[BatchRow]) -> list[Words]:
        """The rows' prompts as the refiner's encoder reads them, in as many chunks as the base's."""
        said = []
        for row in rows:
            assert row.words is not None and row.spec.refiner is not None
            least = row.words.length // refiner.tokenizer_2.model_max_length
            own = self.models.inversions(row.spec, asker=f"{row.spec.project}/{row.spec.asset}")
            wearing = (row.spec.refiner.model.digest, "refiner")
            said.append(
                self.encoder.words(refiner, row.spec, wearing=wearing, device=self.device, inversions=own, least=least)
            )
        return said

    def _choose_backend(
        self, pipe: Any, spec: ImageSpec, rows: int, tile: int | None, axes: str, clock: _Clock
    ) -> tuple[UNetSession | None, list[ControlNetSession], dict[str, str]]:
        """The graphs' sessions where they make this batch, and the levers for the record: only what is not as it always
        was."""
        compiled = self.levers.compile_backend if self.levers.compile else "native"
        used = {"attention": self.attention, "compile": compiled}
        levers = {name: value for name, value in used.items() if value != "native"}
        if not self.graphs.may_come:
            return None, [], levers
        resident = self.models.placed.policy.placement is Placement.RESIDENT
        with clock("graph"):
            session, reason = self.graphs.find(
                spec, pipe.unet, rows=rows, factor=pipe.vae_scale_factor, tile=tile, axes=axes, resident=resident
            )
            if session is None:
                return None, [], levers | {"backend": "torch", "backend_reason": reason}
            nets = pipe.controlnet.nets if spec.controlnets else []
            controls, reason = self.graphs.find_controlnets(spec, nets)
        levers |= {"backend": "onnxruntime"}
        return session, controls, levers | ({"backend_reason": f"ControlNet by PyTorch: {reason}"} if reason else {})

    def _start(self, pipe: Any, rows: list[BatchRow], generators: list[torch.Generator]) -> torch.Tensor:
        """What img2img starts from: latents, encoded once a source. Inpaint needs the pixels, for it masks them."""
        if rows[0].spec.task is Task.INPAINT:
            return to_tensor([row.source for row in rows if row.source is not None], device=self.device)
        latents = []
        for row, generator in zip(rows, generators, strict=True):
            spec = row.spec
            assert row.source is not None
            vae = spec.vae.digest if spec.vae else spec.model.digest
            key = (vae, spec.source, spec.width, spec.height, spec.seamless)
            policy = self.models.placed.policy
            drawn = self.sources.latents(pipe.vae, row.source, generator, key=key, device=self.device, policy=policy)
            latents.append(drawn)
        self.models.placed.rest("vae")
        return torch.cat(latents)

    def _failed(self, row: BatchRow, reason: RenderError | ModelError) -> Rendered:
        return Rendered(
            digest=row.spec.digest,
            pixels=None,
            error=reason,
            timings={},
            batch_size=1,
            row=0,
            models=_list_models(row.spec),
            device=self.device_name,
            dtype=str(self.dtype).removeprefix("torch."),
            notes=row.notes,
        )


class _Clock:
    """Seconds by stage, divided by the rows. Compiling is a stage of its own, and not in the one that it held up."""

    def __init__(self, device: torch.device, rows: int, spent: dict[str, float], compiler: Compiler) -> None:
        self.device, self.rows, self.shares, self.compiler = device, rows, dict(spent), compiler

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started, before = time.perf_counter(), self.compiler.seconds
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        compiled = self.compiler.seconds - before
        for name, seconds in ((stage, time.perf_counter() - started - compiled), ("compile", compiled)):
            if seconds:
                self.shares[name] = self.shares.get(name, 0.0) + seconds / self.rows


def _list_adapters(spec: ImageSpec) -> list[int]:
    return [n for n, control in enumerate(spec.controls) if control.kind == "t2i_adapter"]


def _list_models(spec: ImageSpec) -> dict[str, str]:
    return {ref.alias: ref.digest for ref in spec.models()}


def read_versions() -> dict[str, str]:
    """Library -> version, of everything that may change a pixel."""
    names = ("torch", "diffusers", "transformers", "peft", "safetensors", "numpy", "onnxruntime")
    found = {name: importlib.metadata.version(name) for name in (*names, "opencv-python-headless", "controlnet-aux")}
    return {"python": platform.python_version(), **found}


def _free(device: torch.device) -> int | None:
    """Bytes of device memory that nobody has taken."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"
