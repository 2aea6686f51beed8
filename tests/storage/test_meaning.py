"""What is like what: vectors kept with their images and found again, alike on both databases, by index or without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text

from schemas.spec import ImageSpec
from storage import pgvector
from storage.ledger import Ledger
from storage.vectors import WIDTH, VectorTable, name_space, pack, unpack
from tests.making import MODEL, a_choice, a_keeping, a_spec, an_image, planned

PICTURES, PROMPTS = name_space("picture", MODEL.digest), name_space("prompt", MODEL.digest)


def keep(
    ledger: Ledger, pairs: list[tuple[ImageSpec, dict[str, NDArray[np.float32]]]], colours: Sequence[str | None] = ()
) -> None:
    """Images with their vectors by space, all approved."""
    planned(ledger, [spec for spec, _ in pairs])
    for (spec, vectors), said in zip(pairs, colours or [None] * len(pairs), strict=True):
        packed = {space: pack(vector) for space, vector in vectors.items()}
        image = an_image(spec, colours=said)
        kept = a_keeping(spec, image=image, vectors={space: one for space, one in packed.items() if one})
        ledger.keep_many([kept])
        ledger.decide(a_choice(spec), reviewer="ada")


def around(center: NDArray[np.float32], *angles: float) -> list[NDArray[np.float32]]:
    """Vectors at these angles (radians) to `center`, each in a direction of its own, of different lengths."""
    rng = np.random.default_rng(5)
    found = []
    for number, angle in enumerate(angles):
        other = rng.standard_normal(len(center))
        other -= other @ center / (center @ center) * center
        unit = center / np.linalg.norm(center), other / np.linalg.norm(other)
        found.append(((number + 1) * (np.cos(angle) * unit[0] + np.sin(angle) * unit[1])).astype(np.float32))
    return found


def make_vectors(seed: int, count: int, width: int = 192) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def test_an_image_s_neighbours_come_in_the_order_of_their_angles(ledger: Ledger) -> None:
    vectors = around(make_vectors(1, 1)[0], 0.0, 0.9, 0.3, 0.6, 1.4)
    specs = [a_spec(number) for number in range(len(vectors))]
    other = a_spec(9, model=MODEL.model_copy(update={"digest": "9" * 64, "alias": "another"}))
    pairs = [(spec, {PICTURES: vector}) for spec, vector in zip(specs, vectors, strict=True)]
    keep(ledger, [*pairs, (other, {name_space("picture", "9" * 64): vectors[0]}), (a_spec(10), {})])
    wanted = [specs[number].digest for number in (0, 2, 3, 1, 4)]
    assert ledger.nearest(specs[0].digest) == wanted
    assert ledger.nearest(specs[0].digest, most=2) == wanted[:2]
    assert ledger.nearest(other.digest) == [other.digest]  # equal numbers of another model mean something else
    assert ledger.nearest(a_spec(10).digest) == [] and not ledger.has_vector(a_spec(10).digest)
    # what was made since is found without opening the ledger anew
    late = a_spec(11)
    keep(ledger, [(late, {PICTURES: vectors[0]})])
    assert ledger.nearest(specs[0].digest, most=2) == [specs[0].digest, late.digest]


@pytest.mark.servers
def test_pgvector_s_index_gives_what_the_exact_search_gives(postgres_ledger: Ledger) -> None:
    ledger, vectors = postgres_ledger, make_vectors(2, 400)
    specs = [a_spec(number) for number in range(len(vectors))]
    planned(ledger, specs)
    packed = [pack(vector) for vector in vectors]
    pairs = zip(specs, packed, strict=True)
    ledger.keep_many([a_keeping(spec, vectors={PICTURES: one}) for spec, one in pairs if one])
    exact = [ledger.nearest(spec.digest, most=20) for spec in specs[:20]]
    assert ledger.index_vectors() == "" and ledger.index_vectors() == ""
    with ledger.reading() as session:
        assert pgvector.has_index(session)
        known = "SELECT n_distinct FROM pg_stats WHERE tablename = 'image_vectors' AND attname = 'space'"
        assert session.scalar(text(known)) == 1  # else the planner would sort all of a large table
    found = [ledger.nearest(spec.digest, most=20) for spec in specs[:20]]
    assert np.mean([len(set(a) & set(b)) / 20 for a, b in zip(exact, found, strict=True)]) >= 0.95
    assert found[0] == exact[0]
    with ledger.reading() as session:
        for way in ("seqscan", "bitmapscan", "sort"):  # of so few rows the planner would rather sort all
            session.execute(text(f"SET LOCAL enable_{way} = off"))
        query = f"EXPLAIN SELECT id FROM image_vectors WHERE {pgvector.INDEXED} ORDER BY {pgvector.COMPARED}"
        near = f" <=> CAST('[{','.join('1' * WIDTH)}]' AS halfvec({WIDTH})) LIMIT 5"
        steps = "".join(session.scalars(text(query + near)))
    assert pgvector.INDEX in steps
    late = a_spec(999)
    keep(ledger, [(late, {PICTURES: vectors[0] * 3})])  # through the index as it grows
    assert set(ledger.nearest(specs[0].digest, most=2)) == {specs[0].digest, late.digest}


@pytest.mark.servers
def test_a_server_without_the_extension_is_searched_exactly(
    postgres_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "OLDEST", (99, 0))
    assert "expected 99" in postgres_ledger.index_vectors()
    specs = [a_spec(0), a_spec(1)]
    keep(postgres_ledger, [(spec, {PICTURES: make_vectors(0, 1)[0]}) for spec in specs])
    assert set(postgres_ledger.nearest(specs[0].digest)) == {spec.digest for spec in specs}


def test_like_this_one_but_in_blue(ledger: Ledger) -> None:
    vectors = around(make_vectors(3, 1)[0], 0.0, 0.2, 0.4, 0.6)
    specs = [a_spec(0), a_spec(1), a_spec(2, project="other"), a_spec(3)]
    colours = ["c81e28:70", "c01e28:70", "1428a0:60 ffffff:40", "1830a0:90"]
    keep(ledger, [(s, {PICTURES: v}) for s, v in zip(specs, vectors, strict=True)], colours)
    found = ledger.library(near=specs[0].digest, colour="#1428a0")
    assert [one.image for one in found] == [specs[2].digest, specs[3].digest]
    found = ledger.library(near=specs[0].digest, project="potions", limit=2)
    assert [one.image for one in found] == [specs[0].digest, specs[1].digest]
    assert [one.image for one in ledger.library(near=specs[0].digest, project="other")] == [specs[2].digest]


@pytest.mark.parametrize("space", [PICTURES, PROMPTS])  # prompts where the model showed nothing of the pictures
def test_beyond_words_comes_what_is_most_like_the_images_that_have_them(ledger: Ledger, space: str) -> None:
    vectors = around(make_vectors(4, 1, 128)[0], 0.05, 0.3, 1.2)
    said = ["a red sword", "a steel blade", "a tall tree"]
    specs = [a_spec(number, prompt=prompt, asset=f"thing {number}") for number, prompt in enumerate(said)]
    keep(ledger, [(spec, {space: vector}) for spec, vector in zip(specs, vectors, strict=True)])
    found = ledger.library_beyond_words(["sword"])
    assert [one.image for one in found] == [specs[1].digest, specs[2].digest]  # the sword itself has the word
    assert ledger.library_beyond_words(["zebra"]) == []  # nobody showed what that is


@pytest.mark.parametrize("width", [4, WIDTH, 1280])
def test_a_vector_keeps_its_direction(width: int) -> None:
    vectors = make_vectors(7, 40, width)
    vectors[1::2] = vectors[::2] + 0.4 * vectors[1::2]
    kept = unpack([one for vector in vectors if (one := pack(vector))])
    assert kept.shape == (40, WIDTH)
    true = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    limit = 0.02 if width <= WIDTH else 0.25  # four standard errors of a projection to 256
    assert np.abs(kept @ kept.T - true @ true.T).max() < limit
    assert pack(np.zeros(width, np.float32)) is None and pack(np.full(width, np.nan, np.float32)) is None


def test_a_table_finds_what_a_sort_of_all_finds_and_takes_each_row_once() -> None:
    vectors = make_vectors(8, 3_000, WIDTH)
    kept = [one for vector in vectors if (one := pack(vector))]
    table = VectorTable()
    table.add(range(1, 2_001), kept[:2_000])
    table.add(range(1_001, 3_001), kept[1_000:])
    assert len(table) == table.last == 3_000
    near = unpack(kept[7:8])[0]
    wanted = np.argsort(-(unpack(kept) @ near), kind="stable")[:50] + 1
    assert table.find_nearest(near, 50) == wanted.tolist()
    assert VectorTable().find_nearest(near, 5) == []
