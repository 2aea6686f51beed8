"""bench.engine by kind: every kind has jobs of its own, B tiles too, and a table comes out with its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.kinds import KINDS, MIXED, Jobs
from bench.plain_diffusers import Diffusers
from engine.model_files import ModelFiles
from schemas.settings import ROOT
from tests.studio import catalogue_path


@pytest.fixture(scope="module")
def jobs() -> Jobs:
    torch.set_num_threads(1)
    return Jobs(ModelFiles.read(catalogue_path()), steps=2, share=1)


def test_every_kind_is_another_kind_and_mixed_has_all(jobs: Jobs) -> None:
    by_kind = {kind: jobs.list_kind(kind) for kind in KINDS}
    assert [len({spec.digest for spec in specs}) for specs in by_kind.values()] == [4] * len(KINDS)
    digests = [spec.digest for specs in by_kind.values() for spec in specs]
    assert len(set(digests)) == len(digests)
    assert sorted(spec.digest for spec in jobs.list_kind(MIXED)) == sorted(digests)


def test_diffusers_tiles_too_and_only_where_a_job_does(jobs: Jobs) -> None:
    theirs = Diffusers(jobs, dtype="float32")
    seen = {}
    for kind in ("img2img", "seamless img2img"):
        with torch.inference_mode():
            seen[kind] = theirs.call(jobs.list_kind(kind)[-1:])[0].astype(int)
    assert (seen["img2img"] != seen["seamless img2img"]).any()
    modes = {part.padding_mode for part in theirs.base.unet.modules() if isinstance(part, torch.nn.Conv2d)}
    assert modes == {"zeros"}


def test_a_rehearsal_prints_its_table_and_writes_its_figures(tmp_path: Path) -> None:
    command = ["-m", "bench.engine", "--only", "few-step", "--steps", "1", "--share", "1", "--repeats", "1"]
    command += ["--batch", "2", "--threads", "1", "--backend", "torch", "--dtype", "bfloat16", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = tmp_path.iterdir()
    figures = json.loads(file.read_text())
    (table,) = figures["tables"]
    assert table["threads"] == 1 and list(table["kinds"]) == ["few-step"]
    assert table["geometric mean"]["C/B"] == pytest.approx(table["kinds"]["few-step"]["C/B"])
    assert f"{figures['date']}-engine-bfloat16-torch-" in file.name and figures["processor"] in done.stdout
    assert "geometric mean: C/A" in done.stdout
