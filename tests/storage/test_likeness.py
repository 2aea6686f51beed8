"""Two users of one rule: the technical check and the library call the same pictures alike, and rank them the same."""

from __future__ import annotations

import numpy as np

from checks import technical
from checks.likeness import compute_perceptual_hash
from schemas.likeness import COLOUR_DIGITS, SHAPE_DIGITS, difference, distance
from schemas.manifest import BrandGuide
from storage.ledger import Ledger
from tests.making import a_choice, a_keeping, a_spec, an_image, planned


def changed(own: str, *, bits: int = 0, colour: dict[int, int] | None = None) -> str:
    """`own` with so many bits of shape turned, and some digits of colour moved by so many steps."""
    shape = int(own[:SHAPE_DIGITS], 16) ^ (2**bits - 1)
    digits = [int(digit, 16) for digit in own[SHAPE_DIGITS:]]
    for place, steps in (colour or {}).items():
        digits[place] += steps if digits[place] + steps <= 15 else -steps
    return f"{shape:036x}" + "".join(f"{digit:x}" for digit in digits)


def test_the_check_and_the_library_agree(ledger: Ledger) -> None:
    pixels = np.random.default_rng(4).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    own = compute_perceptual_hash(pixels)
    assert len(own) == SHAPE_DIGITS + COLOUR_DIGITS
    hashes = [
        changed(own, bits=3),
        changed(own, colour={0: 1, 1: 1, 2: 1}),  # as bits, up to 12 of 72: far away
        changed(own, bits=12),
        changed(own, colour={0: 8}),  # as bits, one of 72: the nearest of all
        changed(own, bits=40),
    ]
    specs = [a_spec(number, asset="thing") for number in range(len(hashes))]
    planned(ledger, specs)
    pairs = zip(specs, hashes, strict=True)
    ledger.keep_many([a_keeping(spec, image=an_image(spec, phash=phash)) for spec, phash in pairs])
    for spec in specs:
        ledger.decide(a_choice(spec), reviewer="ada")

    ranked = [entry.image for entry in ledger.library(like=own)]
    siblings = {spec.digest: phash for spec, phash in zip(specs, hashes, strict=True)}
    finding = technical.check_technical(pixels, a_spec(99), BrandGuide(), siblings=siblings)
    alike = [spec.digest for spec, phash in zip(specs, hashes, strict=True) if distance(own, phash) <= 1]
    assert set(alike) == {spec.digest for spec in specs[:3]}
    assert finding.data["alike"] == ranked[: len(alike)] == [specs[n].digest for n in (0, 1, 2)]
    assert ranked[len(alike) :] == [specs[3].digest, specs[4].digest]


def test_steps_of_colour_are_numbers_and_not_bits() -> None:
    own = "0" * SHAPE_DIGITS + "7" * COLOUR_DIGITS
    assert difference(own, "0" * SHAPE_DIGITS + "8" * COLOUR_DIGITS) == (0, COLOUR_DIGITS)
    assert difference(own, f"{7:036x}" + "7" * COLOUR_DIGITS) == (3, 0)
    assert distance(own, "f0f0") == float("inf")
