from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from engine.rendered import Rendered
from schemas.review import Criterion, Drawing, Result, count_reviews, rank_in_inbox
from storage.objects import FolderStore
from storage.vectors import unpack
from tasks.planning.retake import put_mask
from tasks.shift.image_writer import pack_vectors
from tests.making import MODEL, a_finding, a_spec, sha


def test_priority_comes_before_findings_and_flags_before_the_rest() -> None:
    clean, flagged = [a_finding()], [a_finding(), a_finding(Criterion.TEXT, Result.FLAG)]
    crashed, unseen = [a_finding(result=Result.ERROR)], [a_finding(result=Result.NOT_CHECKED)]
    assert rank_in_inbox(0, flagged) < rank_in_inbox(0, crashed) < rank_in_inbox(0, clean) == rank_in_inbox(0, unseen)
    assert rank_in_inbox(1, clean) < rank_in_inbox(0, flagged)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_double_reviews_is_kept_and_repeatable(share: float) -> None:
    digests = [sha(str(number)) for number in range(2000)]
    wanted = [count_reviews(digest, share) for digest in digests]
    assert wanted == [count_reviews(digest, share) for digest in digests]
    assert abs(wanted.count(2) / 2000 - share) < 0.04
    assert share not in (0.0, 1.0) or wanted.count(2) == 2000 * share


def test_a_mask_is_white_where_the_region_is_and_the_same_each_time(tmp_path: object) -> None:
    store = FolderStore(tmp_path)  # type: ignore[arg-type]
    region, spec = Drawing(x=0.25, y=0.5, width=0.5, height=0.25), a_spec(width=64, height=32)
    digest = put_mask(store, region, spec)
    assert put_mask(store, region, spec) == digest
    mask = Image.open(io.BytesIO(store.get(f"masks/{digest[:2]}/{digest}.png")))
    assert (mask.size, mask.mode, mask.getbbox()) == ((64, 32), "L", (16, 16, 48, 24))
    assert set(mask.get_flattened_data() if hasattr(mask, "get_flattened_data") else mask.getdata()) == {0, 255}


def test_a_region_thinner_than_a_pixel_still_masks_one(tmp_path: object) -> None:
    store = FolderStore(tmp_path)  # type: ignore[arg-type]
    digest = put_mask(store, Drawing(x=0.999, y=0.0, width=0.0, height=0.0), a_spec(width=64, height=32))
    mask = Image.open(io.BytesIO(store.get(f"masks/{digest[:2]}/{digest}.png")))
    assert mask.getbbox() is not None


def test_an_image_s_vectors_belong_to_the_model_that_made_it() -> None:
    made = Rendered(
        digest="", pixels=None, error=None, timings={}, batch_size=1, row=0, models={}, device="cpu", dtype="float32",
        vectors={"picture": np.array([1.0, -0.5], np.float32), "prompt": np.array([np.nan], np.float32)},
    )  # fmt: skip
    packed = pack_vectors(a_spec(), made)
    assert list(packed) == ["picture " + MODEL.digest[:16]]
    assert unpack(list(packed.values()))[0, :3] == pytest.approx([0.894, -0.447, 0], abs=0.01)
