"""The Library by the studio's model for searching: in a process of its own, in the browser, and without it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from engine.dual_encoder import DualEncoder
from engine.model_files import ModelFiles
from review_app import search_model
from review_app.search_model import SearchModel
from schemas.likeness import SEARCH
from schemas.review import Choice, Verdict
from schemas.settings import ROOT
from schemas.spec import ImageSpec
from storage.pictures import decode
from storage.vectors import name_space, pack
from tests.checks.pictures import photo
from tests.dual_encoders import write_clip
from tests.review_app.conftest import House, Visit, a_house
from tests.review_app.stocked import stock
from tests.review_app.test_accessible import drawn as page_is_drawn
from tests.review_app.test_accessible import violations

ALIAS = "studio/clip"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DualEncoder]:
    """A catalogue with one tiny CLIP, and the encoder itself."""
    folder = tmp_path_factory.mktemp("clip")
    write_clip(folder / "model")
    (folder / "catalogue.yaml").write_text(f"{ALIAS}: {{kind: dual_encoder, path: model}}\n", encoding="utf-8")
    files = ModelFiles.read(folder / "catalogue.yaml")
    return folder / "catalogue.yaml", DualEncoder.open(files, ALIAS, device="cpu")


@pytest.fixture
def settings(studio: tuple[Path, DualEncoder], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (
        ("HOME", tmp_path / "home"), ("CATALOGUE", studio[0]), ("SEARCH_MODEL", ALIAS), ("DEVICE", "cpu"),
    ):  # fmt: skip
        monkeypatch.setenv(f"DAILIES_{name}", str(value))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def model(settings: None) -> Iterator[SearchModel]:
    opened = SearchModel(ALIAS)
    yield opened
    opened.close()


def test_the_process_gives_the_model_s_own_vectors(model: SearchModel, studio: tuple[Path, DualEncoder]) -> None:
    encoder = studio[1]
    words = model.encode_words('a "red" sword\n‮')
    assert words is not None and np.allclose(words, encoder.encode_words('a "red" sword\n‮'), atol=1e-5)
    assert model.space == name_space(SEARCH, encoder.digest) and model.why_not == ""
    picture = photo("coffee")
    seen = model.encode_picture(picture)
    assert seen is not None and np.allclose(seen, encoder.encode_pictures([picture])[0], atol=1e-4)
    large = np.kron(photo("rocket"), np.ones((4, 4, 1), np.uint8))  # made smaller on its way
    seen, whole = model.encode_picture(large), encoder.encode_pictures([large])[0]
    assert seen is not None and seen @ whole / np.linalg.norm(seen) / np.linalg.norm(whole) > 0.98
    assert model._process is not None
    model._process.kill()
    model._process.wait()
    assert model.encode_words("a shield") is not None, "another process was started"


@pytest.mark.parametrize(
    ("alias", "missing", "why"),
    [
        ("", (), "no model for searching is set up (`search_model`)"),
        (ALIAS, ("torch", "transformers"), "torch and transformers are not installed here"),
        (ALIAS, ("torch",), "torch is not installed here"),
    ],
)
def test_without_a_model_nothing_is_started(
    alias: str, missing: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_model, "find_spec", lambda name: None if name in missing else name)
    monkeypatch.setattr(search_model, "COMMAND", ("/nowhere",))
    model = SearchModel(alias)
    assert (
        model.why_not == why and model.encode_words("sword") is None and model.encode_picture(photo("coffee")) is None
    )


def test_what_the_catalogue_refuses_is_said(settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILIES_SEARCH_MODEL", "studio/gone")
    model = SearchModel("studio/gone")
    assert model.encode_words("sword") is None and "studio/gone" in model.why_not and model._process is None
    monkeypatch.setattr(search_model, "COMMAND", ("false",))
    crashed = SearchModel(ALIAS)
    assert crashed.encode_words("sword") is None and crashed.why_not == "it did not start: its process ended"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, studio: tuple[Path, DualEncoder]) -> Iterator[Any]:
    """A house with the model, and images that have its vectors."""
    catalogue, encoder = studio
    house = a_house(tmp_path_factory.mktemp("searched"))
    house.environment |= {"DAILIES_CATALOGUE": str(catalogue), "DAILIES_SEARCH_MODEL": ALIAS}
    specs = stock(house.ledger, house.store, images=10, size=96, project="Meant")
    vectors = {}
    for spec in specs:
        house.ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer="Ada")
        data = house.store.get(house.ledger.picture(spec.digest).image.object_key)
        (vectors[spec.digest],) = encoder.encode_pictures([decode(data, limits=house.settings.limits)])
    packed = {image: pack(vector, whole=True) for image, vector in vectors.items()}
    space = name_space(SEARCH, encoder.digest)
    house.ledger.add_vectors(space, {image: one for image, one in packed.items() if one})
    house.start()
    yield house, specs, vectors
    house.kill()
    log = house.log.read_text()
    assert "Traceback" not in log, log


def order(vectors: dict[str, np.ndarray], asked: np.ndarray) -> list[str]:
    return sorted(vectors, key=lambda image: -float(vectors[image] @ asked / np.linalg.norm(vectors[image])))


@pytest.mark.browser
def test_words_and_pictures_by_what_they_mean(
    searched: tuple[House, list[ImageSpec], dict[str, np.ndarray]], studio: tuple[Path, DualEncoder], visit: Visit
) -> None:
    (house, specs, vectors), encoder = searched, studio[1]
    page = visit("library?words=zeppelin", at=house)
    tiles = page.locator(".sheet .tile")
    expect(page.locator(".sheet h3")).to_have_text("By what the words mean")
    expect(tiles).to_have_count(10)
    wanted = order(vectors, encoder.encode_words("zeppelin"))
    assert tiles.evaluate_all("all => all.map(one => one.dataset.id)") == wanted
    expect(page.get_by_text("studio/clip reads what the words mean.")).to_be_visible()
    page_is_drawn(page)
    assert violations(page) == []
    page.goto(f"{house.url}/library?like={specs[2].digest}")
    expect(page.get_by_text("as the studio's model for searching sees them")).to_be_visible()
    shown = [image for image in order(vectors, vectors[specs[2].digest]) if image != specs[2].digest]
    expect(tiles).to_have_count(9)
    assert tiles.evaluate_all("all => all.map(one => one.dataset.id)") == shown
    page.goto(f"{house.url}/library")
    expect(tiles).to_have_count(10)
    bare = io.BytesIO()
    Image.fromarray(photo("coffee")).save(bare, "PNG")
    page.get_by_role("button", name="By a picture").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "cup.png", "mimeType": "image/png", "buffer": bare.getvalue()}
    )
    expect(page.get_by_text("The most alike first, as studio/clip sees them.")).to_be_visible()
    seen = order(vectors, encoder.encode_pictures([photo("coffee")])[0])
    expect(tiles).to_have_count(10)
    assert tiles.first.get_attribute("data-id") == seen[0]


@pytest.mark.browser
def test_without_it_words_work_and_the_page_says_why(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit
) -> None:
    specs = stocked(4)
    for spec in specs:
        house.ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer="Ada")
    word = specs[0].prompt.split(",")[0].split()[-1]
    page = visit(f"library?words={word}&project={specs[0].project}")
    expect(page.locator(".sheet .tile").first).to_be_visible()
    expect(
        page.get_by_text("Words are looked for as they are written: no model for searching is set up")
    ).to_be_visible()
