"""What makes one image slower than another: the key by which the ledger's history is asked for the next night's."""

from __future__ import annotations

from schemas.spec import ImageSpec

PaceKey = tuple[str, int, int, int, str, int]
"""model alias, width, height, num_inference_steps, task, number of controls"""


def pace_key(spec: ImageSpec) -> PaceKey:
    alias, task = spec.model.alias, spec.task.value
    return alias, spec.width, spec.height, spec.num_inference_steps, task, len(spec.controls)
