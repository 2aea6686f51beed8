"""What makes one image slower than another: the key by which the ledger's history is asked for the next night's."""

from __future__ import annotations

from schemas.spec import Approximation, Hires, ImageSpec, Task

Second = tuple[int, int, int, int]
"""Of an image in two passes: width and height of the first one, steps that the second one runs, px of its windows"""
PaceKey = tuple[str, int, int, int, str, int, Second | None, Approximation | None]
"""model alias, width, height, steps that are run, task, number of controls, second pass, approximation (None: none)"""


def make_pace_key(spec: ImageSpec) -> PaceKey:
    alias, task = spec.model.alias, spec.task.value
    steps = spec.num_inference_steps
    if spec.task not in (Task.TXT2IMG, Task.IMPORT):
        steps = _run(steps, 0.5 if spec.strength is None else spec.strength)
    return (
        alias,
        spec.width,
        spec.height,
        steps,
        task,
        len(spec.controls),
        _second(spec, spec.hires),
        spec.approximation,
    )


def _second(spec: ImageSpec, hires: Hires | None) -> Second | None:
    if hires is None and spec.seam_repair is not None:
        return spec.width, spec.height, _run(spec.num_inference_steps, spec.seam_repair.strength), 0
    if hires is None:
        return None
    steps = _run(hires.num_inference_steps or spec.num_inference_steps, hires.strength)
    return hires.width, hires.height, steps, hires.tile or 0


def _run(steps: int, strength: float) -> int:
    """img2img begins on the way: strength x steps, rounded down, as diffusers' pipelines count them."""
    return max(1, min(int(steps * strength), steps))
