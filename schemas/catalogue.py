"""The catalogue: what a studio says of its models, by alias. Lookups are pure; weights are opened in engine/ alone.

A catalogue is a YAML file, one entry an alias:

    hero-xl:
      kind: checkpoint            # checkpoint, controlnet, t2i_adapter, vae, lora, embedding, ip_adapter, upscaler, ...
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
    studio/birefnet:
      kind: matting               # one ONNX file; cuts subjects out (`background: {by: model}`)
      path: ../weights/birefnet.onnx
      size: 1024                  # and mean, std of its input, where they are not ImageNet's
    studio/siglip:
      kind: dual_encoder          # a CLIP or SigLIP folder of transformers; the setting `search_model` names it
      path: ../weights/siglip-base

engine/model_files.py finds the files that the entries name, and takes their digests.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import ControlMissing, ModelMissing, SettingsError
from schemas.fewstep import FAMILIES, FamilyName, FewStep
from schemas.spec import Tier

_NAME = r"[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?"
_HUB_ID = re.compile(rf"(?!.*(?:--|\.\.))(?=.{{1,96}}$){_NAME}/{_NAME}", re.ASCII)
MOST_BYTES = 4 * 2**20
"""Of a catalogue; ten thousand entries have less than half of it."""

Kind = Literal[
    "checkpoint", "controlnet", "t2i_adapter", "vae", "lora", "embedding", "upscaler", "ip_adapter", "image_encoder",
    "matting", "dual_encoder",
]  # fmt: skip
Architecture = Literal["sdxl", "sdxl-refiner", "sd15"]
PredictionType = Literal["epsilon", "v_prediction"]


def is_non_commercial(licence: str) -> bool:
    """Whether a licence's own words forbid sale: `CC-BY-NC-4.0`, `non-commercial research licence`."""
    return re.search(r"\bnc\b|non[- ]?commercial|research[- ]only", licence, re.IGNORECASE) is not None


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
    hub: str | None = None
    architecture: Architecture = "sdxl"
    checkpoints: tuple[str, ...] = Field((), description="aliases this belongs to; empty: any of its architecture")
    controls: tuple[str, ...] = Field((), description="control types a ControlNet serves")
    modes: dict[str, int] = Field(default_factory=dict, description="of a ControlNet-Union: control type -> its number")
    tiers: dict[Tier, TierDefaults] = Field(default_factory=dict)
    size: int | None = Field(None, description="px, the side a checkpoint was trained at; of a matting model's input")
    config: Path | None = Field(None, description="diffusers folder with the configs of a single-file checkpoint")
    image_encoder: str | None = Field(None, description="alias of what an ip_adapter sees pictures with")
    trigger: str | None = Field(None, description="the word an embedding listens to; else the end of its alias")
    few_step: FamilyName | None = Field(None, description="what a few-step checkpoint or LoRA was distilled by")
    steps: tuple[int, ...] = Field((), description="the numbers of steps that few-step weights are for; empty: any")
    prediction_type: PredictionType | None = Field(None, description="of a checkpoint whose file does not say it")
    zero_snr: bool = Field(False, description="the checkpoint was trained to zero terminal SNR")
    base: str | None = Field(None, description="checkpoint that has the text encoders and VAE which this file lacks")
    trigger_words: tuple[str, ...] = Field((), description="words of a LoRA that belong in the prompt")
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), description="of a matting model's input (0 to 1)")
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), description="of a matting model's input")
    note: str = Field("", description="for a person")
    licence: str = ""
    non_commercial: bool | None = Field(
        None, description="whether its licence forbids sale; else the licence's words say"
    )
    gone: bool = Field(False, description="the last scan did not find its file; it is kept for its alias and its pin")

    @property
    def is_non_commercial(self) -> bool:
        return is_non_commercial(self.licence) if self.non_commercial is None else self.non_commercial

    @property
    def place_text(self) -> str:
        """Where it is, as the catalogue says it."""
        return f"hub: {self.hub}" if self.hub else str(self.path)

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
        if self.hub is not None and not _HUB_ID.fullmatch(self.hub):
            raise ValueError(f"got hub {self.hub[:100]!r}; expected owner/name as on a hub")
        return self

    @model_validator(mode="after")
    def _few_steps(self) -> Entry:
        if self.few_step is None:
            if self.steps:
                raise ValueError("got steps without few_step; they are for few-step weights")
            return self
        if self.kind not in ("checkpoint", "lora"):
            raise ValueError(f"got few_step for a {self.kind}; it is for checkpoints and LoRAs")
        least, most, _ = FAMILIES[self.few_step].steps
        if any(not least <= steps <= most for steps in self.steps):
            raise ValueError(f"got steps {', '.join(map(str, self.steps))}; {self.few_step} has {least} to {most}")
        return self


