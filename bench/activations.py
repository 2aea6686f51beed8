"""Most memory in use during one forward pass of SDXL's parts, counted without doing it: engine/memory.py's figures.

    python -m bench.activations

Fake tensors go through the real networks: shapes and lifetimes are true, there is no data and no arithmetic. Attention
counts as a fused kernel does, convolutions without a library's workspace, the allocator without its gaps.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench import sdxl

MEGA = 2**20


class Live(TorchDispatchMode):
    """Bytes of every storage made within it that is still there; `most` at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {
            leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)
        }
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                key = storage._cdata
                if key not in given and key not in self._known:
                    self._known[key] = storage.nbytes()
                    self.now += storage.nbytes()
                    self.most = max(self.most, self.now)
                    weakref.finalize(storage, self._gone, key)
        return made

    def _gone(self, key: int) -> None:
        self.now -= self._known.pop(key, 0)


def counted(make: Callable[[], Callable[[], Any]]) -> int:
    """`make` builds the network and its inputs and returns the pass."""
    with FakeTensorMode(), torch.inference_mode():
        run = make()
        with Live() as live:
            run()
    return live.most


def main() -> None:
    print(f"{'1024 x 1024':34} {'MiB':>8}")
    for dtype in (torch.bfloat16, torch.float32):
        word = str(dtype).removeprefix("torch.")
        where: dict[str, Any] = {"device": torch.device("cpu"), "dtype": dtype}

        def unet(rows: int, where: dict[str, Any] = where) -> Callable[[], Any]:
            network, given = sdxl.unet(sdxl.SDXL, **where), sdxl.inputs(sdxl.SDXL, rows, **where)
            return lambda: network(**given)

        def controlnet(rows: int, where: dict[str, Any] = where) -> Callable[[], Any]:
            network, given = sdxl.controlnet(sdxl.SDXL, **where), sdxl.inputs(sdxl.SDXL, rows, **where)
            condition = torch.rand(rows, 3, 1024, 1024, **where)
            return lambda: network(**given, controlnet_cond=condition)

        def decoder(rows: int, where: dict[str, Any] = where) -> Callable[[], Any]:
            network, latents = sdxl.autoencoder(sdxl.SDXL, **where), torch.randn(rows, 4, 128, 128, **where)
            return lambda: network.decode(latents)

        def encoder(rows: int, where: dict[str, Any] = where) -> Callable[[], Any]:
            network, image = sdxl.autoencoder(sdxl.SDXL, **where), torch.randn(rows, 3, 1024, 1024, **where)
            return lambda: network.encode(image)

        for part in (unet, controlnet, decoder, encoder):
            for rows in (1, 2):
                print(f"{part.__name__}, {rows} rows, {word:20} {counted(partial(part, rows)) / MEGA:8.0f}")


if __name__ == "__main__":
    main()
