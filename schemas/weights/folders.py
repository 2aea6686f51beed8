"""Where models are in a folder of ComfyUI, A1111, InvokeAI or diffusers, or in the hub's cache. Opens no weights.

    find_models(folder) -> one Place for each file, and for each folder that is one model

What a file is, its header says (identify.py). The folder that it is in is only the root of its alias, and a hint where
a header says nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from schemas.errors import InputError, UnfitWeights
from schemas.weights.components import read_json

WEIGHTS = {".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf"}
"""Endings of what people keep as weights; only safetensors are read, the others are named with the reason."""

KINDS = {
    "checkpoints": "checkpoint", "stable-diffusion": "checkpoint", "main": "checkpoint",
    "diffusion_models": "checkpoint", "unet": "checkpoint",
    "loras": "lora", "lora": "lora", "lycoris": "lora",
    "vae": "vae", "vae_approx": "vae", "vae-approx": "vae",
    "controlnet": "controlnet", "control_net": "controlnet", "t2i_adapter": "t2i_adapter",
    "embeddings": "embedding", "embedding": "embedding", "textual_inversion": "embedding",
    "upscale_models": "upscaler", "esrgan": "upscaler", "realesrgan": "upscaler", "swinir": "upscaler",
    "bsrgan": "upscaler", "dat": "upscaler", "scunet": "upscaler", "spandrel_image_to_image": "upscaler",
    "clip": "text_encoder", "text_encoders": "text_encoder",
    "clip_vision": "image_encoder", "ipadapter": "ip_adapter", "ip_adapter": "ip_adapter",
}  # fmt: skip
"""Folder names of ComfyUI, A1111 and InvokeAI, in lower case, and what they are for."""

SKIPPED = {
    "venv", "node_modules", "__pycache__", "site-packages", "custom_nodes", "output", "outputs", "input", "temp",
    "annotator", "annotators", "configs", "insightface", "wildcards",
}  # fmt: skip
"""Folders beside and among models that hold none of a manifest's: programs, pictures, and detectors' weights."""

_UNNAMED = {"pytorch_lora_weights", "diffusion_pytorch_model", "model", "adapter_model", "learned_embeds", "adapter"}
"""File names that say nothing; the folder's name is taken."""
_LONGEST = 256 * 1024
"""Bytes of an extra_model_paths.yaml."""


@dataclass(frozen=True)
class Place:
    """One model. `hint`: its kind by the folder that it is in, or "". `name`: its path below that folder, no ending."""

    path: Path
    name: str
    hint: str = ""
    hub: str = ""
    """Its id, where it is in the hub cache that loading looks into."""
    also: tuple[Path, ...] = ()
    """Other paths of the same file."""


def find_models(folder: Path) -> list[Place]:
    """Every model below a folder, and below those that its extra_model_paths.yaml names; each file once, sorted.

    Raises InputError where no folder is there, or where that file is not YAML.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no folder is there; the models folder of ComfyUI, A1111 or InvokeAI is expected")
    found = list(_walk(Path(os.path.abspath(folder))))
    for kind, root in extra_folders(folder):
        found += [Place(p.path, p.name, p.hint or kind, p.hub) for p in _walk(root, top=root)]
    kept: dict[tuple[int, int], Place] = {}
    for place in found:
        stat = place.path.stat()
        key = (stat.st_dev, stat.st_ino)
        if key not in kept:
            kept[key] = place
        elif place.path != kept[key].path:
            first = kept[key]
            kept[key] = Place(first.path, first.name, first.hint, first.hub, (*first.also, place.path))
    return sorted(kept.values(), key=lambda place: str(place.path))


def extra_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """(kind by its name, folder) of ComfyUI's extra_model_paths.yaml, in the folder or beside it. Raises InputError."""
    beside = [folder / "extra_model_paths.yaml", folder.parent / "extra_model_paths.yaml"]
    for path in [path for path in beside if path.is_file()][:1]:
        try:
            if path.stat().st_size > _LONGEST:
                raise InputError(f"{path}: got {path.stat().st_size} bytes; expected at most {_LONGEST}")
            body = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as wrong:
            raise InputError(f"{path}: not YAML: {wrong}") from None
        for section in body.values() if isinstance(body, dict) else ():
            if isinstance(section, dict):
                yield from _section(section, path.parent)


