"""Pictures and conditions from a real store; conditions by the real detector, once."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ConditionError, RenderError
from schemas.settings import Limits
from schemas.spec import ControlSpec, ImageSpec
from storage.objects import FolderStore
from tasks.shift.gather import Gatherer
from tests.making import MODEL, a_spec


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


def put(store: FolderStore, kind: str = "sources", *, shade: int = 0, data: bytes = b"") -> str:
    """A picture with an edge in it; returns its digest."""
    pixels = np.full((48, 48, 3), 255, np.uint8)
    pixels[:, 24:] = shade
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    data = data or out.getvalue()
    store.put_content(kind, data, extension="png", media_type="image/png")
    return hashlib.sha256(data).hexdigest()


def gatherer(store: FolderStore, limits: Limits | None = None) -> Gatherer:
    return Gatherer(store, limits=limits or Limits(), condition_models=None)


def controlled(digest: str, **fields: Any) -> ImageSpec:
    return a_spec(controls=(ControlSpec(type="canny", image=digest, model=MODEL, **fields),))


def test_a_condition_is_computed_once_and_kept(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = controlled(put(store))
    key = spec.controls[0].condition_key(64, 64)
    first = gatherer(store).gather([spec])
    assert first.specs == [spec] and first.conditions[key].shape == (64, 64, 3) and first.conditions[key].any()
    assert store.exists(key)

    def again(*_: object, **__: object) -> None:
        raise AssertionError("computed twice")

    monkeypatch.setattr("engine.control.make_condition", again)
    second = gatherer(store).gather([spec])
    assert np.array_equal(second.conditions[key], first.conditions[key])


def test_a_precomputed_condition_is_used_as_it_is(store: FolderStore) -> None:
    spec = controlled(put(store, shade=7), precomputed=True)
    (picture,) = gatherer(store).gather([spec]).conditions.values()
    assert set(np.unique(picture)) >= {7, 255}


@pytest.mark.parametrize("kind", ["sources", "images"])
def test_sources_and_masks_are_found_by_digest_wherever_they_are(store: FolderStore, kind: str) -> None:
    source, mask = put(store, kind), put(store, "masks", shade=9)
    spec = a_spec(source=source, mask=mask, strength=0.5)
    inputs = gatherer(store).gather([spec])
    assert inputs.sources[source].shape == (48, 48, 3) and inputs.masks[mask].shape == (48, 48)


def test_what_cannot_be_had_fails_alone_and_says_so(store: FolderStore) -> None:
    good, gone = a_spec(source=put(store), strength=0.5), a_spec(1, source="f" * 64, strength=0.5)
    broken = a_spec(2, source=put(store, data=b"no picture"), strength=0.5)
    unknown = a_spec(3, controls=(ControlSpec(type="pose", image=put(store), model=MODEL),))
    inputs = gatherer(store).gather([gone, good, broken, unknown])
    assert inputs.specs == [good]
    assert [spec for spec, _ in inputs.failed] == [gone, broken, unknown]
    reasons = [reason for _, reason in inputs.failed]
    assert "is in none of" in str(reasons[0]) and "no picture that can be read" in str(reasons[1])
    assert isinstance(reasons[2], ConditionError) and "body_pose_model.pth" in str(reasons[2])
    assert all(isinstance(reason, RenderError) for reason in reasons)


def test_a_picture_too_large_is_refused_before_it_is_decoded(store: FolderStore) -> None:
    spec = a_spec(source=put(store), strength=0.5)
    ((_, reason),) = gatherer(store, Limits(source_pixels=100)).gather([spec]).failed
    assert "48x48" in str(reason)
