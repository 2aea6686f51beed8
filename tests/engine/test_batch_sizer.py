"""How many rows fit, on a device whose memory is a straight line; the engine around it is the real one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.batch_sizer import SHARE, BatchSizer
from engine.diffuse import Engine
from engine.model_files import ModelFiles
from schemas.spec import ImageSpec
from tests.engine.conftest import Studio


class Line:
    """Stands for a GPU, which CI has not: so many bytes of weights, so many a row."""

    def __init__(self, *, weights: int = 500, each: int = 100, capacity: int = 1000, name: str = "card") -> None:
        self.weights, self.each, self.total, self.name, self.rows = weights, each, capacity, name, 0
        self.seen: list[int] = []

    def start(self) -> None:
        self.rows = 0

    def peak(self) -> int:
        return self.weights + self.each * self.rows

    def capacity(self) -> int:
        return self.total


def tried(room: BatchSizer, meter: Line, spec: ImageSpec, wanted: int) -> list[int]:
    """Batches that are made of so many rows."""
    out = []
    while wanted:
        rows = room.rows(spec, wanted)
        with room.watching(spec, rows):
            meter.rows = rows
        out.append(rows)
        wanted -= rows
    return out


def test_one_row_then_two_then_what_fits(studio: Studio) -> None:
    meter = Line()
    room = BatchSizer(meter)
    assert tried(room, meter, studio.spec(), 12) == [1, 2, 4, 4, 1]  # 500 + 4 * 100 is 90% of 1000
    assert tried(room, meter, studio.spec(), 9) == [4, 4, 1]
    meter.total = 1400
    assert tried(room, meter, studio.spec(), 9) == [7, 2]
    assert SHARE == 0.9


def test_another_shape_is_measured_anew(studio: Studio) -> None:
    meter = Line()
    room = BatchSizer(meter)
    tried(room, meter, studio.spec(), 8)
    assert tried(room, meter, studio.spec(width=128), 4)[:2] == [1, 2]


def test_what_was_measured_is_remembered_for_this_device(studio: Studio, tmp_path: Path) -> None:
    meter, file = Line(), tmp_path / "device" / "room.json"
    tried(BatchSizer(meter, file=file), meter, studio.spec(), 8)
    assert tried(BatchSizer(Line(), file=file), Line(), studio.spec(), 8) == [4, 4]
    other = Line(name="another card")
    assert tried(BatchSizer(other, file=file), other, studio.spec(), 8)[:2] == [1, 2]


def test_a_batch_that_did_not_fit_is_not_tried_again(studio: Studio) -> None:
    meter = Line()
    room = BatchSizer(meter)
    tried(room, meter, studio.spec(), 8)
    room.at_most(studio.spec(), 2)
    assert tried(room, meter, studio.spec(), 5) == [2, 2, 1]


def test_one_row_is_always_tried(studio: Studio) -> None:
    meter = Line(capacity=10)
    assert tried(BatchSizer(meter), meter, studio.spec(), 4) == [1, 2, 1]


def test_a_cpu_takes_what_comes(studio: Studio) -> None:
    assert BatchSizer(None).rows(studio.spec(), 8) == 8


def test_the_engine_makes_every_row_once_in_batches_that_fit(
    engine: Engine, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Line(capacity=900)
    monkeypatch.setattr(engine, "batch_sizer", BatchSizer(meter))
    hook = engine.models._base.unet.register_forward_hook(
        lambda m, given, out: setattr(meter, "rows", len(out[0]) // 2)
    )
    specs = [studio.spec(n, num_inference_steps=1) for n in range(8)]
    try:
        made = studio.render(engine, specs)
    finally:
        hook.remove()
    assert [row.digest for row in made] == [spec.digest for spec in specs]
    assert [row.batch_size for row in made] == [1, 2, 2, 3, 3, 3, 2, 2]
    assert all(row.error is None for row in made)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_measured(catalogue: ModelFiles, studio: Studio) -> None:
    engine = Engine(catalogue, device="cuda")
    made = studio.render(engine, [studio.spec(n) for n in range(6)])
    assert [row.batch_size for row in made] == [1, 2, 2, 3, 3, 3]
