"""The GPU benchmark is for machines that CI has not; its rehearsal runs every section for real, at tiny size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.gpu import SECTIONS
from bench.sdxl import SDXL, TINY, drawn
from bench.section import Section
from schemas.settings import ROOT


def rehearsed(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.gpu", "--tiny", "--backend", "eager", "--jobs", "4", "--steps", "2"]
    return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_section_is_rehearsed(tmp_path: Path) -> None:
    out = tmp_path / "results" / "tiny.json"
    done = rehearsed("--out", str(out))
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(out.read_text())
    assert set(found) == {*SECTIONS, "machine"}
    assert "failed" not in out.read_text() and "ended" not in out.read_text()
    # what each section is for
    assert found["peak"]["matmul"]["tflop_s"] > 0
    assert found["unet"]["2 rows"]["tflop"] == pytest.approx(2 * found["unet"]["1 rows"]["tflop"], rel=0.3)
    held = found["stored"]
    assert held["int8"]["relative_l2"] < held["float8"]["relative_l2"] < 0.2
    assert held["float8"]["bytes"] < held["float8, MLPerf's layers whole"]["bytes"]
    assert found["controlnet"]["2 rows"].keys() >= {"share_of_step", "zero_scale_ours_ms", "zero_scale_diffusers_ms"}
    assert {name.split(",")[0] for name in found["vae"]} >= {"float32", "bfloat16", "engine"}
    assert found["compile"]["unet, 2 rows"]["compiler_s"] > 0
    assert {f"{run} {kind}" for run in "ABC" for kind in ("plain", "controlnet")} <= found["jobs"].keys()
    assert found["jobs"]["C plain"]["images"] == 2
    assert set(found["jobs"]["controlnet: C/A, C/B"]) == {"C/A", "C/B"}


def test_an_unknown_section_is_named() -> None:
    done = rehearsed("--only", "peak,speed")
    assert done.returncode == 2 and "got speed; expected peak" in done.stderr


def test_no_weight_is_zero_and_the_shapes_are_sdxls() -> None:
    part = drawn(lambda: torch.nn.Linear(4, 4), device=torch.device("cpu"), dtype=torch.bfloat16)
    assert part.bias.dtype == torch.bfloat16 and all(p.any() for p in part.parameters())
    from diffusers import UNet2DConditionModel

    ups = ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SDXL.network, sample_size=128, up_block_types=ups)
    assert sum(p.numel() for p in unet.parameters()) == 2_567_463_684  # as published


def test_what_has_no_room_is_noted_and_the_section_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    section = Section("unet", TINY, torch.device("cpu"), torch.float32, file, tmp_path, 60)
    with section.part("32 rows"):
        raise torch.OutOfMemoryError("CUDA out of memory")
    section.note("1 rows", {"ms": 1.0})
    found = json.loads(file.read_text())["unet"]
    assert "OutOfMemory" in found["32 rows"]["failed"] and found["1 rows"] == {"ms": 1.0}


def test_a_section_over_its_budget_is_ended_and_what_it_found_is_kept(tmp_path: Path) -> None:
    from bench.gpu import _apart

    file = tmp_path / "figures.json"
    section = Section("unet", TINY, torch.device("cpu"), torch.float32, file, tmp_path, 0.5)
    section.note("1 rows", {"ms": 1.0})
    _apart(section, tmp_path)
    found = json.loads(file.read_text())["unet"]
    assert found["1 rows"] == {"ms": 1.0} and "budget" in found["ended"]
