"""Which files of a folder are weights that loading reads, and the headers of those files together.

A component's folder can hold several copies: float32, fp16, other variants, each whole or in shards. One is read: the
plain one, else fp16. The rest is neither hashed nor counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from schemas.errors import UnfitWeights
from schemas.weights.components import read_json
from schemas.weights.header import Header, Tensor, remember_header

_VARIANT = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema)(?=[.-])")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")
_NAMES = ("diffusion_pytorch_model", "model", "pytorch_lora_weights")
SIDECARS = (".civitai.info", ".metadata.json", ".json")


def variant(folder: Path) -> str | None:
    """`fp16` where no plain copy is there; None for the plain one."""
    names = [path.name for path in folder.glob("*.safetensors")] if folder.is_dir() else []
    variants = {match[1] if (match := _VARIANT.search(name)) else "" for name in names}
    if "" in variants or not variants:
        return None
    return "fp16" if "fp16" in variants else sorted(variants)[0]


def list_weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the copy that is read, sorted. Raises UnfitWeights for a missing shard."""
    copy = variant(folder)
    files = [path for path in sorted(folder.glob("*.safetensors")) if _variant_of(path) == copy]
    named = [path for path in files if path.name.split(".")[0].split("-")[0] in _NAMES]
    files = named or files
    whole = [path for path in files if not _SHARD.search(path.name)]
    if named and whole:
        return whole
    shards = [path for path in files if _SHARD.search(path.name)]
    if shards and len(shards) != int(_SHARD.search(shards[0].name)[2]):  # type: ignore[index]
        raise UnfitWeights(f"{folder}: {len(shards)} shards are there; {shards[0].name} is one of more")
    return files


def count_copies(folder: Path) -> list[str]:
    """The names of files that are not read because another copy is."""
    read = set(list_weight_files(folder))
    return [path.name for path in sorted(folder.glob("*.safetensors")) if path not in read]


def read_files(files: Iterable[Path]) -> Header:
    """The headers of several files as one. Raises UnfitWeights where two hold one key."""
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    size = 0
    for path in files:
        header = remember_header(path)
        if both := tensors.keys() & header.tensors.keys():
            raise UnfitWeights(f"{path}: {next(iter(both))} is in another file of this folder too")
        tensors |= header.tensors
        metadata |= header.metadata
        size += header.size
    return Header(tensors, metadata, size)


def read_header_at(path: Path) -> Header:
    """Of one file, or of the copy in a folder that is read. Raises UnfitWeights."""
    if path.is_file():
        return remember_header(path)
    files = list_weight_files(path)
    if not files:
        raise UnfitWeights(f"{path}: no safetensors file is there")
    return read_files(files)


def find_sidecar(path: Path) -> dict[str, object]:
    """What a file beside the weights says of them: the first of .civitai.info, .metadata.json and .json."""
    for suffix in SIDECARS:
        beside = path.with_suffix(suffix)
        if path.is_file() and beside.is_file() and beside.stat().st_size < 4 * 2**20:
            try:
                return read_json(beside)
            except UnfitWeights:
                continue
    return {}


def _variant_of(path: Path) -> str | None:
    match = _VARIANT.search(path.name)
    return match[1] if match else None


def list_names(files: Sequence[Path]) -> str:
    return ", ".join(path.name for path in files)
