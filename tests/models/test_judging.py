"""What bench/checkpoint.py judges generated pictures with must itself be right about drawn ones."""

from __future__ import annotations

import numpy as np
import pytest

from bench.questions import read_word
from models.studio_tiny import judge
from models.studio_tiny.draw import TEST_SEEDS, paint
from models.studio_tiny.fingers import count_fingers
from models.studio_tiny.world import CLASHES, COLOURS, FINGERS, STYLES, WORDS, Attributes


def drawn_like(kind: str, count: int, **more: tuple) -> list[tuple[Attributes, np.ndarray]]:
    """Close-ups in all styles and colours on plain backgrounds; `more` is dealt out in turn."""
    made = []
    for i in range(count):
        rng = np.random.default_rng(TEST_SEEDS + 300 + i)
        colour = list(COLOURS)[i % len(COLOURS)]
        plain = [b for b in ("white", "gray", "dark") if colour not in CLASHES[b]]
        dealt = {name: values[i // len(STYLES) % len(values)] for name, values in more.items()}
        about = Attributes(kind, kind, colour, plain[i % len(plain)], STYLES[i % len(STYLES)], **dealt)
        made.append((about, paint(about, rng).image))
    return made


def test_fingers_are_counted() -> None:
    hands = drawn_like("hand", 48, fingers=tuple(FINGERS))
    assert np.mean([count_fingers(image) == about.fingers for about, image in hands]) >= 0.95


def test_a_hidden_finger_is_missed() -> None:
    for _, image in drawn_like("hand", 4, fingers=(5,)):
        without = image.copy()
        without[:50, :60] = image[0, 0]  # what is above the palm and to its left is painted over
        assert count_fingers(without) < 5


@pytest.mark.parametrize("level", [0, 128, 255])
def test_no_hand_has_no_fingers(level: int) -> None:
    assert count_fingers(np.full((128, 128, 3), level, np.uint8)) == 0


def test_drawn_words_can_be_read() -> None:
    signs = drawn_like("sign", 20, word=WORDS)
    assert np.mean([read_word(image) == about.word for about, image in signs]) >= 0.95


def test_the_judge_names_what_is_drawn() -> None:
    assert judge.on_drawn(judge.load(), 100) >= 0.95