@dataclass(frozen=True)
class ModelFacts:
    """What a catalogue says that decides settings, by alias (schemas/resolved.py)."""

    tiers: Mapping[str, Mapping[Tier, TierDefaults]]
    sizes: Mapping[str, int]
    few: Mapping[str, FewStep]


class Catalogue:
    """The entries of one file. `folder`: where that file is; the paths in it are relative to it."""

    def __init__(self, entries: Mapping[str, Entry], *, folder: Path) -> None:
        self.entries = dict(entries)
        self.folder = folder

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises SettingsError, which names the file and the alias, for anything that is not a catalogue."""
        try:
            text = _read_file(path).decode("utf-8")
        except FileNotFoundError:
            raise SettingsError(f"{path}: no catalogue is there; set `catalogue` to one") from None
        except OSError as wrong:
            raise SettingsError(f"{path}: the catalogue cannot be read: {wrong.strerror or wrong}") from None
        except UnicodeDecodeError as wrong:
            raise SettingsError(f"{path}: not YAML: {wrong}") from None
        return cls.parse(text, name=str(path), folder=path.resolve().parent)

    @classmethod
    def parse(cls, text: str, *, name: str, folder: Path) -> Self:
        """Raises SettingsError. `name`: of the file, for messages; `folder`: what its paths are relative to."""
        try:
            body = yaml.safe_load(text) or {}
        except (yaml.YAMLError, ValueError) as wrong:
            raise SettingsError(f"{name}: not YAML: {wrong}") from None
        except RecursionError:
            raise SettingsError(f"{name}: got nesting without end; expected a mapping of alias to entry") from None
        if not isinstance(body, dict):
            raise SettingsError(f"{name}: got {type(body).__name__}; expected a mapping of alias to entry")
        entries = {}
        for alias, fields in body.items():
            try:
                entries[str(alias)] = Entry.model_validate({"alias": str(alias), **(fields or {})})
            except (ValidationError, TypeError) as wrong:
                raise SettingsError(f"{name}: {alias}: {_first(wrong)}") from None
        return cls(entries, folder=folder)

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

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(
            tiers={alias: entry.tiers for alias, entry in self.entries.items() if entry.kind == "checkpoint"},
            sizes={alias: entry.size for alias, entry in self.entries.items() if entry.size},
            few={alias: entry.few for alias, entry in self.entries.items() if entry.few is not None},
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
        raise ControlMissing(
            f"{asker} asks for control {control!r}", f"one that {checkpoint} has a ControlNet for: {there}"
        )

    def local(self, alias: str) -> Path | None:
        """The folder or file of an alias, where it is on this machine; a hub's cache is asked by the engine alone."""
        entry = self.entries[alias]
        if entry.path is None:
            return None
        path = self.place(entry.path)
        return path if path.exists() else None

    def place(self, path: Path) -> Path:
        """A path of the catalogue's, whole. A link keeps its own name: a hub cache's files have no ending behind it."""
        return Path(os.path.abspath(self.folder / path.expanduser()))


def _read_file(path: Path) -> bytes:
    """A regular file of at most MOST_BYTES: /dev/zero has no end, and a FIFO waits for somebody who writes."""
    opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        about = os.fstat(opened)
        if not stat.S_ISREG(about.st_mode):
            raise SettingsError(
                f"{path}: got {_KIND.get(stat.S_IFMT(about.st_mode), 'a device')}; expected a YAML file"
            )
        if about.st_size > MOST_BYTES:
            raise SettingsError(f"{path}: got {about.st_size:,} bytes; a catalogue has at most {MOST_BYTES:,}")
        return os.read(opened, MOST_BYTES)
    finally:
        os.close(opened)


_KIND = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}


def _fits(entry: Entry, base: Entry) -> bool:
    return base.alias in entry.checkpoints if entry.checkpoints else entry.architecture == base.architecture


def _first(wrong: Exception) -> str:
    if not isinstance(wrong, ValidationError):
        return str(wrong)
    error = wrong.errors()[0]
    return f"{'.'.join(str(part) for part in error['loc']) or 'entry'}: {error['msg']}"
