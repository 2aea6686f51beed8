"""Levers change speed and memory; a picture stays within rounding of the one made without them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.attention import choose_backend, measure_backends
from engine.compiling import Compiler
from engine.diffuse import Engine
from engine.guards import find_dtype
from engine.model_files import ModelFiles
from engine.processor import has_bfloat16_units
from engine.runtime_options import RuntimeOptions
from schemas.settings import ROOT, Attention, Settings

from .conftest import Studio

SMALL = (2, 64, 16)


@pytest.fixture(scope="module")
def traced(catalogue: ModelFiles) -> Iterator[Engine]:
    """Dynamo's graphs and guards for real; inductor's code for them is for the slow test."""
    yield Engine(catalogue, device="cpu", dtype="float32", levers=RuntimeOptions(compile=True, compile_backend="eager"))
    torch._dynamo.reset()


def apart(one: list, two: list) -> int:
    """Levels of 255."""
    assert [row.error for row in (*one, *two)] == [None] * len((*one, *two))
    return max(int(np.abs(a.pixels.astype(int) - b.pixels).max()) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("able", [True, False])
def test_auto_is_the_precision_that_the_device_has_units_for(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    here = "amx_bf16" in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else False
    assert has_bfloat16_units() is here
    monkeypatch.setattr("engine.guards.has_bfloat16_units", lambda: able)
    best = torch.bfloat16 if able else torch.float32
    graphs = RuntimeOptions(backend="onnxruntime", folder=tmp_path)
    assert Engine(studio.catalogue, device="cpu").dtype == best
    assert Engine(studio.catalogue, device="cpu", levers=graphs).dtype == torch.float32
    for dtype in ("float32", "bfloat16"):
        assert Engine(studio.catalogue, device="cpu", dtype=dtype).dtype == getattr(torch, dtype)
    assert find_dtype("auto", "cuda", backend="auto") == torch.bfloat16


def test_a_compiled_engine_makes_the_same_pictures(engine: Engine, traced: Engine, studio: Studio) -> None:
    specs = [studio.spec(n) for n in range(3)]
    made = studio.render(traced, specs)
    assert apart(made, studio.render(engine, specs)) <= 1
    assert made[0].levers == {"compile": "eager"}
    assert made[0].timings["compile"] > 0 and made[0].timings["denoise"] > 0


def test_compiling_is_timed_once_and_apart(traced: Engine, studio: Studio) -> None:
    specs = [studio.spec(n, width=72) for n in range(2)]
    before = traced.compiler.seconds
    first, second = studio.render(traced, specs), studio.render(traced, specs)
    spent = traced.compiler.seconds - before
    assert sum(row.timings["compile"] for row in first) == pytest.approx(spent)
    assert "compile" not in second[0].timings


def test_a_smaller_batch_is_filled_up_to_one_that_is_compiled(engine: Engine, traced: Engine, studio: Studio) -> None:
    shape = {"width": 80}
    studio.render(traced, [studio.spec(n, **shape) for n in range(3)])
    tail = [studio.spec(7, **shape), studio.spec(8, **shape)]
    made = studio.render(traced, tail)
    assert [(row.digest, row.row, row.batch_size) for row in made] == [(tail[0].digest, 0, 3), (tail[1].digest, 1, 3)]
    assert "compile" not in made[0].timings
    assert apart(made, studio.render(engine, tail)) <= 1


def test_a_seamless_batch_is_decoded_as_it_should_be(engine: Engine, traced: Engine, studio: Studio) -> None:
    plain, seamless = [studio.spec(1, width=88)], [studio.spec(1, width=88, seamless="xy")]
    for specs in (plain, seamless, plain):
        assert apart(studio.render(traced, specs), studio.render(engine, specs)) <= 1
    assert apart(studio.render(traced, plain), studio.render(traced, seamless)) > 8


def test_without_compiling_no_batch_is_filled(studio: Studio) -> None:
    compiler = Compiler()
    assert [compiler.filled(studio.spec(), rows, length=77) for rows in (8, 3)] == [8, 3]


def test_batches_of_another_shape_do_not_share_a_size(studio: Studio) -> None:
    compiler = Compiler(on=True, backend="eager")
    asked = [(studio.spec(), 4), (studio.spec(width=72), 3), (studio.spec(), 2), (studio.spec(), 6), (studio.spec(), 5)]
    assert [compiler.filled(spec, rows, length=77) for spec, rows in asked] == [4, 3, 4, 6, 6]
    assert compiler.filled(studio.spec(), 2, length=154) == 2


@pytest.mark.parametrize("kernel", ["math", "flash"])
def test_every_attention_kernel_draws_the_same_picture(engine: Engine, studio: Studio, kernel: Attention) -> None:
    specs = [studio.spec(n) for n in range(2)]
    other = Engine(engine.models.catalogue, device="cpu", dtype="float32", levers=RuntimeOptions(attention=kernel))
    made = studio.render(other, specs)
    assert apart(made, studio.render(engine, specs)) <= 1
    assert made[0].levers == {"attention": kernel}


def test_a_measured_choice_is_kept(tmp_path: Path) -> None:
    given: dict[str, Any] = {"device": torch.device("cpu"), "dtype": torch.float32, "shape": SMALL, "folder": tmp_path}
    first = choose_backend("auto", **given)
    file = tmp_path / "attention.json"
    kept = json.loads(file.read_text())
    (figures,) = kept.values()
    assert figures["kernel"] == first and set(figures["milliseconds"]) >= {"native", "math"}
    figures["kernel"] = "math"
    file.write_text(json.dumps(kept))
    assert (
        choose_backend("auto", **given) == "math"
    )  # read, not measured again: pictures stay the same from night to night


def test_a_kernel_that_this_device_has_not_is_no_candidate() -> None:
    assert "cudnn" not in measure_backends(torch.device("cpu"), torch.float32, shape=SMALL, repeats=1)


def test_channels_last_changes_no_picture(engine: Engine, studio: Studio) -> None:
    specs = [studio.spec(n) for n in range(2)]
    other = Engine(engine.models.catalogue, device="cpu", dtype="float32", levers=RuntimeOptions(channels_last="on"))
    assert apart(studio.render(other, specs), studio.render(engine, specs)) <= 1
    assert is_channels_last(other) == (True, True) and is_channels_last(engine) == (False, True)


def test_in_bfloat16_all_channels_are_last_and_a_picture_is_nearly_the_same(engine: Engine, studio: Studio) -> None:
    specs = [studio.spec(n) for n in range(2)]
    other = Engine(engine.models.catalogue, device="cpu", dtype="bfloat16")
    for half, whole in zip(studio.render(other, specs), studio.render(engine, specs), strict=True):
        assert half.dtype == "bfloat16" and whole.dtype == "float32"
        away = np.abs(half.pixels.astype(int) - whole.pixels)
        assert 0 < away.mean() < 2
    assert is_channels_last(other) == (True, True)


def is_channels_last(engine: Engine) -> tuple[bool, ...]:
    """UNet, autoencoder."""
    base = engine.models._base
    return tuple(
        part.conv_in.weight.is_contiguous(memory_format=torch.channels_last) for part in (base.unet, base.vae.encoder)
    )


def test_levers_are_settings(tmp_path: Path) -> None:
    given = Settings(home=tmp_path, compile=True, attention="auto", channels_last="off", memory="8gb")
    wanted = RuntimeOptions(
        memory="8gb", compile=True, channels_last="off", attention="auto", folder=tmp_path / "device"
    )
    assert RuntimeOptions.of(given) == wanted
    assert replace(wanted, folder=None) != RuntimeOptions()


@pytest.mark.slow
def test_compiled_code_outlives_its_process(tmp_path: Path, studio: Studio) -> None:
    """inductor for real: the second process takes every graph out of the folder."""
    found = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", COMPILED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(done.stdout.splitlines()[-1]))
    first, second = found
    assert first["compiled"] > 0 and first["kept"] == 0
    assert second["compiled"] == 0 and second["kept"] == first["compiled"]
    assert first["away"] <= 1 and second["away"] <= 1


COMPILED = """
import json, sys
from pathlib import Path
import numpy as np
from engine.model_files import ModelFiles
from engine.compiling import count_cache_hits
from engine.diffuse import Engine
from engine.runtime_options import RuntimeOptions
from tests.engine.conftest import Studio
from tests.studio import catalogue_path

catalogue = ModelFiles.read(catalogue_path())
studio = Studio(catalogue)
levers = RuntimeOptions(compile=True, folder=Path(sys.argv[1]))
plain, compiled = (
    Engine(catalogue, device="cpu", dtype="float32", levers=how) for how in (RuntimeOptions(), levers)
)
one, two = (studio.render(engine, [studio.spec(1)])[0].pixels.astype(int) for engine in (plain, compiled))
print(json.dumps(count_cache_hits() | {"seconds": compiled.compiler.seconds, "away": int(np.abs(one - two).max())}))
"""
