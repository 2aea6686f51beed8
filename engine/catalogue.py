"""Aliases -> weights. Knows folders, file names and SHA-256; opens no weights and imports no torch.

A catalogue is a YAML file, one entry an alias:

    hero-xl:
      kind: checkpoint            # checkpoint, controlnet, t2i_adapter, vae, lora, embedding, upscaler, ip_adapter
      path: ../weights/hero-xl    # folder or single .safetensors file, relative to the catalogue; or
      hub: studio/hero-xl         # a hub id, looked up in the local cache only
      tiers: {draft: {scheduler: LCM, num_inference_steps: 4, guidance_scale: 1.0, loras: {hero-xl/lcm: 1.0}}}
    hero-xl/canny:
      kind: controlnet
      path: ../weights/hero-xl-canny
      checkpoints: [hero-xl]      # empty: any of the same architecture
      controls: [canny, lineart]  # which `type` of a manifest's control it serves
    hero-xl/union:
      kind: controlnet
      path: ../weights/union-promax
      modes: {pose: 0, depth: 1, softedge: 2, scribble: 2, canny: 3, lineart: 3, normal: 4}  # a ControlNet-Union

    hero-xl/fast:
      kind: lora
      path: ../weights/lightning-4.safetensors
      few_step: lightning         # lcm, turbo, lightning, hyper: what it was distilled by (schemas/fewstep.py)
      steps: [4]                  # and for how many steps; empty: any of the family's
    studio-15:
      kind: checkpoint
      path: ../weights/studio-15
      architecture: sd15          # sdxl, sdxl-refiner, sd15; what it wears must be of the same

The digest of an alias is the SHA-256 over the lines `<sha256 of file>  <relative name>\\n`, sorted by name, of every
file that loading reads: .safetensors, .json and .txt. Of a checkpoint folder only `model_index.json` and the components
it names count, so that a ControlNet kept inside it is no part of it. A single file's digest is its own line. An
ip_adapter's has one line more, the digest of its image encoder.
Only safetensors are weights; anything else that stands in their place is refused by name (`UnsafeWeights`).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import ModelMissing, SettingsError, UnsafeWeights
from schemas.fewstep import FAMILIES, FamilyName, FewStep
from schemas.spec import ImageSpec, Tier

Kind = Literal[
    "checkpoint", "controlnet", "t2i_adapter", "vae", "lora", "embedding", "upscaler", "ip_adapter", "image_encoder",
]  # fmt: skip
Architecture = Literal["sdxl", "sdxl-refiner", "sd15"]
_READ = {".safetensors", ".json", ".txt"}
_PICKLED = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".h5", ".msgpack"}
_CODE = {".py"}


class TierDefaults(BaseModel):
    """What a manifest gets when it asks for this tier of this checkpoint and says nothing itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheduler: str | None = None
    num_inference_steps: int | None = Field(None, ge=1)
    guidance_scale: float | None = None
    loras: dict[str, float] = Field(default_factory=dict, description="alias -> weight, added to the manifest's own")


class Entry(BaseModel):
    """One alias. `where` is the folder or file, which may not be there yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alias: str
    kind: Kind
    path: Path | None = None
    hub: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$")
    architecture: Architecture = "sdxl"
    checkpoints: tuple[str, ...] = Field((), description="aliases this belongs to; empty: any of its architecture")
    controls: tuple[str, ...] = Field((), description="control types a ControlNet serves")
    modes: dict[str, int] = Field(default_factory=dict, description="of a ControlNet-Union: control type -> its number")
    tiers: dict[Tier, TierDefaults] = Field(default_factory=dict)
    size: int | None = Field(None, description="px, the side a checkpoint was trained at")
    config: Path | None = Field(None, description="diffusers folder with the configs of a single-file checkpoint")
    image_encoder: str | None = Field(None, description="alias of what an ip_adapter sees pictures with")
    trigger: str | None = Field(None, description="the word an embedding listens to; else the end of its alias")
    few_step: FamilyName | None = Field(None, description="what a few-step checkpoint or LoRA was distilled by")
    steps: tuple[int, ...] = Field((), description="the numbers of steps that few-step weights are for; empty: any")
    licence: str = ""

    @property
    def serves(self) -> tuple[str, ...]:
        """Control types; a union's modes are enough to say them."""
        return (*self.controls, *(name for name in self.modes if name not in self.controls))

    @property
    def token(self) -> str:
        """An embedding's word: `trigger`, or what stands after the alias's last slash."""
        return self.trigger or self.alias.rsplit("/", 1)[-1]

    @property
    def few(self) -> FewStep | None:
        return FewStep(self.alias, self.few_step, self.steps) if self.few_step else None

    @model_validator(mode="after")
    def _one_place(self) -> Entry:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either path or hub")
        return self

    @model_validator(mode="after")
    def _few_steps(self) -> Entry:
        if self.few_step is None:
            if self.steps:
                raise ValueError("steps came without few_step; they are for few-step weights")
            return self
        if self.kind not in ("checkpoint", "lora"):
            raise ValueError(f"few_step came for a {self.kind}; it is for checkpoints and LoRAs")
        least, most, _ = FAMILIES[self.few_step].steps
        if any(not least <= steps <= most for steps in self.steps):
            raise ValueError(f"came steps {', '.join(map(str, self.steps))}; {self.few_step} has {least} to {most}")
        return self


