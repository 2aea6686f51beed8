"""The configuration of an autoencoder, ControlNet or T2I-Adapter: its folder's, else `config`'s, else by its keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.catalogue import Catalogue, Entry
from schemas.weights.adapters import read_t2i_config
from schemas.weights.components import load_shipped, read_folder_configs, read_json
from schemas.weights.header import Header


def vae_config(catalogue: Catalogue, entry: Entry, path: Path) -> Mapping[str, Any]:
    """Of a folder its own; of a file that of `config`, else its architecture's. Raises UnfitWeights."""
    if path.is_dir() and (path / "config.json").is_file():
        return read_json(path / "config.json")
    if entry.config is not None:
        folder = catalogue.place(entry.config)
        return (
            read_json(folder / "config.json")
            if (folder / "config.json").is_file()
            else read_folder_configs(folder)["vae"]
        )
    return load_shipped(entry.architecture)["vae"]


def controlnet_config(catalogue: Catalogue, entry: Entry, path: Path, header: Header) -> dict[str, Any]:
    """As `vae_config`; without a config that of the architecture's UNet. A union counts its kinds by its keys."""
    if path.is_dir() and (path / "config.json").is_file():
        config = read_json(path / "config.json")
    elif entry.config is not None:
        folder = catalogue.place(entry.config)
        config = read_json(
            folder / "config.json" if (folder / "config.json").is_file() else folder / "unet/config.json"
        )
    else:
        config = dict(load_shipped(entry.architecture)["unet"])
    for prefix in ("", "controlnet."):
        if (kinds := header.tensors.get(f"{prefix}task_embedding")) is not None:
            config["num_control_type"] = kinds.shape[0]
            layers = {
                k.split("transformer_layes.")[1].split(".")[0] for k in header.tensors if "transformer_layes." in k
            }
            config["num_trans_layer"] = len(layers)
    return {name: value for name, value in config.items() if not name.startswith("up_block") and name != "sample_size"}


def t2i_config(catalogue: Catalogue, entry: Entry, path: Path, header: Header) -> Mapping[str, Any]:
    """Of a folder its own, of a file that of `config`, else what its shapes say. Raises UnfitWeights."""
    for folder in (path, catalogue.place(entry.config) if entry.config else None):
        if folder is not None and (folder / "config.json").is_file():
            return read_json(folder / "config.json")
    return read_t2i_config(header)
