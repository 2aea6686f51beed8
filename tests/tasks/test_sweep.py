"""The grid of settings: pure parts by property, and the command on the small checkpoint."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.rendered import Rendered
from schemas.errors import InputError, OutOfMemory
from schemas.fewstep import FewStep
from schemas.settings import ROOT
from schemas.spec import Approximation, ModelRef
from tasks.planning.sweep import compute_curves, find_settled_steps, make_grid, make_summary, parse_field
from tests.studio import catalogue_path

BASE = {
    "project": "sweep", "width": 64, "height": 64, "scheduler": "Euler", "num_inference_steps": 4,
    "guidance_scale": 3.0, "model": ModelRef(alias="m", digest="0" * 64),
}  # fmt: skip


def rendered(level: int) -> Rendered:
    """A picture of one grey level."""
    return Rendered(
        digest="", pixels=np.full((4, 4, 3), level, np.uint8), error=None, timings={"denoise": level / 100},
        batch_size=1, row=0, models={}, device="cpu", dtype="float32",
    )  # fmt: skip


def test_axes_are_read_and_mistakes_named() -> None:
    assert parse_field(["scheduler=Euler, UniPC", "num_inference_steps=5,10", "guidance_scale=3.5"]) == {
        "scheduler": ["Euler", "UniPC"], "num_inference_steps": [5, 10], "guidance_scale": [3.5],
    }  # fmt: skip
    for wrong, said in [
        ("seed=1", "with one of scheduler"),
        ("num_inference_steps=many", "num_inference_steps: got 'many'"),
        ("scheduler=Eulr", "--vary scheduler: got 'Eulr'; expected a scheduler such as Euler"),
    ]:
        with pytest.raises(InputError, match=said):
            parse_field([wrong])


def test_a_grid_has_every_combination_of_fields_prompts_and_seeds() -> None:
    axes: dict[str, list[Any]] = {"scheduler": ["Euler", "DPM++ 2M Karras"], "num_inference_steps": [2, 4, 8]}
    cells = make_grid(BASE, axes, prompts=["a", "b"], seeds=[1, 2, 3])
    assert len({cell.spec.digest for cell in cells}) == len(cells) == 2 * 3 * 2 * 3
    assert {cell.spec.scheduler_options for cell in cells} == {(), (("use_karras_sigmas", True),)}


def test_few_step_weights_get_their_spacing_and_any_number_of_steps() -> None:
    few = FewStep("turbo", "turbo")
    cells = make_grid(
        BASE, {"scheduler": ["Euler", "LCM"], "num_inference_steps": [2, 20]}, prompts=["a"], seeds=[1], few=few
    )
    spaced = {(cell.at["scheduler"], dict(cell.spec.scheduler_options).get("timestep_spacing")) for cell in cells}
    assert spaced == {("Euler", "trailing"), ("LCM", None)}
    assert {cell.spec.num_inference_steps for cell in cells} == {2, 20}


def test_the_curve_is_the_distance_to_the_longest_run() -> None:
    cells = make_grid(BASE, {"scheduler": ["Euler"], "num_inference_steps": [2, 4, 8]}, prompts=["a", "b"], seeds=[1])
    levels = {(2, "a"): 10, (2, "b"): 30, (4, "a"): 98, (4, "b"): 100, (8, "a"): 100, (8, "b"): 100}
    made = [rendered(levels[cell.at["num_inference_steps"], cell.prompt]) for cell in cells]
    points = compute_curves(cells, made)["Euler"]
    assert [(steps, away) for steps, _, away in points] == [(2, 80.0), (4, 1.0), (8, 0.0)]
    assert points[0][1] == pytest.approx(0.2)
    assert find_settled_steps(points) == 4
    assert "settled from 4 steps on" in make_summary(cells, made)
    short = [number for number, cell in enumerate(cells) if cell.at["num_inference_steps"] < 8]
    told = make_summary([cells[number] for number in short], [made[number] for number in short])
    assert "not settled at 4 steps, the most that were tried" in told
    failed = [replace(row, pixels=None, error=OutOfMemory("no room")) for row in made]
    assert "6 pictures, 6 failed\n  6 failed: no room" in make_summary(cells, failed)


def test_the_curve_of_an_approximation_is_the_distance_to_the_exact_run() -> None:
    axes = parse_field(["cache_interval=2,1,3", "tgate_after=1,0.5"])
    cells = make_grid(BASE, axes, prompts=["a"], seeds=[1])
    asked = {(cell.at["cache_interval"], cell.at["tgate_after"]): cell.spec.approximation for cell in cells}
    assert asked[1, 1.0] is None and asked[3, 0.5] == Approximation(cache_interval=3, tgate_after=0.5)
    levels = {(1, 1.0): 100, (2, 1.0): 98, (3, 1.0): 90, (1, 0.5): 97, (2, 0.5): 95, (3, 0.5): 80}
    made = [rendered(levels[cell.at["cache_interval"], cell.at["tgate_after"]]) for cell in cells]
    curves = compute_curves(cells, made)
    assert [(at, away) for at, _, away in curves["tgate_after 1.0"]] == [(1, 0.0), (2, 2.0), (3, 10.0)]
    assert [(at, away) for at, _, away in curves["tgate_after 0.5"]] == [(1, 3.0), (2, 5.0), (3, 20.0)]
    assert "by cache_interval: levels away from the least approximated run" in make_summary(cells, made)
    assert "settled" not in make_summary(cells, made)
    with pytest.raises(InputError, match=r"--tgate_after: got 2\.0"):
        make_grid(BASE, {"tgate_after": [2.0]}, prompts=["a"], seeds=[1])


def test_the_command_makes_a_sheet_and_the_curves(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "flows", "sweep", "--prompt", "a red boat", "--prompt", "a green tree", "--seed", "5",
         "--vary", "scheduler=Euler,UniPC", "--vary", "num_inference_steps=1,2,3", "--size", "96x72",
         "--out", str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "DAILIES_CATALOGUE": str(catalogue_path()), "DAILIES_HOME": str(tmp_path),
             "DAILIES_DEVICE": "cpu", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "12 pictures, 0 failed" in made.stdout and "UniPC: not settled at 3 steps" in made.stdout
    with (tmp_path / "out" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["steps"] for row in rows] == ["1", "2", "3"] * 2
    assert float(rows[2]["difference"]) == 0 and float(rows[0]["difference"]) > 0
    sheet = Image.open(tmp_path / "out" / "sheet.png")
    assert sheet.size == (200 + 3 * 260, 22 + 4 * 196)
    for name in ("steps.png", "seconds.png", "pictures.csv"):
        assert (tmp_path / "out" / name).stat().st_size > 100
