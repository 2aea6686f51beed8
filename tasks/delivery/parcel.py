"""An approved image on its way out: its names under delivery/, and whose names stand in each other's way. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from schemas.delivery_files import Channel, MapKind
from schemas.delivery_presets import PresetName, find_preset
from schemas.errors import InputError, NameCollision
from schemas.manifest import AnyAsset, FrozenFile, Manifest, TextureVariants
from schemas.records import Decision, Delivery, Image
from schemas.rules.imports import find_original
from schemas.spec import ImageSpec
from storage.image_metadata import find_digital_source
from storage.ledger import Brief
from storage.provenance import MANIFEST_ENDING
from tasks.delivery.licences import Licence
from tasks.delivery.names import fold_name, make_delivery_path

ENDINGS = {"image/png": "png", "image/webp": "webp", "image/jxl": "jxl"}


@dataclass(frozen=True)
class Parcel:
    image: Image
    spec: ImageSpec
    decision: Decision
    brief: Brief
    manifest: Manifest
    name: str
    maps: tuple[MapKind, ...] = ()
    licences: tuple[Licence, ...] = ()
    formerly: str = ""
    """The name under which it left before."""

    @property
    def asset(self) -> AnyAsset:
        return self.manifest.asset(self.spec.asset)

    @property
    def packing(self) -> Mapping[str, tuple[Channel, ...]]:
        """Of a texture: a packed map's name -> what its channels hold."""
        return self.manifest.delivery.packing if isinstance(self.asset, TextureVariants) else {}

    @property
    def map_names(self) -> dict[str, str]:
        """T_Brick_BC.png -> T_Brick_N.png; where the name has no BC the map's letters are put behind it. By kind, or
        by a packed map's name."""
        preset = find_preset(self.manifest.delivery.preset)
        stem = preset.map_stem(self.name.rpartition(".")[0])
        ending = self.manifest.delivery.map_format.removesuffix("16")
        words: dict[str, str] = {kind: preset.suffixes[kind] for kind in self.maps}
        words |= {name: preset.packed_suffix(name) for name in self.packing}
        return {kind: f"{stem}_{word}.{ending}" for kind, word in words.items()}

    @property
    def engine(self) -> PresetName | None:
        """For which engine's importer files lie beside the pictures."""
        delivery = self.manifest.delivery
        return delivery.preset if delivery.engine_files else None

    @property
    def engine_names(self) -> dict[str, str]:
        """A file -> that of the engine's importer beside it; Unreal has one for all files of an image."""
        if self.engine == "unreal":
            return {self.name: f"{self.name.rpartition('.')[0]}.import.json"}
        ending = {"unity": "meta", "godot": "import"}.get(self.engine or "")
        return {name: f"{name}.{ending}" for name in (self.name, *self.map_names.values())} if ending else {}

    @property
    def watermark(self) -> str:
        """The message of the mark in the picture, 12 hex digits: of the digest, or a text's letters; "" for no mark."""
        said = self.manifest.watermark_of(self.asset)
        text = said.encode().ljust(6, b"\0").hex() if isinstance(said, str) else self.image.digest[:12]
        return text if said else ""

    @property
    def kept_ending(self) -> str:
        return ENDINGS[self.image.media_type]

    @property
    def digital_source(self) -> str:
        """IPTC's word: trainedAlgorithmicMedia or compositeWithTrainedAlgorithmicMedia."""
        return find_digital_source(self.spec).rpartition("/")[2]

    def find_original(self, digest: str) -> FrozenFile | None:
        """Of a picture that was given, what was sent."""
        return find_original(self.brief.files, digest)

    @property
    def original(self) -> FrozenFile | None:
        return self.find_original(self.spec.source) if self.spec.source else None

    @property
    def sidecar_name(self) -> str:
        return f"{self.name}.json"

    @property
    def manifest_names(self) -> tuple[str, ...]:
        """Of the C2PA manifests that lie beside files where the studio signs."""
        names = (self.name, *self.map_names.values())
        return tuple(f"{name}{MANIFEST_ENDING}" for name in names if name.endswith((".jxl", ".exr", ".tga")))

    @property
    def files(self) -> tuple[str, ...]:
        """Every name that this image takes."""
        beside = (*self.manifest_names, *self.engine_names.values(), self.sidecar_name)
        return (self.name, *self.map_names.values(), *beside)

    def __str__(self) -> str:
        return f"{self.spec.asset} {self.spec.variant} take {self.spec.take} (image {self.image.digest[:12]})"


