"""Pictures found by a colour: the main colours that the checks keep, and how near they are to what is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from checks.brand import list_main_colours
from checks.brand import to_lab as reference
from storage.ledger import Ledger
from storage.ledger.colours import measure_distances, to_lab
from tests.making import a_choice, a_spec, an_image, kept


def test_lab_is_scikit_image_s() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (200, 3), dtype=np.uint8)
    ours = to_lab(["".join(f"{level:02x}" for level in one) for one in levels])
    assert np.abs(ours - reference(levels[None])[0]).max() < 0.02


def test_the_largest_colour_comes_first_and_specks_do_not_count() -> None:
    picture = np.full((96, 96, 3), (200, 30, 40), np.uint8)
    picture[:, 60:] = (20, 40, 160)
    picture[:2, :12] = (10, 200, 30)
    said = list_main_colours(picture)
    assert said.startswith("c81e28:62 1428a0:38")
    red, blue, green, never = (measure_distances(c, [said])[0] for c in ("#c81e28", "#1428a0", "#0ac81e", "#ffffff"))
    assert red == blue == 0
    assert green > 50 and never > 50
    assert np.isinf(measure_distances("#ffffff", ["", "ffffff:3"])).all()


@pytest.mark.parametrize("approved", [True, False])
def test_the_library_finds_by_colour_the_nearest_first(ledger: Ledger, approved: bool) -> None:
    said = ["c81e28:70 ffffff:30", "1428a0:90", "d02030:20 000000:80", None]
    specs = [a_spec(seed) for seed in range(len(said))]
    for spec, colours in zip(specs, said, strict=True):
        kept(ledger, [spec], image=an_image(spec, colours=colours))
        ledger.decide(a_choice(spec), reviewer="Ada")
    found = ledger.library(colour="#c81e28", approved=approved)
    assert [one.image for one in found] == [specs[0].digest, specs[2].digest]
    assert ledger.library(["no", "such"], colour="#c81e28") == []
