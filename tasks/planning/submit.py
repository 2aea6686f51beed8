"""From a manifest on disk to planned work: check it, submit it, plan what was submitted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model_files import ModelFiles, open_model_files
from schemas.catalogue import Catalogue
from schemas.errors import LedgerError, ManifestError, ModelMissing, Warned
from schemas.manifest import FrozenFile, Manifest, TextureVariants
from schemas.matrix import Matrix
from schemas.pace import PaceKey
from schemas.settings import Settings
from schemas.spec import ImageSpec
from storage.intake import Inspection, ingest, inspect_picture
from tasks.planning.estimate import EstimateRow, make_table
from tasks.planning.lookup import look_up_models
from tasks.planning.order_changes import list_order_changes
from tasks.planning.plan import PlannedModels, expand_asset, expand_manifest
from tasks.planning.show import Show, Shown

if TYPE_CHECKING:  # `dailies check` on a broken manifest needs neither SQLAlchemy nor boto3
    from schemas.records import Submission
    from storage.ledger import Ledger, PlanCount
    from storage.objects import Store


LOOKED_AT = 2_000
"""Images up to which a check expands a manifest and asks for each whether it exists."""


@dataclass
class Report:
    """What `dailies check` says of a sound manifest. Times are GPU seconds; `notes` and `changes` are sentences."""

    manifest: Manifest
    rows: list[EstimateRow]
    notes: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    """What it would change for images that were ordered before."""
    warnings: list[Warned] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    """Asset by asset, where it was asked for."""
    price: float = 0.0
    """Of a GPU-hour, in `currency`."""
    currency: str = ""

    @property
    def images(self) -> int:
        return sum(row.images for row in self.rows)

    @property
    def gpu_seconds(self) -> float:
        return sum(row.gpu_seconds for row in self.rows)

    def money(self, gpu_seconds: float) -> float:
        return self.price * gpu_seconds / 3600

    def as_json(self) -> dict[str, Any]:
        manifest = self.manifest
        assets = [asdict(row) | {"money": self.money(row.gpu_seconds)} for row in self.rows]
        return {
            "project": manifest.project,
            "priority": manifest.priority,
            "due": manifest.due and manifest.due.isoformat(),
            "images": self.images,
            "gpu_seconds": self.gpu_seconds,
            "money": self.money(self.gpu_seconds),
            "currency": self.currency,
            "assets": assets,
            "warnings": [warning.as_json() for warning in self.warnings],
            "notes": self.notes,
            "changes": self.changes,
            "shown": [shown.as_json() for shown in self.shown],
        }


def read_sound_manifest(path: Path, settings: Settings, catalogue: Catalogue) -> tuple[Inspection, Manifest]:
    """Raises ManifestError with everything that is wrong: the manifest, its pictures, its models."""
    looked = inspect_picture(path, settings, catalogue)
    return looked, looked.reading.sound()


def check_manifest(path: Path, settings: Settings, *, strict: bool = False, show: bool = False) -> Report:
    """What a manifest would make. Opens no weights; makes no database where there is none.

    Raises ManifestError with every problem; `strict`: and with every warning. `show`: with the prompt and the settings
    of each asset.
    """
    catalogue = open_model_files(settings)
    looked, manifest = read_sound_manifest(path, settings, catalogue)
    if strict and looked.reading.warnings:
        raise ManifestError(list(looked.reading.warnings))
    said = make_report(manifest, looked.frozen, settings, catalogue)
    said.warnings = looked.reading.warnings
    if show:
        ledger, _ = open_history(settings)
        models = look_up_models(manifest, catalogue, ledger.pins() if ledger else {}).models
        shows = Show(manifest, looked.frozen, models, looked.reading.tree, settings, catalogue)
        said.shown = shows.list_assets(said.rows)
        said.notes += shows.notes
    said.notes += looked.remarks
    return said


def make_report(
    manifest: Manifest, files: Mapping[str, FrozenFile], settings: Settings, catalogue: ModelFiles
) -> Report:
    """The table for a sound manifest."""
    ledger, notes = open_history(settings)
    pins = ledger.pins() if ledger else {}
    pace: Mapping[PaceKey, float] = ledger.pace() if ledger else {}
    lookup = look_up_models(manifest, catalogue, pins)
    matrices = [Matrix(manifest, asset) for asset in manifest.assets]
    large = sum(matrix.product() for matrix in matrices) > LOOKED_AT
    made: set[str] | None = None
    specs = _some(manifest, files, lookup.models)
    if large:
        counts = {matrix.asset.name: matrix.count() for matrix in matrices}
        notes.append(f"over {LOOKED_AT} images: batches and time are projected, and what exists is not counted")
    else:
        counts = None
        made = set() if ledger is None else ledger.made(spec.digest for spec in specs)
    changes = list_order_changes(manifest, specs, ledger) if ledger else []
    if lookup.missing:
        made = None
        notes += [f"not on this machine: {sentence}" for sentence in lookup.missing]
    rows = make_table(specs, pace=pace, made=made, batch_size=settings.batch_size, counts=counts)
    if any(row.guessed for row in rows):
        notes.append("GPU times marked ~ are guesses: the ledger has no images of that kind yet")
    packed = len(manifest.delivery.packing)
    maps = {asset.name: len(asset.maps) + packed for asset in manifest.assets if isinstance(asset, TextureVariants)}
    if any(maps.values()):
        files_of = sum(matrix.count() * maps.get(matrix.asset.name, 0) for matrix in matrices)
        notes.append(f"up to {files_of} map files are derived when everything is approved and delivered")
    return Report(manifest, rows, notes, changes, price=settings.gpu_hour_price, currency=settings.currency)


def _some(manifest: Manifest, files: Mapping[str, FrozenFile], models: PlannedModels) -> list[ImageSpec]:
    """Every spec of a manifest; of a large one some of every asset."""
    matrices = [Matrix(manifest, asset) for asset in manifest.assets]
    if sum(matrix.product() for matrix in matrices) <= LOOKED_AT:
        return list(expand_manifest(manifest, files, models))
    return [spec for matrix in matrices for spec in _sample(matrix, files, models, LOOKED_AT // len(matrices))]


def _sample(matrix: Matrix, files: Mapping[str, FrozenFile], models: PlannedModels, most: int) -> Iterator[ImageSpec]:
    """Some specs of an asset, at least one."""
    some = list(matrix.sample(max(1, most))) or list(itertools.islice(matrix, 1))
    return expand_asset(matrix.manifest, matrix.asset, files, models, combinations=some)


def submit_manifest(
    path: Path,
    *,
    settings: Settings,
    catalogue: ModelFiles,
    ledger: Ledger,
    store: Store,
    submitted_by: str = "",
    told: Callable[[str], object] | None = None,
) -> tuple[Submission, bool]:
    """Freezes a manifest and everything that it names. False when the very same was submitted before. `told` hears,
    before it happens, every warning and what the order changes for images that were ordered before."""
    looked, manifest = read_sound_manifest(path, settings, catalogue)
    if told is not None:
        for warning in looked.reading.warnings:
            told(str(warning))
        models = look_up_models(manifest, catalogue, ledger.pins()).models
        for sentence in list_order_changes(manifest, _some(manifest, looked.frozen, models), ledger):
            told(f"changes: {sentence}")
    return ingest(looked, store=store, ledger=ledger, submitted_by=submitted_by)


def plan_submission(ledger: Ledger, catalogue: ModelFiles, digest: str) -> PlanCount:
    """Expands a submission and writes its specs, orders and jobs. Doing it again changes nothing.

    Raises ModelMissing, with every missing model, rather than plan with a digest that is not known.
    """
    submission = ledger.submission(digest)
    manifest = Manifest.model_validate(submission.body)
    files = {path: FrozenFile.model_validate(body) for path, body in submission.files.items()}
    return ledger.plan(
        submission.digest,
        list_planned_specs(manifest, files, catalogue, ledger.pins()),
        priority=submission.priority,
        due=submission.due,
        submitted_by=submission.submitted_by,
    )


def list_planned_specs(
    manifest: Manifest, files: Mapping[str, FrozenFile], catalogue: ModelFiles, pins: Mapping[str, str]
) -> Iterator[ImageSpec]:
    """Every spec of a manifest, as they are asked for. Raises ModelMissing, at once, for models that are neither pinned
    nor on this machine."""
    lookup = look_up_models(manifest, catalogue, pins)
    if lookup.missing:
        raise ModelMissing("; ".join(lookup.missing))
    return expand_manifest(manifest, files, lookup.models)


def open_history(settings: Settings) -> tuple[Ledger | None, list[str]]:
    """The ledger, when there is one: a check must not make a database."""
    if settings.database.startswith("sqlite:///") and not Path(settings.database.removeprefix("sqlite:///")).exists():
        return None, []
    from storage.database import open_database
    from storage.ledger import Ledger

    try:
        ledger = Ledger(open_database(settings.database))
        ledger.pins()
        return ledger, []
    except LedgerError as wrong:
        return None, [f"the ledger does not answer, so what exists already is not known: {wrong}"]
