"""Load, hold and swap: one checkpoint on the device, its ControlNets, and the LoRAs it wears.

diffusers' pipelines are thin here: each is built around the parts that are held, so that going from txt2img to inpaint
loads nothing. Every digest is checked against the spec's own and the pin before a weight is read.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
from cachetools import LRUCache
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    ControlNetUnionModel,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)

from engine.adapters import load_adapter
from engine.compiling import Compiler, use_channels_last
from engine.control_lora import load_control_lora
from engine.controlnets import Controls, Remembered
from engine.embeddings import Inversion, read_inversion
from engine.graph_backend import GraphBackend, list_weights_worn
from engine.lora import Lora, Merges, load_by_peft, read_lora
from engine.memory import NOTHING, Placement, Policy, choose_policy, weigh_models
from engine.model_files import ModelFiles
from engine.offload import OffloadedModels
from engine.references import References
from engine.refiner import load_refiner
from engine.runtime_options import Switch
from engine.schedules import make_scheduler
from engine.single_file import load_part, load_parts, read_scheduler
from engine.stored_weights import store_weights
from engine.tokens import tokenizer
from engine.upscale import Upscaler
from schemas.errors import ModelChanged, ModelMissing, RenderError, UnfitWeights
from schemas.spec import ControlSpec, EmbeddingRef, ImageSpec, LoraRef, ModelRef, StorageDtype, Task
from schemas.weights.components import read_folder_configs, read_json
from schemas.weights.configs import controlnet_config, t2i_config, vae_config
from schemas.weights.control_lora import MARK
from schemas.weights.examine import list_components, list_file_components
from schemas.weights.files import read_header_at, variant

CONTROLNETS_HELD = 4
EMBEDDINGS_HELD = 64
LORAS_HELD = 256 * 2**20
"""Bytes of LoRAs that stay on the device beside those in use, switched off, where the whole checkpoint fits on it."""

log = logging.getLogger(__name__)

PIPELINES = {
    (Task.TXT2IMG, False): "StableDiffusionXLPipeline",
    (Task.IMG2IMG, False): "StableDiffusionXLImg2ImgPipeline",
    (Task.INPAINT, False): "StableDiffusionXLInpaintPipeline",
    (Task.TXT2IMG, True): "StableDiffusionXLControlNetPipeline",
    (Task.IMG2IMG, True): "StableDiffusionXLControlNetImg2ImgPipeline",
    (Task.INPAINT, True): "StableDiffusionXLControlNetInpaintPipeline",
}
PIPELINES_SD15 = {key: name.replace("XL", "") for key, name in PIPELINES.items()}
_UNREAD: dict[str, dict[str, Any]] = {
    "sdxl": {"add_watermarker": False},
    "sd15": {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
}
"""What a pipeline of this architecture must be told to do without."""


class LoadedModels:
    """What is on the device. One object a process and device."""

    def __init__(
        self,
        catalogue: ModelFiles,
        *,
        device: torch.device,
        dtype: torch.dtype,
        pins: Mapping[str, str],
        compiler: Compiler,
        graphs: GraphBackend,
        channels_last: Switch,
        room: int | None = None,
    ) -> None:
        self.room, self.placed = room, OffloadedModels(device)
        self._policies: dict[Hashable, Policy] = {}
        self.compiler, self.graphs, self.channels_last = compiler, graphs, channels_last
        self.catalogue, self.device, self.dtype, self.pins = catalogue, device, dtype, dict(pins)
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        self.loads = 0
        self._storage: tuple[StorageDtype | Literal[""], tuple[LoraRef, ...]] = ("", ())
        self._base: Any = None
        self._base_key: tuple[str, str | None] | None = None
        self._vaes: dict[str, AutoencoderKL] = {}
        self._nets: LRUCache[str, Any] = LRUCache(CONTROLNETS_HELD)
        self._adapters: LRUCache[str, Any] = LRUCache(CONTROLNETS_HELD)
        self._inversions: LRUCache[str, Inversion] = LRUCache(EMBEDDINGS_HELD)
        self._cast: Any = None
        self._worn: tuple[tuple[str, float], ...] = ()
        self._loras: dict[str, int] = {}
        """Bytes of each that peft has on the modules, longest unused first."""
        self._merges = Merges()
        self._upscaler: tuple[str, Upscaler] | None = None
        self._refiner: tuple[str, Any] | None = None
        self.references = References(catalogue)

    def pipeline(self, spec: ImageSpec, *, asker: str) -> Any:
        """The pipeline for a spec's task, with the spec's models, LoRAs and a fresh scheduler.

        Raises ModelMissing, UnsafeWeights, ModelChanged, or RenderError for a scheduler that cannot be.
        """
        # 1. the checkpoint, and another autoencoder where one is asked for
        policy = self.policy(spec)
        if (policy.placement is Placement.STREAMED) != (self.placed.policy.placement is Placement.STREAMED):
            self.drop()  # streaming changes the modules for good
        self.placed.policy = policy
        storage = (spec.storage_dtype, spec.loras if spec.storage_dtype else ())
        if self._storage != storage:
            self.drop()  # what was rounded stays so, and peft cannot add a LoRA to it
        self._storage = storage
        base = self._checkpoint(spec.model, spec.vae, asker=asker)
        architecture = self.catalogue.entry(spec.model.alias, asker=asker).architecture
        # 2. LoRAs and reference adapters
        self._wear(base, spec, asker=asker)
        paths = [_one_file(self.checked(r.model, asker=asker), r.model.alias, asker) for r in spec.references]
        self.references.wear(base, spec.references, paths, asker=asker)
        if spec.storage_dtype and self._cast is not base.unet:
            self._cast = self._in_storage(base.unet)
        # 3. the pipeline of this task around the same parts
        parts = {name: part for name, part in base.components.items() if name != "scheduler"}
        if spec.controlnets:
            nets = [self._controlnet(control.model, spec.model, asker=asker) for control in spec.controlnets]
            parts["controlnet"] = Controls(nets, [_mode(*pair) for pair in zip(spec.controlnets, nets, strict=True)])
        self.placed.settle(parts, parts["controlnet"].nets if spec.controlnets else (), policy)
        old = architecture == "sd15"
        zeros = {} if old else {"force_zeros_for_empty_prompt": base.config.force_zeros_for_empty_prompt}
        unread = {name: value for name, value in _UNREAD[architecture].items() if name not in parts}
        pipe = getattr(diffusers, (PIPELINES_SD15 if old else PIPELINES)[spec.task, bool(spec.controlnets)])(
            **parts,
            scheduler=make_scheduler(spec, base.scheduler.config, architecture=architecture),
            **zeros,
            **unread,
        )
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def policy(self, spec: ImageSpec) -> Policy:
        """What of this spec's models stays on the device. Raises as `pipeline` does."""
        nets = tuple(control.model.digest for control in spec.controls)
        shape = (spec.width, spec.height, spec.guidance_scale > 1, spec.storage_dtype)
        worn = tuple(ref.digest for ref in (*spec.loras, *(reference.model for reference in spec.references)))
        key = (spec.model.digest, spec.vae, spec.refiner, nets, worn, shape)
        if key not in self._policies:
            itemsize = self.dtype.itemsize
            weights = weigh_models(self.catalogue, spec, itemsize=itemsize) if self.room is not None else NOTHING
            self._policies[key] = choose_policy(
                weights,
                room=self.room,
                width=spec.width,
                height=spec.height,
                guided=spec.guidance_scale > 1,
                itemsize=itemsize,
                decode_itemsize=4 if self.dtype == torch.float16 else itemsize,
            )
            log.info("%s, %d x %d: %s", spec.model.alias, spec.width, spec.height, self._policies[key])
        return self._policies[key]

    def adapters(self, spec: ImageSpec, *, asker: str) -> list[Any]:
        """The T2I-Adapters of a spec. Raises as `pipeline` does."""
        return [self._adapter(control.model, asker=asker) for control in spec.adapters]

    def _adapter(self, ref: ModelRef, *, asker: str) -> Any:
        if ref.digest not in self._adapters:
            path = self.checked(ref, asker=asker)
            entry = self.catalogue.entry(ref.alias, asker=asker)
            config = t2i_config(self.catalogue, entry, path, read_header_at(path))
            net = load_adapter(path, config, dtype=self.dtype, device=self.device, alias=ref.alias)
            self._adapters[ref.digest] = net
        return self._adapters[ref.digest]

    def inversions(self, spec: ImageSpec, *, asker: str) -> list[Inversion]:
        """The textual inversions of one row. Raises as `pipeline` does."""
        return [self._inversion(ref, asker=asker) for ref in spec.embeddings]

    def _inversion(self, ref: EmbeddingRef, *, asker: str) -> Inversion:
        if ref.digest not in self._inversions:
            path = _one_file(self.checked(ref, asker=asker), ref.alias, asker)
            self._inversions[ref.digest] = read_inversion(path, token=ref.token, digest=ref.digest, asker=asker)
        return self._inversions[ref.digest]

    def refiner(self, spec: ImageSpec, vae: Any, *, asker: str) -> Any:
        """The second model of a spec that has one, with the base's autoencoder. Raises as `pipeline` does."""
        ref = spec.refiner.model if spec.refiner else None
        if ref is None:
            return None
        if self._refiner is None or self._refiner[0] != ref.digest:
            self._refiner = None
            path = self.checked(ref, asker=asker)
            entry = self.catalogue.entry(ref.alias, asker=asker)
            components = list_components(self.catalogue, entry) or {}
            config = self.catalogue.place(entry.config) if entry.config else None
            pipe = load_refiner(
                path, vae, components, dtype=self.dtype, device=self.device, alias=ref.alias, config=config
            )
            self._tune(pipe.unet)
            self._refiner = (ref.digest, pipe)
        return self._refiner[1]

    def upscaler(self, ref: ModelRef, *, asker: str) -> Upscaler:
        """One is kept. Raises as `pipeline` does."""
        if self._upscaler is None or self._upscaler[0] != ref.digest:
            path = _one_file(self.checked(ref, asker=asker), ref.alias, asker)
            self._upscaler = (ref.digest, Upscaler(path, device=self.device, dtype=self.dtype, asker=asker))
        return self._upscaler[1]

    def wearing(self, spec: ImageSpec) -> tuple[object, ...]:
        """What the text encoders' answer depends on beside the prompt."""
        return list_weights_worn(spec)

    def checked(self, ref: ModelRef, *, asker: str) -> Path:
        """Where the weights are. Raises ModelChanged when they are not the ones planned or pinned."""
        now = self.catalogue.digest(ref.alias, asker=asker)
        pinned = self.pins.get(ref.alias, ref.digest)
        for wanted, by in ((ref.digest, f"{asker} was planned with"), (pinned, "the pin is")):
            if wanted != now:
                raise ModelChanged(
                    f"{ref.alias} is {now[:12]} now, but {by} {wanted[:12]}; put the old weights back, or take "
                    f"the new ones with `dailies models repin {ref.alias}` and submit again"
                )
        return self.catalogue.where(ref.alias, asker=asker)

    def forget_conditions(self) -> None:
        for net in self._nets.values():
            net.controlnet_cond_embedding.forget()

    def _checkpoint(self, ref: ModelRef, vae: ModelRef | None, *, asker: str) -> Any:
        key = (ref.digest, vae.digest if vae else None)
        if self._base is not None and self._base_key == key:
            return self._base
        path = self.checked(ref, asker=asker)
        other = self._autoencoder(vae, asker=asker) if vae else None
        if self._base is None or self._base_key is None or self._base_key[0] != ref.digest or other is None:
            self.drop()
            self._base = self._home(_load_checkpoint(path, self.catalogue, ref.alias, asker, self.dtype))
            self.loads += 1
            for part in (self._base.unet, self._base.vae):
                self._tune(part)
        if other is not None:
            self._base.register_modules(vae=other)
        self._base_key = key
        return self._base

    def _autoencoder(self, ref: ModelRef, *, asker: str) -> AutoencoderKL:
        if ref.digest not in self._vaes:
            path = self.checked(ref, asker=asker)
            config = dict(vae_config(self.catalogue, self.catalogue.entry(ref.alias, asker=asker), path))
            self._vaes = {ref.digest: load_part(path, "vae", config, dtype=self.dtype)}
            self._tune(self._home(self._vaes[ref.digest]))
        return self._vaes[ref.digest]

    def _controlnet(self, ref: ModelRef, base: ModelRef, *, asker: str) -> Any:
        if ref.digest not in self._nets:
            path = self.checked(ref, asker=asker)
            entry = self.catalogue.entry(ref.alias, asker=asker)
            if MARK in (header := read_header_at(path)).tensors:
                components = list_components(self.catalogue, self.catalogue.entry(base.alias, asker=asker))
                assert components is not None  # it is loaded
                net = load_control_lora(path, self.checked(base, asker=asker), components["unet"], dtype=self.dtype)
            else:
                config = controlnet_config(self.catalogue, entry, path, header)
                net = load_part(path, "controlnet", config, dtype=self.dtype)
            net.controlnet_cond_embedding = Remembered(net.controlnet_cond_embedding)
            self._nets[ref.digest] = self._tune(self._home(net))
        return self._nets[ref.digest]

    def _wear(self, base: Any, spec: ImageSpec, *, asker: str) -> None:
        """Exactly these LoRAs, at these weights. With none, every trace of adapters is taken off the modules.

        Raises UnfitWeights before anything changes for a file that does not fit; the checkpoint stays. Whatever fails
        on the way, the checkpoint is afterwards as it was without LoRAs.
        """
        wanted = tuple((_name(lora), lora.weight) for lora in spec.loras)
        if wanted == self._worn:
            return
        files = self._lora_files(spec, asker=asker)
        self.placed.lift()
        try:
            self._change(base, wanted, files)
        except Exception:
            self._strip(base)
            raise
        self._worn = wanted

    def _lora_files(self, spec: ImageSpec, *, asker: str) -> dict[str, Lora]:
        if not spec.loras:
            return {}
        components = list_components(self.catalogue, self.catalogue.entry(spec.model.alias, asker=asker))
        assert components is not None  # it is loaded
        return {
            _name(lora): read_lora(
                _one_file(self.checked(lora, asker=asker), lora.alias, asker), components, asker=asker, alias=lora.alias
            )
            for lora in spec.loras
        }

    def _change(self, base: Any, wanted: Sequence[tuple[str, float]], files: Mapping[str, Lora]) -> None:
        self._merges.take_out()
        names = [name for name, _ in wanted]
        if not wanted:
            base.unload_lora_weights()
            self._loras = {}
        for name in names:
            size = self._loras.pop(name, None)
            self._loras[name] = load_by_peft(base, files[name], name) if size is None else size
        held = LORAS_HELD if self.placed.policy.placement is Placement.RESIDENT else 0
        unused = [name for name in self._loras if name not in names]
        while unused and sum(self._loras[name] for name in unused) > held:
            gone = unused.pop(0)
            if gone in _adapters(base):
                base.delete_adapters([gone])
            del self._loras[gone]
        if known := [(name, weight) for name, weight in wanted if name in _adapters(base)]:
            base.set_adapters([name for name, _ in known], [weight for _, weight in known])
        for name, weight in wanted:
            self._merges.add(base, files[name], weight)

    def _strip(self, base: Any) -> None:
        """The checkpoint as it was read."""
        self._merges.take_out()
        base.unload_lora_weights()
        self._loras, self._worn = {}, ()

    def _home(self, part: Any) -> Any:
        """Onto the device, unless it is to wait in the host's memory (engine/offload.py)."""
        return part.to(self.device) if self.placed.policy.placement is Placement.RESIDENT else part

    def _tune(self, part: Any) -> Any:
        part.eval()
        use_channels_last(part, self.device, self.channels_last)
        if not self._storage[0]:  # hooks that cast are not compiled
            self.compiler.prepare(part)
        elif isinstance(part, ControlNetModel | ControlNetUnionModel):
            self._in_storage(part)
        return part

    def _in_storage(self, part: Any) -> Any:
        held = self._storage[0]
        if held == "int8" or held == "int4":
            store_weights(part, held)
            return part
        part.enable_layerwise_casting(storage_dtype=getattr(torch, held), compute_dtype=self.dtype)
        return part

    def drop(self) -> None:
        """The checkpoint before goes first: two do not fit on most cards."""
        held = self._base is not None
        self.placed.lift()
        self.graphs.forget()
        self._base, self._base_key, self._worn, self._loras, self._cast = None, None, (), {}, None
        self._merges = Merges()
        self._refiner = None
        self._nets.clear()
        self._adapters.clear()
        self.references.forget()
        if held:
            gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _load_checkpoint(path: Path, catalogue: ModelFiles, alias: str, asker: str, dtype: torch.dtype) -> Any:
    entry = catalogue.entry(alias, asker=asker)
    old = entry.architecture == "sd15"
    cls = StableDiffusionPipeline if old else StableDiffusionXLPipeline
    quiet: dict[str, Any] = dict(_UNREAD[entry.architecture])
    if path.is_dir():
        quiet |= {"dtype": dtype, "local_files_only": True, "use_safetensors": True}
        return cls.from_pretrained(path, **quiet, **_variants(cls, path, dtype))
    components = list_file_components(read_header_at(path), catalogue, entry)
    try:
        parts = load_parts(path, components, dtype=dtype)
    except UnfitWeights as wrong:
        raise UnfitWeights(
            f"{asker} asks for {alias}: {wrong}; for a checkpoint of another size give `config:` in the catalogue, a "
            "diffusers folder of the same architecture"
        ) from None
    if entry.base is not None:
        other = _load_checkpoint(catalogue.where(entry.base, asker=asker), catalogue, entry.base, asker, dtype)
        parts = {**other.components, **parts}
        parts = {name: part for name, part in parts.items() if name != "scheduler"}
    encoders = ["text_encoder"] if old else ["text_encoder", "text_encoder_2"]
    if absent := [name for name in ("unet", "vae", *encoders) if name not in parts]:
        raise UnfitWeights(f"{asker} asks for {alias}: {path} holds no {', '.join(absent)}; give `base:`")
    folder = catalogue.place(entry.config) if entry.config else None
    for name in ("tokenizer", "tokenizer_2")[: len(encoders)]:
        if name not in parts or (folder is not None and (folder / name).is_dir()):
            parts[name] = tokenizer(components[name], folder=folder and folder / name)
    zeros = components.get("pipeline", {}).get("force_zeros_for_empty_prompt", True)
    if not old:
        quiet["force_zeros_for_empty_prompt"] = zeros
    quiet = {name: value for name, value in quiet.items() if name not in parts}
    return cls(**parts, scheduler=read_scheduler(components["scheduler"]), **quiet)