class Catalogue:
    """The entries of one file, and the digests of what they name.

    `digests`: a file that remembers digests between processes, by path, size and modification time; without one they
    are remembered in this object only.
    """

    def __init__(self, entries: Mapping[str, Entry], *, folder: Path, digests: Path | None = None) -> None:
        self.entries = dict(entries)
        self.folder = folder
        self._digests = digests
        self._known: dict[str, str] = {}
        if digests is not None and digests.is_file():
            self._known = json.loads(digests.read_text())

    @classmethod
    def read(cls, path: Path, *, digests: Path | None = None) -> Catalogue:
        """Raises SettingsError, which names the file and the alias, for anything that is not a catalogue."""
        try:
            body = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            raise SettingsError(f"{path}: no catalogue is there; set `catalogue` to one") from None
        except (yaml.YAMLError, UnicodeDecodeError) as wrong:
            raise SettingsError(f"{path}: not YAML: {wrong}") from None
        if not isinstance(body, dict):
            raise SettingsError(f"{path}: {type(body).__name__} came; a mapping of alias to entry is allowed")
        entries = {}
        for alias, fields in body.items():
            try:
                entries[str(alias)] = Entry.model_validate({"alias": str(alias), **(fields or {})})
            except (ValidationError, TypeError) as wrong:
                raise SettingsError(f"{path}: {alias}: {_first(wrong)}") from None
        return cls(entries, folder=path.resolve().parent, digests=digests)

    def entry(self, alias: str, *, asker: str, kind: Kind | None = None) -> Entry:
        """Raises ModelMissing, which names who asked and what there is."""
        found = self.entries.get(alias)
        if found is not None and kind in (None, found.kind):
            return found
        names = [name for name, entry in self.entries.items() if kind in (None, entry.kind)]
        near = difflib.get_close_matches(alias, names, n=3) or names
        wanted = f"{kind} {alias!r}" if kind else f"model {alias!r}"
        said = f"; it is a {found.kind}" if found else ""
        raise ModelMissing(
            f"{asker} asks for {wanted}, which is not in the catalogue{said}; there is {', '.join(near)}"
        )

    def controlnet(self, checkpoint: str, control: str, *, asker: str) -> Entry:
        """The first ControlNet of `checkpoint` that serves `control`, such as "canny"; else the first T2I-Adapter."""
        base = self.entry(checkpoint, asker=asker, kind="checkpoint")
        kinds = ("controlnet", "t2i_adapter")
        able = [e for kind in kinds for e in self.entries.values() if e.kind == kind and _fits(e, base)]
        for entry in able:
            if control in entry.serves:
                return entry
        there = ", ".join(sorted({control for entry in able for control in entry.serves})) or "none"
        raise ModelMissing(f"{asker} asks for control {control!r}; {checkpoint} has a ControlNet for: {there}")

    def where(self, alias: str, *, asker: str, kind: Kind | None = None) -> Path:
        """The folder or file of an alias. Raises ModelMissing with the path, the alias and the asker."""
        entry = self.entry(alias, asker=asker, kind=kind)
        if entry.hub is not None:
            return _in_hub_cache(entry.hub, alias, asker)
        assert entry.path is not None
        path = (self.folder / entry.path.expanduser()).resolve()
        if not path.exists():
            raise ModelMissing(f"{asker} asks for {alias}: nothing is at {path}")
        return path

    def files(self, alias: str, *, asker: str) -> list[Path]:
        """What loading reads, sorted. Raises ModelMissing, or UnsafeWeights naming the file."""
        encoder = self.entry(alias, asker=asker).image_encoder
        return self._own_files(alias, asker) + (self.files(encoder, asker=asker) if encoder else [])

    def _own_files(self, alias: str, asker: str) -> list[Path]:
        entry, path = self.entry(alias, asker=asker), self.where(alias, asker=asker)
        if path.is_file():
            if path.suffix != ".safetensors":
                raise UnsafeWeights(f"{asker} asks for {alias}: {path} is not safetensors")
            return [path]
        unread = {"safety_checker", "feature_extractor"} if entry.architecture == "sd15" else set()
        unread |= {"vae"} if entry.architecture == "sdxl-refiner" else set()  # the base's own is taken
        folders = [path]
        index = path / "model_index.json"
        if entry.kind == "checkpoint":
            if not index.is_file():
                raise ModelMissing(f"{asker} asks for {alias}: {index} is missing")
            folders = [path / name for name in _components(index) if name not in unread]
        found = [index] if entry.kind == "checkpoint" else []
        for folder in folders:
            if not folder.is_dir():
                raise ModelMissing(f"{asker} asks for {alias}: {folder} is missing")
            found += _readable(folder, f"{asker} asks for {alias}")
        return sorted(found)

    def digest(self, alias: str, *, asker: str = "catalogue") -> str:
        """Hex SHA-256 of the alias's weights and configs, as the module's docstring says."""
        files = self._own_files(alias, asker)
        root = self.where(alias, asker=asker)
        root = root if root.is_dir() else root.parent
        lines = "".join(f"{self._file(path)}  {path.relative_to(root).as_posix()}\n" for path in files)
        if encoder := self.entry(alias, asker=asker).image_encoder:
            lines += f"{self.digest(encoder, asker=asker)}  image_encoder\n"
        return hashlib.sha256(lines.encode()).hexdigest()

    def missing(self, wanted: Iterable[ImageSpec | str], *, asker: str = "check") -> list[str]:
        """One sentence for each model that cannot be loaded, so that it is known before the night."""
        askers: dict[str, str] = {}
        for item in wanted:
            if isinstance(item, str):
                askers.setdefault(item, asker)
                continue
            for model in item.models():
                askers.setdefault(model.alias, f"{item.project}/{item.asset}")
        sentences = []
        for alias, who in askers.items():
            try:
                self.files(alias, asker=who)
            except (ModelMissing, UnsafeWeights) as reason:
                sentences.append(str(reason))
        return sentences

    def _file(self, path: Path) -> str:
        """SHA-256 of one file; read again only when its size or time changed."""
        stat = path.stat()
        key = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in self._known:
            with path.open("rb") as opened:
                self._known[key] = hashlib.file_digest(opened, "sha256").hexdigest()
            if self._digests is not None:
                self._digests.parent.mkdir(parents=True, exist_ok=True)
                new = self._digests.with_suffix(f".{os.getpid()}")
                new.write_text(json.dumps(self._known))
                new.replace(self._digests)
        return self._known[key]


