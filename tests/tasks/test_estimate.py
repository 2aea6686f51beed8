"""What a check says of images, batches and time, against doing it."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from schemas.manifest import Manifest
from schemas.matrix import Matrix
from schemas.pace import make_pace_key
from schemas.settings import Settings
from schemas.spec import ImageSpec
from tasks.planning.estimate import EstimateRow, count_work, make_table, predict_seconds, predict_times
from tasks.planning.plan import PlannedModels, expand_asset, expand_manifest
from tasks.planning.submit import LOOKED_AT, check_manifest

MODELS = PlannedModels(digests={"hero": "a" * 64, "look": "b" * 64})


def manifest(**asset: object) -> Manifest:
    body = {"name": "A", "prompt": ["x", "y"], "size": [128, 256], "seeds": 10, "guidance_scale": [1.0, 5.0], **asset}
    other = {"name": "B", "prompt": "z", "size": 128, "seeds": 3, "guidance_scale": 5.0}
    return Manifest.model_validate({"project": "P", "model": "hero", "assets": [body, other]})


def test_batches_are_counted_as_they_fill_up_across_assets() -> None:
    specs = list(expand_manifest(manifest(), {}, MODELS))
    rows = make_table(specs, pace={}, made=set(), batch_size=8)
    whole = sum(math.ceil(many / 8) for many in Counter(spec.batch_key for spec in specs).values())
    assert sum(row.batches for row in rows) == whole == 12
    assert [row.images for row in rows] == [80, 3]
    assert rows[1].batches == 0, "B's three fill A's half-empty batch of the same key"


def test_what_exists_costs_nothing() -> None:
    specs = list(expand_manifest(manifest(), {}, MODELS))
    made = {spec.digest for spec in specs if spec.asset == "A"}
    first, second = make_table(specs, pace={}, made=made, batch_size=8)
    assert (first.made, first.batches, first.gpu_seconds, first.megabytes) == (80, 0, 0.0, 0.0)
    assert (second.made, second.batches) == (0, 1)


def test_history_is_preferred_to_a_guess() -> None:
    spec = next(expand_manifest(manifest(), {}, MODELS))
    key = make_pace_key(spec)
    assert predict_seconds(key, {key: 1.5}) == (1.5, False)
    larger = (key[0], key[1] * 2, key[2] * 2, *key[3:])
    seconds, guessed = predict_seconds(larger, {key: 1.5})
    assert guessed and seconds == pytest.approx(6.0), "four times the pixels, four times the work"
    other_model = ("other", *key[1:])
    assert predict_seconds(other_model, {key: 1.5}) == (count_work(other_model) / 200, True)


def test_a_control_costs_more_and_no_guidance_half() -> None:
    key = ("hero", 1024, 1024, 30, "txt2img", 0, None, None)
    assert count_work((*key[:5], 1, None, None)) > 1.3 * count_work(key)
    assert count_work(key, rows=1) < 0.6 * count_work(key)


def test_guidance_and_perturbed_attention_are_a_prediction_each() -> None:
    fields = {"size": 1024, "prompt": "x", "seeds": 1, "num_inference_steps": 30}
    said: list[dict[str, float]] = [{"guidance_scale": 1.0}, {"guidance_scale": 5.0}]
    said.append({"guidance_scale": 5.0, "pag_scale": 3.0})
    specs = [next(expand_manifest(manifest(**fields, **more), {}, MODELS)) for more in said]
    assert [predict_times(spec) for spec in specs] == [1, 2, 3]
    seconds = [make_table([spec], pace={}, made=set(), batch_size=8)[0].gpu_seconds for spec in specs]
    assert seconds[0] < seconds[1] < seconds[2]


def test_what_an_approximation_saves_is_measured_and_never_guessed() -> None:
    fields = {"size": 128, "prompt": "x", "seeds": 1, "guidance_scale": 5.0}
    plain, fewer = (
        next(expand_manifest(manifest(**fields, **more), {}, MODELS))
        for more in ({}, {"approximation": {"cache_interval": 2}})
    )
    one, other = make_pace_key(plain), make_pace_key(fewer)
    assert predict_seconds(other, {one: 4.0}) == (4.0, True), "as long as the exact one, at most"
    assert predict_seconds(other, {one: 4.0, other: 2.5}) == (2.5, False)
    larger = (one[0], one[1] * 2, one[2] * 2, *one[3:])
    assert predict_seconds(larger, {one: 4.0, other: 2.5}) == (pytest.approx(16.0), True)


def test_a_second_pass_is_counted() -> None:
    """Two passes are what their two images would cost by themselves, and are no history for an image of one pass."""
    plain = manifest(size=1024, prompt="x", seeds=1, guidance_scale=5.0, num_inference_steps=30)
    hires = {"first_size": 1024, "strength": 0.4, "num_inference_steps": 25}
    twice = manifest(size=2048, prompt="x", seeds=1, guidance_scale=5.0, num_inference_steps=30, hires=hires)
    small, large = (next(expand_manifest(asked, {}, MODELS)) for asked in (plain, twice))
    over = large.model_copy(update={"hires": None, "source": "c" * 64, "strength": 0.4, "num_inference_steps": 25})
    over = ImageSpec.model_validate(over.model_dump())
    assert count_work(make_pace_key(large)) == pytest.approx(
        count_work(make_pace_key(small)) + count_work(make_pace_key(over))
    )
    assert count_work(make_pace_key(over)) > count_work(make_pace_key(small)), (
        "four times the pixels, a third of the steps"
    )
    once = ImageSpec.model_validate(large.model_copy(update={"hires": None}).model_dump())
    assert make_pace_key(once) != make_pace_key(large)
    row = make_table([large], pace={make_pace_key(small): 1.0}, made=set(), batch_size=8)[0]
    assert row.guessed and row.gpu_seconds == pytest.approx(
        count_work(make_pace_key(large)) / count_work(make_pace_key(small))
    )


def test_img2img_costs_its_share_of_the_steps() -> None:
    spec = next(expand_manifest(manifest(num_inference_steps=30), {}, MODELS))
    near, far = (
        make_pace_key(ImageSpec.model_validate(spec.model_dump() | {"source": "c" * 64, "strength": strength}))
        for strength in (0.3, 0.9)
    )
    assert (near[3], far[3]) == (9, 27) and near != far
    assert 2 < count_work(far) / count_work(near) < 3


def test_a_sample_projects_what_the_whole_would_say() -> None:
    whole = manifest(seeds=500)
    specs = list(expand_manifest(whole, {}, MODELS))
    matrices = [Matrix(whole, asset) for asset in whole.assets]
    some = [
        spec
        for matrix in matrices
        for spec in expand_asset(whole, matrix.asset, {}, MODELS, combinations=matrix.sample(100))
    ]
    assert len(some) <= 103 and len({spec.digest for spec in some}) == len(some)
    counts = {matrix.asset.name: matrix.count() for matrix in matrices}

    def totals(rows: list[EstimateRow]) -> list[float]:
        return [sum(getattr(row, field) for row in rows) for field in ("images", "batches", "megabytes", "gpu_seconds")]

    exact = totals(make_table(specs, pace={}, made=None, batch_size=8))
    projected = totals(make_table(some, pace={}, made=None, batch_size=8, counts=counts))
    assert projected == pytest.approx(exact, rel=0.1)
    assert projected[0] == exact[0] == 4003


@pytest.mark.parametrize("most", [1, 7, 100, 10_000])
def test_a_sample_has_no_combination_twice_and_none_that_is_excluded(most: int) -> None:
    whole = manifest(exclude=[{"prompt": "x", "size": 256}])
    matrix = Matrix(whole, whole.assets[0])
    sampled = [combination.variant for combination in matrix.sample(most)]
    every = [combination.variant for combination in matrix]
    assert len(set(sampled)) == len(sampled) <= most
    assert set(sampled) <= set(every)
    if most >= matrix.product():
        assert sampled == every


def test_a_large_manifest_is_checked_by_a_sample_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(
        "project: P\nmodel: studio-tiny\nassets: [{name: A, prompt: [x, y], seeds: 40000}, {name: B, prompt: z}]\n"
    )
    report = check_manifest(path, Settings(home=tmp_path / "home"))
    assert [row.images for row in report.rows] == [80_000, 1]
    assert report.images == 80_001 > LOOKED_AT
    assert any("projected" in note for note in report.notes)
