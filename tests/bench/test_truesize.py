"""The small twin of bench.truesize: every part of it, at tiny size and in one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.exactness import distance
from bench.sdxl import TINY
from bench.truesize import build, measure_stored, run_diffusers, run_engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("truesize")


def test_folder_and_single_file_are_exact_and_nothing_is_read_twice(folder: Path) -> None:
    written = build(folder, TINY)
    assert written["digest_again_s"] <= written["digest_s"]
    _, wanted = run_diffusers(folder, "folder")
    for kind in ("folder", "file"):
        figures, answers = run_engine(folder, kind)
        assert {name: distance(answers[name], wanted[name]) for name in wanted} == {
            "text-to-image": 0.0,
            "ControlNet": 0.0,
        }
        if kind == "folder":
            assert figures["foreseen_gib"] == figures["held_gib"] > 0
        else:
            assert [each["checkpoint_stays"] for each in figures["then"]] == [True] * 5
            assert all(each["load_s"] == 0 for each in figures["then"] if not each["what"].startswith("LoRA"))


def test_weights_in_fewer_bits_take_half_the_bytes_or_less_and_int8_is_nearest() -> None:
    figures = measure_stored(TINY)
    for each in figures.values():
        assert 0.4 < each["bytes"] / each["bytes_16_bits"] < 0.8  # norms, biases and the first and last layers stay
    assert 0 < figures["int8"]["relative_l2"] < figures["float8"]["relative_l2"] < 0.2
    assert figures["int8"]["relative_l2"] < figures["int4"]["relative_l2"] < 0.2
    assert figures["int4"]["bytes"] < 0.9 * figures["int8"]["bytes"]
