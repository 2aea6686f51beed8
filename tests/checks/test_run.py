"""All checks together: what is asked is examined, and a crash is an error, never silence and never "clean"."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from checks import brand, technical
from checks.run import Expectations, compute_perceptual_hash, run_checks
from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Result
from tests.checks.pictures import drawings, photo, spec

EXPECTED = Expectations(BrandGuide(palette=("#d62828",)))


def results(found: list[Finding]) -> dict[Criterion, Result]:
    return {finding.check: finding.result for finding in found}


def test_what_is_asked_is_examined_and_technical_always() -> None:
    found = run_checks(photo("coffee"), spec(), EXPECTED, criteria=[Criterion.BRAND, Criterion.COMPOSITION])
    assert results(found) == {Criterion.BRAND: Result.FLAG, Criterion.TECHNICAL: Result.PASS}
    everything = run_checks(photo("coffee"), spec(), EXPECTED, criteria=list(Criterion))
    assert [finding.check for finding in everything] == [
        Criterion.HANDS, Criterion.TEXT, Criterion.BRAND, Criterion.TECHNICAL,
    ]  # fmt: skip


def test_a_check_that_crashes_is_an_error_that_names_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(brand, "check_brand", broken)
    found = run_checks(photo("coffee"), spec(), EXPECTED, criteria=[Criterion.BRAND])
    assert results(found) == {Criterion.BRAND: Result.ERROR, Criterion.TECHNICAL: Result.PASS}
    assert found[0].sentence == "the check itself failed: ZeroDivisionError: division by zero"


def test_a_hand_model_that_is_missing_is_an_error_on_every_image(tmp_path: Path) -> None:
    missing = tmp_path / "hands.onnx"
    (found, _) = run_checks(photo("coffee"), spec(), replace(EXPECTED, hand_model=missing), criteria=[Criterion.HANDS])
    assert found.result is Result.ERROR and f"hand_model {missing}: there is no such file" in found.sentence


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (64, 1000), (3, 70)])
def test_no_size_is_too_odd(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = run_checks(pixels, spec(seamless="xy"), EXPECTED, criteria=list(Criterion))
    assert Result.ERROR not in results(found).values(), [finding.sentence for finding in found]


def test_findings_are_plain_json_and_the_same_every_time() -> None:
    picture = drawings("sign", 1)[0].image
    first, second = (run_checks(picture, spec(seamless="x"), EXPECTED, criteria=list(Criterion)) for _ in range(2))
    assert first == second
    for finding in first:
        assert Finding.model_validate_json(finding.model_dump_json()) == finding


def test_siblings_may_be_added_while_others_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are kept side by side, each adding its hash to those of its asset."""
    siblings = {f"{n:064x}": compute_perceptual_hash(drawings("object", 4)[n].image) for n in range(4)}
    compared = []

    def meanwhile(one: str, other: str) -> float:
        compared.append(other)
        siblings[f"{100 + len(compared):064x}"] = one
        return 2.0

    monkeypatch.setattr(technical, "distance", meanwhile)
    (found,) = run_checks(photo("coffee", 64), spec(), replace(EXPECTED, siblings=siblings), criteria=[])
    assert found.result is not Result.ERROR and len(compared) == 4