def _components(index: Path) -> list[str]:
    """The sub-folders a model_index.json names: those whose value is [library, class] and not [null, null]."""
    body: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
    return [name for name, value in body.items() if isinstance(value, list) and value and value[0] is not None]


def _readable(folder: Path, said: str) -> list[Path]:
    """The files of one component that are read; refuses pickles that would be its only weights, and code."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    pickled = [path for path in files if path.suffix in _PICKLED]
    if any(path.suffix in _CODE for path in files):
        code = next(path for path in files if path.suffix in _CODE)
        raise UnsafeWeights(f"{said}: {code} is code, which is never run")
    if pickled and not any(path.suffix == ".safetensors" for path in files):
        raise UnsafeWeights(f"{said}: {pickled[0]} is not safetensors")
    kept = [path for path in files if path.suffix in _READ]
    if not kept:
        raise ModelMissing(f"{said}: {folder} holds no safetensors and no configuration")
    return kept


def _fits(entry: Entry, base: Entry) -> bool:
    return base.alias in entry.checkpoints if entry.checkpoints else entry.architecture == base.architecture


def _in_hub_cache(repository: str, alias: str, asker: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        raise ModelMissing(f"{asker} asks for {alias}: {repository} is not in the local hub cache") from None


def _first(wrong: Exception) -> str:
    if not isinstance(wrong, ValidationError):
        return str(wrong)
    error = wrong.errors()[0]
    return f"{'.'.join(str(part) for part in error['loc']) or 'entry'}: {error['msg']}"
