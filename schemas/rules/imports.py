"""Pictures made elsewhere (`kind: import`): what an asset can say of them, and how they came to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.manifest import FrozenFile, Import, Manifest
from schemas.reading.tree import Broken, Path
from schemas.rules.repairs import ORIGINAL
from schemas.spec import DigitalSource

IMPORTED = "import:"
"""Before a path among a submission's files: the picture as it is imported, where that is not the bytes under the path
itself: because a source is read otherwise, without alpha, or because an image is a PNG or a WebP."""

OF_REPAIRS = {
    "negative_prompt", "model", "vae", "loras", "scheduler", "scheduler_options", "num_inference_steps",
    "guidance_scale", "guidance_rescale", "guidance_start", "guidance_end", "clip_skip",
    "pag_scale", "pag_applied_layers", "approximation",
}  # fmt: skip
ALLOWED = OF_REPAIRS | {
    "name", "kind", "sources", "prompt", "digital_source_type", "text", "criteria", "delivery_name", "note", "used_in",
}  # fmt: skip
MADE_BY_A_MODEL: tuple[DigitalSource, ...] = ("compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia")
HOW = (
    "trainedAlgorithmicMedia (by a model), digitalCreation (drawn by people), digitalCapture (a photograph) or another"
)


def find_imported_file(files: Mapping[str, FrozenFile], path: str) -> FrozenFile:
    """The picture that becomes the image."""
    return files.get(IMPORTED + path) or files[path]


def find_original(files: Mapping[str, Any], digest: str) -> FrozenFile | None:
    """What was sent, of the picture with this digest that was given; None where none is it. `files`: path -> FrozenFile
    as its submission keeps it, of which only what is found is read."""
    for name, body in files.items():
        if body["digest"] == digest and ":" not in (path := name.removeprefix(IMPORTED)).removeprefix("s3:"):
            return FrozenFile.model_validate(files.get(ORIGINAL + path) or files[path])
    return None


def find_unfit_fields(asset: Import, at: Path) -> Iterator[Broken]:
    """Nothing is made, so nothing that says how has a meaning; but for sampling, which is that of repairs."""
    for name in sorted(asset.model_fields_set - ALLOWED):
        came = f"got {name} for an import, which is taken as it is"
        yield (*at, name), came, f"none; of what is made only {', '.join(sorted(OF_REPAIRS))}, for repairs"
    for name in sorted(OF_REPAIRS & asset.model_fields_set):
        value = getattr(asset, name)
        if isinstance(value, tuple) and len(value) > 1 and name != "pag_applied_layers":
            yield (*at, name), f"got {len(value)} values", "one: it is that of repairs, and no axis"


def find_unsaid_sources(manifest: Manifest, files: Mapping[str, FrozenFile]) -> Iterator[Broken]:
    """Pictures of which neither the asset nor the file says how they were made."""
    for at, path, asset, file in _list_imported(manifest, files):
        if asset.digital_source_type is None and file.digital_source is None:
            came = f"got {path!r}, which does not say how it was made"
            yield at, came, f"`digital_source_type: ...` of this asset: {HOW}"


def find_overruled_sources(manifest: Manifest, files: Mapping[str, FrozenFile]) -> Iterator[Broken]:
    """Pictures that say a model made them, in an asset that says none did."""
    for at, path, asset, file in _list_imported(manifest, files):
        if asset.digital_source_type is not None and get_digital_source(asset, file) != asset.digital_source_type:
            came = f"got {path!r}, which says {file.digital_source} of itself, and so it stays"
            yield at, came, f"an asset of its own, without {asset.digital_source_type}"


def _list_imported(
    manifest: Manifest, files: Mapping[str, FrozenFile]
) -> Iterator[tuple[Path, str, Import, FrozenFile]]:
    for index, asset in enumerate(manifest.assets):
        for number, path in enumerate(asset.sources if isinstance(asset, Import) else ()):
            if isinstance(asset, Import) and path in files:
                yield ("assets", index, "sources", number), path, asset, find_imported_file(files, path)


def get_digital_source(asset: Import, file: FrozenFile) -> DigitalSource:
    """The asset's word, or the file's where the asset has none; a file's word that a model made it is never lost.
    Raises ValueError where neither says one (find_unsaid_sources)."""
    own, said = file.digital_source, asset.digital_source_type
    source = own if own in MADE_BY_A_MODEL and said not in MADE_BY_A_MODEL else said or own
    if source is None:
        raise ValueError(f"{asset.name}: got no digital source type")
    return source
