"""Two passes told as one picture, the same way by both that make two passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from engine import hires, seam_repair
from engine.diffuse import Engine
from engine.rendered import Rendered, combine
from schemas.spec import Hires, ImageSpec, SeamRepair
from tests.engine.conftest import Studio
from tests.engine.test_seam_repair import KEY, SLOPE

PASSES: dict[str, tuple[Callable[..., list[Rendered]], dict[str, Any], dict[str, Any]]] = {
    "hires": (
        hires.render_two_passes,
        {"hires": Hires(width=32, height=24, strength=0.5)},
        {"by": None, "sources": SLOPE},
    ),
    "seam repair": (seam_repair.repair_seams, {"seam_repair": SeamRepair(strength=0.5)}, {"sources": SLOPE}),
}


@pytest.mark.parametrize("name", PASSES)
def test_stages_of_both_passes_are_summed(engine: Engine, studio: Studio, name: str) -> None:
    both, fields, pictures = PASSES[name]
    spec = studio.spec(0, source=KEY, strength=0.5, num_inference_steps=2, **fields)
    passes: list[Rendered] = []

    def render(specs: Sequence[ImageSpec], **given: Any) -> list[Rendered]:
        """The engine's own; the first pass has a stage, and the second another, that the other one lacks."""
        rows = engine.render(specs, **given)
        rows = [
            replace(row, timings=row.timings | {f"only {len(passes)}": 1.0}, notes=("both", f"pass {len(passes)}"))
            for row in rows
        ]
        passes.append(rows[0])
        return rows

    (made,) = both(render, [spec], conditions={}, **pictures)
    assert len(passes) == 2 and made.error is None
    assert made.digest == spec.digest
    assert made.timings == combine(*passes, digest="").timings
    assert made.timings["only 0"] == made.timings["only 1"] == 1.0
    assert made.timings["denoise"] == passes[0].timings["denoise"] + passes[1].timings["denoise"]
    assert made.notes == ("both", "pass 0", "pass 1")
