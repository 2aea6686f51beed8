"""Repairing one place: enlarged while it is repainted, put back, nothing else touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batch_rows import make_row
from engine.diffuse import Engine
from engine.pixels import cut_region, cut_surroundings, put_back
from schemas.review import Changes, Drawing, apply_changes
from schemas.spec import ImageSpec
from tests.engine.conftest import HEIGHT, WIDTH, Studio, get_pixels


@pytest.fixture
def small(studio: Studio) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
    """A mask of 10 x 8 px, and specs that repair it."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[30:38, 40:50] = 255
    fields = {"source": "a" * 64, "mask": "f" * 64, "strength": 0.8, "padding_mask_crop": 6}
    pictures = studio.pictures() | {"masks": {"f" * 64: mask}}
    return mask, fields, pictures


def test_outside_the_mask_nothing_changes_and_inside_something_does(
    engine: Engine, studio: Studio, small: tuple[np.ndarray, dict[str, Any], dict[str, Any]]
) -> None:
    mask, fields, pictures = small
    source = pictures["sources"]["a" * 64]
    for controls in ((), (studio.control(),)):
        made = get_pixels(engine.render([studio.spec(0, **fields, controls=controls)], **pictures)[0])
        np.testing.assert_array_equal(made[mask == 0], source[mask == 0])
        assert (made[mask == 255] != source[mask == 255]).any()


def test_the_place_is_enlarged_while_it_is_repainted(
    studio: Studio, small: tuple[np.ndarray, dict[str, Any], dict[str, Any]]
) -> None:
    """What a row hands to the pipeline is the box at the image's size: source, mask and conditions alike."""
    mask, fields, pictures = small
    control = studio.control()
    row = make_row(
        studio.spec(0, **fields, controls=(control,)), *(pictures[k] for k in ("sources", "conditions", "masks"))
    )
    box = cut_surroundings(mask, padding=6, width=WIDTH, height=HEIGHT)
    assert box is not None and row.source is not None and row.mask is not None
    assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(WIDTH / HEIGHT, rel=0.1)
    assert box[2] - box[0] < WIDTH / 2
    lines = studio.conditions[control.condition_key(WIDTH, HEIGHT)]
    for given_, whole in ((row.source, pictures["sources"]["a" * 64]), (row.mask, mask), (row.conditions[0], lines)):
        np.testing.assert_array_equal(given_, cut_region(whole, box, width=WIDTH, height=HEIGHT))
    assert np.mean(row.mask > 127) > 4 * (mask > 127).mean()
    round_trip = put_back(row.source, pictures["sources"]["a" * 64], box)
    assert np.abs(round_trip.astype(int) - pictures["sources"]["a" * 64]).mean() < 3


def test_rows_with_boxes_of_their_own_do_not_depend_on_each_other(
    engine: Engine, studio: Studio, small: tuple[np.ndarray, dict[str, Any], dict[str, Any]]
) -> None:
    mask, fields, pictures = small
    pictures["masks"]["d" * 64] = np.roll(mask, (-20, -30), (0, 1))
    specs = [studio.spec(0, **fields), studio.spec(1, **fields | {"mask": "d" * 64})]
    together = engine.render(specs, **pictures)
    alone = engine.render(specs[1:], **pictures)[0]
    assert together[1].batch_size == 2
    assert np.abs(get_pixels(together[1]).astype(int) - get_pixels(alone).astype(int)).max() <= 1


@given(
    st.integers(20, 90),
    st.integers(20, 90),
    st.integers(0, 30),
    st.sampled_from([(64, 48), (64, 64), (48, 96)]),
    st.data(),
)
def test_a_box_holds_the_mask_and_lies_in_the_picture(
    wide: int, tall: int, padding: int, size: tuple[int, int], data: st.DataObject
) -> None:
    x, y = data.draw(st.integers(0, wide - 2)), data.draw(st.integers(0, tall - 2))
    mask = np.zeros((tall, wide), np.uint8)
    right, bottom = data.draw(st.integers(x + 1, wide)), data.draw(st.integers(y + 1, tall))
    mask[y:bottom, x:right] = 255
    box = cut_surroundings(mask, padding=padding, width=size[0], height=size[1])
    if box is not None:
        assert 0 <= box[0] <= x and right <= box[2] <= wide
        assert 0 <= box[1] <= y and bottom <= box[3] <= tall


def test_a_reviewers_region_is_repaired_this_way(studio: Studio) -> None:
    spec = studio.spec(0)
    region = Drawing(x=0.2, y=0.3, width=0.1, height=0.1)
    again = apply_changes(spec, Changes(region=region), picture="3" * 64, mask="4" * 64)
    assert again.padding_mask_crop == 32 and again.mask == "4" * 64 and again.source == "3" * 64
    assert isinstance(again, ImageSpec) and again.parent == spec.digest