def _variants(cls: Any, path: Path, dtype: torch.dtype) -> dict[str, Any]:
    """`variant` where all components have no plain copy; else those that have none, loaded by themselves."""
    index = read_json(path / "model_index.json")
    names = [name for name in ("unet", "vae", "text_encoder", "text_encoder_2") if index.get(name, [None])[0]]
    kinds = {name: variant(path / name) for name in names}
    if len(set(kinds.values())) == 1:
        return {"variant": kinds[names[0]]} if kinds[names[0]] else {}
    components = read_folder_configs(path)
    return {name: load_part(path / name, name, components[name], dtype=dtype) for name, kind in kinds.items() if kind}


def _one_file(path: Path, alias: str, asker: str) -> Path:
    if path.is_file():
        return path
    files = sorted(path.glob("*.safetensors"))
    if len(files) != 1:
        raise ModelMissing(f"{asker} asks for {alias}: {path} holds {len(files)} safetensors files; expected one")
    return files[0]


def _mode(control: ControlSpec, net: Any) -> int | None:
    """Which of a union's conditions this is; None for an ordinary ControlNet."""
    if not isinstance(net, ControlNetUnionModel):
        return None
    if control.control_mode is None or control.control_mode >= net.config.num_control_type:
        raise RenderError(
            f"{control.model.alias} is a union of {net.config.num_control_type} conditions; control {control.type!r} "
            f"came with mode {control.control_mode}; give `modes` in its catalogue entry"
        )
    return control.control_mode


def _adapters(base: Any) -> set[str]:
    return {name for names in base.get_list_adapters().values() for name in names}


def _name(lora: LoraRef) -> str:
    return f"lora_{lora.digest[:16]}"
