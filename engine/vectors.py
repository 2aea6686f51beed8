"""What a picture is like, as the model that made it sees it: one vector from the denoiser, one from the prompt.

The picture's is the output of the UNet's middle block at the last step (h-space, arXiv 2210.10960), of the half that
the prompt conditions, as the mean over all places; the prompt's is the second text encoder's pooled embedding. Both
were computed anyway. A denoiser without a middle block gives no vector, and the image says so in its notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from schemas.likeness import PICTURE, PROMPT

if TYPE_CHECKING:
    from engine.batch_rows import BatchRow

Vector = NDArray[np.float32]

NONE_COMPUTED = "no vector of the picture: its denoiser does not show its middle block"
PART_SEEN = "no vector of the picture: its model saw only a part of it at a time"


class MiddleBlock:
    """The last output of a UNet's middle block."""

    def __init__(self) -> None:
        self.output: Tensor | None = None

    def __call__(self, module: Any, given: Any, output: Any) -> None:
        self.output = output if isinstance(output, Tensor) and output.ndim == 4 else None

    def vectors(self, rows: int, *, guided: bool) -> list[Vector] | None:
        """[channels] for each of `rows`; None without an output that has as many rows as guidance makes of them."""
        if self.output is None or self.output.shape[0] % rows:
            return None
        parts = self.output.shape[0] // rows  # negative, positive, perturbed: what there is of them, in this order
        start = rows if guided and parts > 1 else 0
        return list(self.output[start : start + rows].float().mean(dim=(2, 3)).cpu().numpy())


@contextmanager
def watch_middle_block(unet: Any) -> Iterator[MiddleBlock]:
    """Within it, the returned block keeps what the UNet's middle block said last."""
    middle, block = MiddleBlock(), getattr(unet, "mid_block", None)
    hook = block.register_forward_hook(middle) if block is not None else None
    try:
        yield middle
    finally:
        if hook is not None:
            hook.remove()


def list_vectors(middle: MiddleBlock, rows: Sequence[BatchRow], *, computed: int) -> list[dict[str, Vector]]:
    """By kind, for each row; `computed`: how many rows the batch had, those that filled it up included. A row without
    the picture's vector gets a note that says why."""
    seen = middle.vectors(computed, guided=rows[0].spec.guidance_scale > 1)
    found: list[dict[str, Vector]] = []
    for number, row in enumerate(rows):
        vectors: dict[str, Vector] = {}
        if row.tile is not None or row.whole is not None:
            row.notes += (PART_SEEN,)
        elif seen is None or not np.isfinite(seen[number]).all():
            row.notes += (NONE_COMPUTED,)
        else:
            vectors[PICTURE] = seen[number]
        if row.words is not None and row.words.positive.pooled is not None:
            vectors[PROMPT] = row.words.positive.pooled[0].float().cpu().numpy()
        found.append(vectors)
    return found