def pack_parcel(
    image: Image,
    spec: ImageSpec,
    decision: Decision,
    *,
    brief: Brief,
    manifest: Manifest,
    licences: tuple[Licence, ...] = (),
    template: str | None,
    formerly: str,
) -> Parcel:
    """`template` overrides the manifest's. `formerly`: the name under which it left before, if it did."""
    asset = manifest.asset(spec.asset)
    maps = asset.maps if isinstance(asset, TextureVariants) else ()
    ending = ENDINGS.get(image.media_type)
    if ending is None:
        raise InputError(f"{spec.asset} {spec.variant}: got {image.media_type}; expected {', '.join(ENDINGS)}")
    delivery = manifest.delivery
    if delivery.format != "as_made":
        ending = delivery.format
    elif delivery.engine_files and ending not in find_preset(delivery.preset).formats:
        ending = "png"  # kept as WebP or JPEG XL, which the engine that imports it does not read
    template = template or manifest.delivery_name_of(asset)
    name = make_delivery_path(spec, template, ending=ending, is_ascii=delivery.ascii)
    return Parcel(image, spec, decision, brief, manifest, name, maps, licences, formerly)


def find_collisions(parcels: Iterable[Parcel], gone: Iterable[Delivery]) -> dict[str, NameCollision]:
    """Image digest -> with whom it would share a name, or be a file where the other needs a folder.

    Capitals do not tell names apart: on Windows, macOS and in Unreal they are one. What was delivered keeps its name.
    """
    files: dict[str, dict[str, str]] = defaultdict(dict)
    folders: dict[str, dict[str, str]] = defaultdict(dict)

    def take(name: str, *, image: str, holder: str) -> None:
        files[fold_name(name)][image] = holder
        for folder in PurePosixPath(name).parents:
            folders[fold_name(str(folder))][image] = holder

    parcels = list(parcels)
    for row in gone:
        for name in (row.name, f"{row.name}.json"):
            take(name, image=row.image, holder=f"{row.name}, delivered as image {row.image[:12]}")
    for parcel in parcels:
        for name in parcel.files:
            take(name, image=parcel.image.digest, holder=str(parcel))

    wrong = {}
    for parcel in parcels:
        own = parcel.image.digest
        for name in parcel.files:
            clash = next((holder for image, holder in files[fold_name(name)].items() if image != own), None)
            sentence = f"it and {clash} would both be {name}"
            if clash is None:
                clash, sentence = _file_or_folder(name, own, files, folders)
            if clash is not None:
                allowed = "a template that tells them apart, with {take}, {seed} or {digest} for instance"
                wrong[own] = NameCollision(f"{sentence}; expected {allowed}")
                break
    return wrong


def _file_or_folder(
    name: str, own: str, files: dict[str, dict[str, str]], folders: dict[str, dict[str, str]]
) -> tuple[str | None, str]:
    """Who needs `name` as a folder, or has a file where `name` needs one; and that as a sentence."""
    for image, holder in folders.get(fold_name(name), {}).items():
        if image != own:
            return holder, f"its file {name} would have to be a folder for {holder}"
    for folder in PurePosixPath(name).parents:
        for image, holder in files.get(fold_name(str(folder)), {}).items():
            if image != own:
                return holder, f"its folder {folder} would have to be a file for {holder}"
    return None, ""
