"""A pickle of tensors -> safetensors, in a process of its own. Run by engine/convert.py; nothing imports it.

    python -I engine/unpickle.py FILE OUT SHA256

It gives up the network, privileges and memory beyond what is needed before it opens FILE, and then reads it with
torch's `weights_only` loader, which makes tensors and plain containers and calls nothing else. What it found goes to
stdout as one line of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

NEWUSER, NEWNET, NO_NEW_PRIVS = 0x10000000, 0x40000000, 38
NESTED = ("state_dict", "params_ema", "params-ema", "params", "model_state_dict", "module", "generator")
"""Keys under which trainers keep the weights, beside their own notes."""


def shut_in(size: int) -> str:
    """How the network is kept away, as a word. `size`: bytes of the file."""
    kept = "an audit hook"
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.unshare(NEWNET) == 0 or libc.unshare(NEWUSER | NEWNET) == 0:
            kept = "a network namespace of its own"
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (24 * 2**30 + 4 * size,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 * size + 2**20,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")):
            raise PermissionError(f"{event} is not allowed here")

    sys.addaudithook(refuse)
    return kept


def weights_in(body: Any) -> Any:
    """What holds the tensors: a trainer's file has it under one of NESTED, a textual inversion of A1111 in two."""
    while isinstance(body, Mapping):
        words = body.get("string_to_param")
        if words is not None and hasattr(words, "items"):
            return {"emb_params": next(iter(dict(words.items()).values()))}
        inner = next((body[name] for name in NESTED if isinstance(body.get(name), Mapping)), None)
        if inner is None:
            return body
        body = inner
    return body


def tensors_in(body: Any, torch: Any) -> tuple[dict[str, Any], list[str]]:
    """(tensors by key, keys of whatever else is there)"""
    tensors, left, seen = {}, [], set()
    for name, value in flat(body):
        if isinstance(value, torch.Tensor) and not value.is_quantized and not value.is_sparse:
            whole = value.detach().cpu().contiguous()
            if whole.untyped_storage().data_ptr() in seen or whole.untyped_storage().nbytes() != whole.nbytes:
                whole = whole.clone()
            seen.add(whole.untyped_storage().data_ptr())
            tensors[name] = whole
        else:
            left.append(name)
    return tensors, left


def flat(body: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(body, Mapping):
        for name, value in body.items():
            yield from flat(value, f"{at}.{name}" if at else str(name))
    else:
        yield at or "value", body


def main(source: str, target: str, sha256: str) -> dict[str, Any]:
    import torch
    from safetensors.torch import save_file
    from torch.nn import ParameterDict

    network = shut_in(os.path.getsize(source))
    torch.serialization.add_safe_globals(
        [ParameterDict]
    )  # of the first textual inversions; holds tensors, runs nothing
    try:
        body = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as wrong:
        return {"refused": " ".join(str(wrong).split())[:2000], "network": network}
    tensors, left = tensors_in(weights_in(body), torch)
    if not tensors:
        return {"refused": f"it holds no tensors, but {type(body).__name__}", "network": network}
    save_file(
        tensors, target, {"format": "pt", "dailies.source": os.path.basename(source), "dailies.source_sha256": sha256}
    )
    return {"tensors": len(tensors), "left": left, "network": network}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4])))