def _section(section: Mapping[str, object], home: Path) -> Iterator[tuple[str, Path]]:
    base = home / os.path.expandvars(os.path.expanduser(str(section.get("base_path") or ".")))
    for name, lines in section.items():
        if name in ("base_path", "is_default", "custom_nodes", "configs") or not isinstance(lines, str):
            continue
        for line in filter(None, (line.strip() for line in lines.splitlines())):
            root = Path(os.path.abspath(base / os.path.expanduser(line)))
            if root.is_dir():
                yield KINDS.get(name.lower(), ""), root


def _walk(folder: Path, *, top: Path | None = None) -> Iterator[Place]:
    """`top`: the root of the aliases, where the caller knows it; else the last folder whose name is in KINDS."""
    seen: set[str] = set()
    for at, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        here = Path(at)
        if here.name.startswith("models--") and (here / "snapshots").is_dir():
            folders.clear()
            yield from _cached(here)
            continue
        if _is_one_model(here, files):
            if _has_weights(here):
                yield _placed(here, folder, top, stem=here.name)
            folders[:] = sorted(set(folders) - _components(here)) if "model_index.json" in files else []
            continue
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f.lower() not in SKIPPED)
        for name in sorted(files):
            if Path(name).suffix.lower() in WEIGHTS and not name.startswith("."):
                yield _placed(here / name, folder, top, stem=Path(name).stem)


def _placed(path: Path, folder: Path, top: Path | None, *, stem: str) -> Place:
    root, hint = top or folder, KINDS.get(folder.name.lower(), "")
    for parent in reversed(path.parents):
        if parent.is_relative_to(folder) and (kind := KINDS.get(parent.name.lower())):
            hint, root = kind, (parent if top is None else root)
    inner = path.relative_to(root).parent
    if stem in _UNNAMED and inner != Path("."):
        inner, stem = inner.parent, inner.name
    return Place(path, str(inner / stem).replace(os.sep, "/"), hint)


def _is_one_model(folder: Path, files: list[str]) -> bool:
    """A diffusers or transformers folder: an index, or a configuration beside its weights."""
    if "model_index.json" in files:
        return True
    if "config.json" not in files:
        return False
    try:
        body = read_json(folder / "config.json")
    except UnfitWeights:
        return False
    return bool({"_class_name", "architectures", "model_type"} & body.keys())


def _components(folder: Path) -> set[str]:
    """The sub-folders that its index names; another one, such as a ControlNet kept inside, is a model of its own."""
    try:
        return set(read_json(folder / "model_index.json"))
    except UnfitWeights:
        return set()


def _has_weights(folder: Path) -> bool:
    inner = folder.rglob("*") if (folder / "model_index.json").is_file() else folder.iterdir()
    return any(path.suffix.lower() in WEIGHTS for path in inner)


def _cached(repository: Path) -> Iterator[Place]:
    """The snapshot that `refs/main` names, else the newest."""
    snapshots = [path for path in (repository / "snapshots").iterdir() if path.is_dir()]
    if not snapshots:
        return
    main = repository / "refs" / "main"
    named = repository / "snapshots" / main.read_text(encoding="utf-8").strip() if main.is_file() else None
    snapshot = named if named in snapshots else max(snapshots, key=lambda path: path.stat().st_mtime)
    assert snapshot is not None
    hub = "/".join(repository.name.split("--")[1:])
    found = list(_walk(snapshot, top=snapshot))
    for place in found:
        whole = place.path == snapshot
        name = hub.split("/")[-1] if whole or len(found) == 1 else f"{hub.split('/')[-1]}/{place.name}"
        own = hub if whole and named == snapshot and repository.parent == hub_cache() else ""
        yield Place(place.path, name, "", own)


def hub_cache() -> Path:
    """The folder that huggingface_hub looks into, by its own variables."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    return Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub"))
