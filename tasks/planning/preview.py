"""One draft of each asset of a manifest, now and outside the ledger. It goes the way of every image, plan, pictures,
engine, but is neither checked nor kept."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.model_files import ModelFiles
from schemas.errors import InputError, ModelMissing, RenderError
from schemas.manifest import AnyAsset, Import, Manifest
from schemas.matrix import Combination, Matrix, list_axes
from schemas.names import count_noun, suggest_names
from schemas.resolved import SAMPLING
from schemas.settings import Settings
from schemas.spec import ImageSpec, Tier
from storage.intake import Inspection
from tasks.contact_sheet import Group, Tile
from tasks.planning.lookup import look_up_models
from tasks.planning.plan import PlannedModels, expand_asset

if TYPE_CHECKING:
    from engine.diffuse import Engine
    from engine.rendered import Rendered


@dataclass(frozen=True)
class Draft:
    """`images`: how many the manifest asks for of this asset."""

    spec: ImageSpec
    images: int
    made: Rendered


def plan_drafts(
    manifest: Manifest, looked: Inspection, catalogue: ModelFiles, *, pins: dict[str, str], names: Sequence[str] = ()
) -> list[tuple[ImageSpec, int]]:
    """The draft of each asset, or of those that are named, and how many images the manifest asks for of it.

    Raises InputError for a name that no asset has, ModelMissing for a model that is not here.
    """
    known = [asset.name for asset in manifest.assets]
    for name in names:
        if name not in known:
            raise InputError(f"got the asset {name!r}; {suggest_names(name, known)}")
    made = [asset for asset in manifest.assets if not isinstance(asset, Import)]
    wanted = [asset for asset in made if not names or asset.name in names]
    if not wanted:
        raise InputError("got imports alone, which are there already; expected an asset that is made")
    drafts = manifest.model_copy(update={"assets": tuple(convert_to_draft(manifest, asset)[0] for asset in wanted)})
    lookup = look_up_models(drafts, catalogue, pins)
    if lookup.missing:
        raise ModelMissing("; ".join(lookup.missing))
    return [(_spec(manifest, asset, looked, lookup.models), Matrix(manifest, asset).count()) for asset in wanted]


def convert_to_draft(manifest: Manifest, asset: AnyAsset) -> tuple[AnyAsset, Combination]:
    """The asset at the draft tier, and the first combination of its matrix there.

    An asset that has no drafts takes everything from its first final but the sampling, which is that of drafts: its own
    belongs to its finals (schemas/resolved.py).
    """
    matrix = Matrix(manifest, asset)
    if Tier.DRAFT in matrix.blocks:
        return asset, next(combination for combination in matrix if combination.at["tier"] is Tier.DRAFT)
    first = next(iter(matrix))
    update = {"tier": (Tier.DRAFT,), "zip": (), "exclude": (), **dict.fromkeys(SAMPLING)}
    draft = asset.model_copy(update=update)
    at = {
        path: first.at[path] if path in first.at and path not in SAMPLING else values[0]
        for path, values in list_axes(manifest, draft, Tier.DRAFT).items()
    }
    return draft, Combination(at | {"tier": Tier.DRAFT}, first.variant)


def _spec(manifest: Manifest, asset: AnyAsset, looked: Inspection, models: PlannedModels) -> ImageSpec:
    draft, combination = convert_to_draft(manifest, asset)
    (spec,) = expand_asset(manifest, draft, looked.frozen, models, combinations=[combination])
    return with_a_step(spec)


def with_a_step(spec: ImageSpec) -> ImageSpec:
    """With as many steps as its weakest pass over a picture needs to run one: the few steps of a draft, times a small
    strength, may come to none."""
    strengths = [spec.strength, spec.seam_repair.strength if spec.seam_repair else None]
    least = max((math.ceil(1 / strength) for strength in strengths if strength), default=1)
    if spec.source is None or spec.num_inference_steps >= least:
        return spec
    return ImageSpec.model_validate(spec.model_dump() | {"num_inference_steps": least})


def make_drafts(
    engine: Engine,
    planned: Sequence[tuple[ImageSpec, int]],
    looked: Inspection,
    settings: Settings,
    *,
    told: Callable[[int, int], object] | None = None,
) -> list[Draft]:
    """The drafts, in order. Pictures and conditions are in a folder that is gone afterwards. `told`: how many of how
    many are made."""
    from storage.objects import FolderStore
    from tasks.shift.gather import Gatherer

    with tempfile.TemporaryDirectory(prefix="dailies-preview-") as folder:
        store = FolderStore(Path(folder))
        for path, data in looked.data.items():
            ending, media_type = looked.media[path]
            store.put_content("sources", data, extension=ending, media_type=media_type)
        gatherer = Gatherer(store, limits=settings.limits, condition_models=settings.condition_models)
        made: dict[str, Rendered] = {}
        for batch in group_batches([spec for spec, _ in planned], most=settings.batch_size):
            inputs = gatherer.gather(batch)
            if inputs.failed:
                raise RenderError("; ".join(str(reason) for _, reason in inputs.failed))
            rendered = engine.render(
                inputs.specs, sources=inputs.sources, masks=inputs.masks, conditions=inputs.conditions
            )
            made |= {done.digest: done for done in rendered}
            if told is not None:
                told(len(made), len(planned))
    return [Draft(spec, images, made[spec.digest]) for spec, images in planned]


def group_batches(specs: Sequence[ImageSpec], *, most: int) -> list[list[ImageSpec]]:
    """Specs of one batch key together, `most` at once; what needs the same weights comes one after the other."""
    together: dict[tuple[str, str], list[ImageSpec]] = defaultdict(list)
    for spec in specs:
        together[spec.affinity_key, spec.batch_key].append(spec)
    return [many[start : start + most] for _, many in sorted(together.items()) for start in range(0, len(many), most)]


def make_tiles(drafts: Sequence[Draft]) -> Group:
    """For tasks/contact_sheet.py."""
    from PIL import Image

    found = []
    for draft in drafts:
        spec, made = draft.spec, draft.made
        images = f"of {count_noun(draft.images, 'image')}"
        about = f"draft {images}, {spec.width}x{spec.height}, {spec.num_inference_steps} steps, seed {spec.seed}"
        picture = None if made.pixels is None else Image.fromarray(made.pixels)
        found.append(Tile(picture, spec.asset, (about, spec.prompt), str(made.error or "")))
    return Group("", found)
