"""`dailies models try`: one picture with a model of every kind; random weights, what is proved is the path."""

from __future__ import annotations

from typing import Any

import pytest

from engine.diffuse import Engine
from engine.model_files import ModelFiles
from schemas.errors import ModelMissing, UnfitWeights
from tasks.models.trial import draw, make_trial
from tests.engine.conftest import get_pixels
from tests.untrained import make

ASKED: dict[str, Any] = {"prompt": "a red boat", "seed": 1, "size": "64x64", "tier": "draft"}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return ModelFiles.read(make(tmp_path_factory.mktemp("untrained")))


@pytest.fixture(scope="module")
def engine(catalogue: ModelFiles) -> Engine:
    return Engine(catalogue, device="cpu", dtype="float32")


@pytest.mark.parametrize(
    "kind", ["checkpoint", "lora", "controlnet", "t2i_adapter", "embedding", "ip_adapter", "upscaler"]
)
def test_each_kind_makes_a_picture_with_it(engine: Engine, catalogue: ModelFiles, kind: str) -> None:
    alias = next(alias for alias, entry in catalogue.entries.items() if entry.kind == kind)
    spec, pictures = make_trial(catalogue, alias, base="studio-tiny", **ASKED)
    assert alias in {ref.alias for ref in spec.models()}
    render: Any = engine.render
    picture = get_pixels(render([spec], **pictures)[0])
    assert picture.shape == (64, 64, 3) and picture.std() > 1


def test_a_checkpoint_is_found_and_what_is_not_sound_is_refused(catalogue: ModelFiles) -> None:
    spec, _ = make_trial(catalogue, "untrained/sd15/canny", base=None, **ASKED)
    assert spec.model.alias == "untrained/sd15" and spec.controls[0].precomputed
    spec, _ = make_trial(catalogue, "untrained/refiner", base=None, **ASKED)
    assert (
        spec.refiner is not None
        and spec.refiner.model.alias == "untrained/refiner"
        and spec.model.alias == "studio-tiny"
    )
    entry = catalogue.entries["studio-tiny/style"]
    catalogue.entries["wrong"] = entry.model_copy(update={"alias": "wrong", "kind": "vae"})
    with pytest.raises(UnfitWeights, match="wrong: it is a lora; the catalogue says vae"):
        make_trial(catalogue, "wrong", base=None, **ASKED)
    del catalogue.entries["wrong"]
    with pytest.raises(ModelMissing, match="which is not in the catalogue"):
        make_trial(catalogue, "nobody", base=None, **ASKED)
    assert draw(64, 48, lines=True).shape == (48, 64, 3)
