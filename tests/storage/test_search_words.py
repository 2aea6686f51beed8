"""Words and pictures in one space: words find pictures in the order of the exact cosines, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.dual_encoder import DualEncoder
from models.studio_tiny.draw import draw
from schemas.likeness import PICTURE, SEARCH
from storage.ledger import Ledger
from storage.vectors import name_space, pack, unpack
from tests.dual_encoders import write_clip, write_siglip
from tests.making import a_choice, a_keeping, a_spec, an_image, planned
from tests.storage.test_meaning import PICTURES, keep, make_vectors

SPACE = name_space(SEARCH, "5" * 64)
COUNT = 40


@pytest.mark.parametrize("write", [write_clip, write_siglip])
def test_words_find_pictures_in_the_order_of_exact_cosines(
    ledger: Ledger, tmp_path: Path, write: Callable[..., Path]
) -> None:
    encoder = DualEncoder(write(tmp_path / "model"), device=torch.device("cpu"))
    pictures = encoder.encode_pictures([draw(number, size=64).image for number in range(COUNT)])
    specs = [a_spec(number) for number in range(COUNT)]
    planned(ledger, specs)
    ledger.keep_many([a_keeping(spec, image=an_image(spec)) for spec in specs])
    for spec in specs:
        ledger.decide(a_choice(spec), reviewer="ada")
    packed = [pack(vector, whole=True) for vector in pictures]
    assert all(one is not None and len(one) == pictures.shape[1] for one in packed)
    ledger.add_vectors(SPACE, {spec.digest: one for spec, one in zip(specs, packed, strict=True) if one})
    ledger.index_vectors()  # is of the other kind, and changes nothing
    unit = pictures / np.linalg.norm(pictures, axis=1, keepdims=True)
    for words in ("a red sword", "a castle at night", "gold"):
        asked = encoder.encode_words(words)
        cosines = dict(zip([spec.digest for spec in specs], unit @ (asked / np.linalg.norm(asked)), strict=True))
        exact = sorted(cosines.values(), reverse=True)
        found = ledger.nearest_to_vector(SPACE, asked)
        assert np.allclose([cosines[image] for image in found], exact, atol=0.01)  # of bytes, in place of floats
        assert cosines[found[0]] >= exact[0] - 0.005 and set(found) == set(cosines)
        shown = [page.image for page in ledger.library_by_meaning(words.split(), SPACE, asked, limit=10)]
        assert shown == found[:10]
        assert [page.image for page in ledger.library((), near_vector=(SPACE, asked), limit=5)] == found[:5]


def test_those_that_have_the_words_are_left_to_them_and_the_filters_hold(ledger: Ledger) -> None:
    vectors = make_vectors(1, 4, 24)
    said = ["a red sword", "a blade", "a blade", "a tree"]
    specs = [a_spec(n, prompt=text, project="p" if n != 2 else "other") for n, text in enumerate(said)]
    planned(ledger, specs)
    ledger.keep_many([a_keeping(spec) for spec in specs])
    for spec in specs[:3]:
        ledger.decide(a_choice(spec), reviewer="ada")
    packed = {spec.digest: pack(vector, whole=True) for spec, vector in zip(specs, vectors, strict=True)}
    ledger.add_vectors(SPACE, {image: one for image, one in packed.items() if one})

    def found(**filters: object) -> list[str]:
        pages = ledger.library_by_meaning(["sword"], SPACE, vectors[1], **filters)  # type: ignore[arg-type]
        return [page.image for page in pages]

    assert found()[0] == specs[1].digest and set(found()) == {specs[1].digest, specs[2].digest}
    assert found(project="p") == [specs[1].digest]
    assert set(found(approved=False)) == {spec.digest for spec in specs[1:]}
    assert ledger.library_by_meaning(["sword"], name_space(SEARCH, "6" * 64), vectors[1]) == []


def test_more_like_one_prefers_the_model_for_searching_and_does_without(ledger: Ledger) -> None:
    own, seen = make_vectors(3, 3), make_vectors(4, 3, 24)
    seen[2] = seen[0] * 2 + 0.01
    own[1] = own[0] * 2 + 0.01
    specs = [a_spec(number) for number in range(3)]
    keep(ledger, [(spec, {PICTURES: vector}) for spec, vector in zip(specs, own, strict=True)])
    assert ledger.vector_kind(specs[0].digest) == PICTURE
    assert ledger.nearest(specs[0].digest)[:2] == [specs[0].digest, specs[1].digest]
    assert ledger.count_without_vector(SPACE) == 3
    kept = {spec.digest: pack(vector, whole=True) for spec, vector in zip(specs, seen, strict=True)}
    ledger.add_vectors(SPACE, {image: one for image, one in kept.items() if one})
    assert ledger.vector_kind(specs[0].digest) == SEARCH and ledger.vector_kind("0" * 64) == ""
    assert ledger.nearest(specs[0].digest)[:2] == [specs[0].digest, specs[2].digest]


def test_images_that_lack_a_vector_are_listed_in_parts_and_none_is_kept_twice(ledger: Ledger) -> None:
    specs = sorted((a_spec(number) for number in range(5)), key=lambda spec: spec.digest)
    planned(ledger, specs)
    ledger.keep_many([a_keeping(spec) for spec in specs])
    first = ledger.images_without_vector(SPACE, limit=2)
    assert [image.digest for image in first] == [spec.digest for spec in specs[:2]]
    one = pack(make_vectors(1, 1, 24)[0], whole=True)
    assert one is not None
    ledger.add_vectors(SPACE, {specs[0].digest: one})
    ledger.add_vectors(SPACE, {specs[0].digest: one[::-1], specs[3].digest: one})  # what is there stays
    rest = ledger.images_without_vector(SPACE, after=specs[1].digest, limit=9)
    assert [image.digest for image in rest] == [specs[2].digest, specs[4].digest]
    assert ledger.count_without_vector(SPACE) == 3
    assert ledger.nearest_to_vector(SPACE, unpack([one])[0], most=5) == [specs[0].digest, specs[3].digest]


def test_a_whole_vector_keeps_its_width() -> None:
    vector = make_vectors(2, 1, 1152)[0]
    whole, projected = pack(vector, whole=True), pack(vector)
    assert whole is not None and projected is not None and (len(whole), len(projected)) == (1152, 256)
    cosine = float(unpack([whole])[0] @ vector / np.linalg.norm(vector))
    assert cosine > 0.999
