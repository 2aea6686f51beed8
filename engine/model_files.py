"""A catalogue whose weights are on this machine: their paths, their digests, and refusals. Imports no torch.

The digest of an alias is the SHA-256 over the lines `<sha256 of file>  <relative name>\\n`, sorted by name, of every
file that loading reads: .safetensors, .json and .txt. Of a checkpoint folder only `model_index.json` and the components
it names count, so that a ControlNet kept inside it is no part of it; of several copies of one component only the one
that is read. A single file's digest is its own line, and one more for each thing that is read beside it: `config`,
`prediction_type`, `base`. An ip_adapter's has one line more, the digest of its image encoder; a matting
model's (ONNX), what its input is. Only safetensors are weights otherwise; anything else that stands in their place is
refused by name (`UnsafeWeights`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from engine.digests import Digests
from schemas.catalogue import Catalogue, Entry, Kind
from schemas.errors import ModelError, ModelMissing, UnsafeWeights
from schemas.settings import Settings
from schemas.spec import ImageSpec
from schemas.weights.components import read_json
from schemas.weights.files import count_copies

_READ = {".safetensors", ".json", ".txt"}
_PICKLED = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".h5", ".msgpack"}
_CODE = {".py"}


class ModelFiles(Catalogue):
    """The entries of one catalogue, with the files that they name, and the digests of those.

    `digests`: a file that remembers digests between processes, by path, size and modification time; without one they
    are remembered in this object only.
    """

    def __init__(self, entries: Mapping[str, Entry], *, folder: Path, digests: Path | None = None) -> None:
        super().__init__(entries, folder=folder)
        self.digests = Digests(digests)

    @classmethod
    def read(cls, path: Path, *, digests: Path | None = None) -> Self:
        catalogue = Catalogue.read(path)
        return cls(catalogue.entries, folder=catalogue.folder, digests=digests)

    def where(self, alias: str, *, asker: str, kind: Kind | None = None) -> Path:
        """The folder or file of an alias. Raises ModelMissing with the path, the alias and the asker."""
        entry = self.entry(alias, asker=asker, kind=kind)
        if entry.hub is not None:
            return _in_hub_cache(entry.hub, alias, asker)
        assert entry.path is not None
        path = self.place(entry.path)
        if not path.exists():
            said = "; the last scan did not find it either" if entry.gone else ""
            raise ModelMissing(f"{asker} asks for {alias}: nothing is at {path}{said}")
        return path

    def local(self, alias: str) -> Path | None:
        try:
            return self.where(alias, asker="catalogue")
        except ModelMissing:
            return None

    def files(self, alias: str, *, asker: str) -> list[Path]:
        """What loading reads, sorted. Raises ModelMissing, or UnsafeWeights naming the file."""
        encoder = self.entry(alias, asker=asker).image_encoder
        return self._own_files(alias, asker) + (self.files(encoder, asker=asker) if encoder else [])

    def _own_files(self, alias: str, asker: str) -> list[Path]:
        entry, path = self.entry(alias, asker=asker), self.where(alias, asker=asker)
        if path.is_file():
            form = ".onnx" if entry.kind == "matting" else ".safetensors"
            if path.suffix != form:
                raise UnsafeWeights(f"{asker} asks for {alias}: {path} is not {form.removeprefix('.')}")
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
        lines = "".join(f"{self.digests.sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in files)
        entry = self.entry(alias, asker=asker)
        if entry.config is not None:
            lines += f"{self._config_digest(entry, asker)}  config\n"
        if entry.prediction_type is not None or entry.zero_snr:
            lines += f"{entry.prediction_type} {entry.zero_snr}  prediction\n"
        if entry.base is not None:
            lines += f"{self.digest(entry.base, asker=asker)}  base\n"
        if entry.kind == "matting":
            lines += f"{entry.size} {entry.mean} {entry.std}  input\n"
        if encoder := entry.image_encoder:
            lines += f"{self.digest(encoder, asker=asker)}  image_encoder\n"
        return hashlib.sha256(lines.encode()).hexdigest()

    def _config_digest(self, entry: Entry, asker: str) -> str:
        """Of the configurations and vocabularies of `config`; its weights are not read."""
        assert entry.config is not None
        folder = self.place(entry.config)
        if not folder.is_dir():
            raise ModelMissing(f"{asker} asks for {entry.alias}: its `config` {folder} is not a folder")
        files = _texts(folder)
        lines = "".join(f"{self.digests.sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
        return hashlib.sha256(lines.encode()).hexdigest()

    def hashed(self, alias: str) -> list[Path]:
        """Every file that goes into this alias's digest, as it is taken. Raises as `files` does."""
        entry = self.entry(alias, asker="catalogue")
        files = self._own_files(alias, "catalogue")
        if entry.config is not None and (folder := self.place(entry.config)).is_dir():
            files += _texts(folder)
        for other in (entry.base, entry.image_encoder):
            files += self.hashed(other) if other else []
        return files

    def known_digest(self, alias: str) -> str | None:
        """Its digest where no file must be read for it; None where one must, or where one is missing."""
        try:
            return self.digest(alias) if all(self.digests.has(path) for path in self.hashed(alias)) else None
        except (ModelError, OSError):
            return None

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


def open_model_files(settings: Settings) -> ModelFiles:
    """The studio's catalogue, with digests remembered between processes."""
    return ModelFiles.read(settings.catalogue, digests=settings.home / "digests.json")


def _texts(folder: Path) -> list[Path]:
    """Configurations and vocabularies."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".txt") and path.is_file())


def _components(index: Path) -> list[str]:
    """The sub-folders a model_index.json names: those whose value is [library, class] and not [null, null]."""
    body = read_json(index)
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
    unread = set(count_copies(folder))
    kept = [path for path in files if path.suffix in _READ and path.name not in unread]
    if not kept:
        raise ModelMissing(f"{said}: {folder} holds no safetensors and no configuration")
    return kept


def _in_hub_cache(repository: str, alias: str, asker: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        raise ModelMissing(f"{asker} asks for {alias}: {repository} is not in the local hub cache") from None
