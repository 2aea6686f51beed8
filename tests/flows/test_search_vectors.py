"""Vectors for searching: of a night's new images, of imports, of those from before, and none without harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from engine.dual_encoder import DualEncoder
from engine.model_files import ModelFiles
from flows.__main__ import app
from flows.commands.doctor import examine
from schemas.catalogue import Entry
from schemas.errors import InputError, ModelError
from schemas.likeness import SEARCH
from schemas.records import ImageVector
from storage.pictures import decode
from storage.vectors import name_space, unpack
from tasks.parts import Parts
from tasks.shift.search_vectors import NONE_COMPUTED, embed_images
from tests.conftest import Stack
from tests.dual_encoders import write_clip
from tests.flows.studio import PLAIN, night, parts_of, submit_to, write_manifest

ALIAS = "studio/clip"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "model")


def searching(stack: Stack, folder: Path, *, alias: str = ALIAS) -> Parts:
    parts = parts_of(stack.settings, stack.ledger, stack.store, search_model=alias)
    entry = Entry(alias=ALIAS, kind="dual_encoder", path=folder)
    parts.catalogue = ModelFiles({**parts.catalogue.entries, ALIAS: entry}, folder=parts.catalogue.folder)
    return parts


def read_vectors(parts: Parts) -> dict[str, tuple[str, bytes]]:
    """Image -> space and vector, of this kind."""
    query = select(ImageVector).where(ImageVector.space.startswith(f"{SEARCH} "))
    with parts.ledger.reading() as session:
        rows = session.scalars(query).all()
    assert len({row.image for row in rows}) == len(rows)
    return {row.image: (row.space, row.vector) for row in rows}


def test_a_night_gives_every_image_its_vector(stack: Stack, folder: Path, tmp_path: Path) -> None:
    parts = searching(stack, folder)
    bought = "\n  - {name: Bought, kind: import, sources: pictures/shape.png, digital_source_type: digitalCreation}\n"
    text = PLAIN.replace("delivery:", "pictures: {licence: CC0}\ndelivery:") + bought
    submit_to(parts, write_manifest(tmp_path, text))
    assert night(parts)["outcome"] == "complete"
    encoder = DualEncoder.open(parts.catalogue, ALIAS, device="cpu")
    found = read_vectors(parts)
    images = parts.ledger.pictures(found)
    assert len(images) == 5
    for image, (space, vector) in found.items():
        assert space == name_space(SEARCH, encoder.digest)
        row = images[image].image
        (wanted,) = encoder.encode_pictures([decode(parts.store.get(row.object_key), limits=parts.settings.limits)])
        cosine = unpack([vector])[0] @ wanted / np.linalg.norm(wanted)
        assert cosine > 0.999 and row.timings[SEARCH] > 0 and ALIAS not in row.models
    assert parts.ledger.count_without_vector(name_space(SEARCH, encoder.digest)) == 0


def test_without_its_model_the_night_goes_on_and_the_images_say_why(
    local_stack: Stack, folder: Path, tmp_path: Path
) -> None:
    parts = searching(local_stack, folder, alias="studio/gone")
    submit_to(parts, write_manifest(tmp_path, PLAIN))
    assert night(parts)["outcome"] == "complete"
    images = parts.ledger.images_without_vector("none", limit=9)
    assert len(images) == 4 and not read_vectors(parts)
    for image in images:
        assert f"{NONE_COMPUTED}: search_model asks for dual_encoder 'studio/gone'" in " ".join(image.batch["notes"])
    (doctor,) = [each for each in examine(parts.settings) if each.part == "search model"]
    assert doctor.state == "warning" and "studio/gone" in doctor.detail


def test_images_from_before_get_theirs_and_an_interruption_costs_one_batch(
    stack: Stack, folder: Path, tmp_path: Path
) -> None:
    before = parts_of(stack.settings, stack.ledger, stack.store)
    submit_to(before, write_manifest(tmp_path, PLAIN))
    night(before)
    with pytest.raises(InputError, match="search_model is not set"):
        next(embed_images(before, batch_size=2))
    with pytest.raises(ModelError, match="studio/gone"):
        next(embed_images(searching(stack, folder, alias="studio/gone"), batch_size=2))
    parts = searching(stack, folder)
    assert next(embed_images(parts, batch_size=3)).total == 4  # and interrupted
    first = read_vectors(parts)
    assert len(first) == 3
    last = list(embed_images(parts, batch_size=3))[-1]
    assert (last.done, last.skipped, last.total) == (1, 0, 1)
    assert len(read_vectors(parts)) == 4 and first.items() <= read_vectors(parts).items()
    assert list(embed_images(parts, batch_size=3)) == []


def test_an_image_whose_bytes_are_gone_is_skipped(local_stack: Stack, folder: Path, tmp_path: Path) -> None:
    before = parts_of(local_stack.settings, local_stack.ledger, local_stack.store)
    submit_to(before, write_manifest(tmp_path, PLAIN))
    night(before)
    (image, *_) = before.ledger.images_without_vector("none", limit=1)
    (Path(local_stack.settings.objects) / image.object_key).unlink()
    last = list(embed_images(searching(local_stack, folder), batch_size=2))[-1]
    assert (last.done, last.skipped, last.total) == (3, 1, 4)


def test_the_command(local_stack: Stack, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = parts_of(local_stack.settings, local_stack.ledger, local_stack.store)
    submit_to(before, write_manifest(tmp_path, PLAIN))
    night(before)
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text(f"{ALIAS}: {{kind: dual_encoder, path: '{folder}'}}\n", encoding="utf-8")
    for name, value in (local_stack.environment | {"DAILIES_CATALOGUE": str(catalogue)}).items():
        monkeypatch.setenv(name, value)

    def say(*words: str) -> Any:
        return CliRunner().invoke(app, ["models", *words])

    assert "search_model is not set" in str(say("embed").exception)
    monkeypatch.setenv("DAILIES_SEARCH_MODEL", ALIAS)
    monkeypatch.setenv("DAILIES_DEVICE", "cpu")
    assert say("check", ALIAS).output == "1 looked at, 0 with problems\n"
    assert f"4 images got a vector of {ALIAS}" in say("embed").output
    assert say("embed").output == f"0 images got a vector of {ALIAS}\n"
    assert '"kind": "dual_encoder"' in say("--json").output and ALIAS in say("show", ALIAS).output
