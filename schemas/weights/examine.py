"""A file or a folder on disk -> Identity, without opening a tensor; and the configurations of a catalogue's entry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.catalogue import Catalogue, Entry
from schemas.errors import UnfitWeights
from schemas.weights.components import Components, load_shipped, read_folder_configs, read_json
from schemas.weights.files import count_copies, find_sidecar, list_weight_files, read_header_at
from schemas.weights.header import Header
from schemas.weights.identify import identify
from schemas.weights.identity import Identity, Sort

PICKLED = {".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"}
_CLASSES: dict[str, Sort] = {
    "ControlNetModel": "controlnet", "ControlNetUnionModel": "controlnet", "ControlNetModel_Union": "controlnet",
    "T2IAdapter": "t2i_adapter", "AutoencoderKL": "vae", "AutoencoderTiny": "taesd", "UNet2DConditionModel": "unet",
}  # fmt: skip
_CROSS = {768: "sd15", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}


def examine_weights(path: Path) -> Identity:
    """What the file or folder is. Raises UnfitWeights for a damaged file."""
    if path.is_file():
        if path.suffix == ".safetensors":
            return identify(read_header_at(path), name=str(path), sidecar=find_sidecar(path))
        if path.suffix in PICKLED:
            refusal = "it is a pickle, which can run code; safetensors are read"
            return Identity("unknown", layout="pickle", size=path.stat().st_size, refusal=refusal)
        return Identity("unknown", refusal=f"it is a {path.suffix or 'file without a suffix'}; safetensors are read")
    if (path / "model_index.json").is_file():
        return _checkpoint_folder(path)
    if not list(path.glob("*.safetensors")):
        pickles = [file.name for file in path.iterdir() if file.suffix in PICKLED]
        held = f"only pickles ({', '.join(sorted(pickles)[:3])})" if pickles else "no weights"
        return Identity("unknown", refusal=f"the folder holds {held}; safetensors are read")
    identity = identify(read_header_at(path), name=str(path))
    if (path / "config.json").is_file():
        kind = _CLASSES.get(str(read_json(path / "config.json").get("_class_name")))
        if kind and kind != identity.kind and not identity.refusal:
            identity.kind = kind
    if unread := count_copies(path):
        identity.notes.append(f"{len(unread)} other copies are not read: {', '.join(unread[:3])}")
    return identity


def _checkpoint_folder(path: Path) -> Identity:
    components = read_folder_configs(path)
    unet, scheduler = components.get("unet", {}), components.get("scheduler", {})
    identity = Identity("checkpoint", "", "diffusers", in_channels=unet.get("in_channels", 4))
    width = unet.get("cross_attention_dim")
    identity.architecture = _CROSS.get(width, "") if isinstance(width, int) else ""
    if identity.architecture == "sdxl" and unet.get("reverse_transformer_layers_per_block") is not None:
        identity.architecture = "ssd-1b"
    identity.prediction_type = str(scheduler.get("prediction_type", ""))
    identity.zero_snr = bool(scheduler.get("rescale_betas_zero_snr"))
    if not unet:
        kind = components["pipeline"].get("_class_name") if "pipeline" in components else "nothing"
        identity.refusal = f"the folder is of {kind}, which has no UNet; SDXL and SD 1.5 are rendered here"
    elif "EDM" in str(scheduler.get("_class_name")):
        identity.architecture = "playground-2.5"
        identity.refusal = "it was trained with EDM noise (Playground 2.5 and its kin), which no scheduler here walks"
    elif identity.architecture == "sd2":
        identity.refusal = "it is SD 2, which is not supported; SDXL and SD 1.5 are"
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        if name in components:
            identity.size += sum(file.stat().st_size for file in list_weight_files(path / name))
            if unread := count_copies(path / name):
                identity.notes.append(f"{name}: {len(unread)} other copies are not read: {', '.join(unread[:3])}")
    licence = path / "LICENSE.md"
    identity.licence = licence.name if licence.is_file() else ""
    return identity


def list_components(catalogue: Catalogue, entry: Entry) -> Components | None:
    """The configurations that a checkpoint is loaded with; None where its files are not on this machine.

    Raises UnfitWeights where they are not known, or where `config` is not a diffusers folder.
    """
    path = catalogue.local(entry.alias)
    if path is None:
        return None
    if path.is_dir():
        return read_folder_configs(path)
    return list_file_components(read_header_at(path), catalogue, entry)


def list_file_components(header: Header, catalogue: Catalogue, entry: Entry) -> Components:
    """Of a single file: `config`'s, else the shipped ones of its architecture, with its own number of channels."""
    identity = identify(header)
    if entry.config is not None:
        return _predicting(read_folder_configs(catalogue.place(entry.config)), identity, entry)
    if identity.architecture in ("ssd-1b", "segmind-vega"):
        raise UnfitWeights(f"it is {identity.name}; give `config:`, a diffusers folder of its kind")
    components = {name: dict(config) for name, config in load_shipped(entry.architecture).items()}
    components["unet"]["in_channels"] = identity.in_channels
    return _predicting(components, identity, entry)


def _predicting(components: Components, identity: Identity, entry: Entry) -> Components:
    """With the prediction type that the file or its entry says in the scheduler's configuration."""
    scheduler: Mapping[str, Any] = components.get("scheduler", {})
    kind = entry.prediction_type or identity.prediction_type
    change: dict[str, Any] = {"prediction_type": kind} if kind else {}
    if entry.zero_snr or identity.zero_snr:
        change |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    return {**components, "scheduler": {**scheduler, **change}}


def find_contradiction(identity: Identity, entry: Entry, config: Components | None) -> str:
    """What a file's markers and the catalogue say against each other about its prediction type; "" where nothing."""
    said = identity.prediction_type
    if said and entry.prediction_type and said != entry.prediction_type:
        return f"the file says {said}, the catalogue {entry.prediction_type}; take `prediction_type` out"
    other = (config or {}).get("scheduler", {}).get("prediction_type", "epsilon")
    if said and config is not None and other != said:
        return f"the file says {said}, its `config` {other}; give a config of the same prediction type, or none"
    return ""
