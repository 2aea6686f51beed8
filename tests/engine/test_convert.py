"""Pickles as they are traded become safetensors in another process; those that would run code are refused unrun."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.convert import convert_pickle
from engine.unpickle import weights_in
from schemas.errors import InputError, UnsafeWeights
from schemas.settings import ROOT
from schemas.weights.header import remember_header
from tests import shelf

UPSCALER = {name: torch.randn(*shape).half() for name, shape in shelf.ESRGAN.items()}
SHARED = torch.randn(4, 768)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil-was-here",)


@pytest.mark.parametrize(
    ("name", "body", "kind", "kept", "left"),
    [
        ("esrgan.pth", {"params_ema": UPSCALER, "iteration": 5}, "upscaler", UPSCALER, ()),
        (
            "word.pt",
            {"string_to_token": {"*": 265}, "string_to_param": torch.nn.ParameterDict({"*": SHARED}), "name": "word"},
            "embedding", {"emb_params": SHARED}, (),
        ),
        (
            "tied.ckpt", {"state_dict": {"a": SHARED, "b": SHARED.T, "c": SHARED[1], "name": "x"}}, "unknown",
            {"a": SHARED, "b": SHARED.T, "c": SHARED[1]}, ("name",),
        ),
    ],
)  # fmt: skip
def test_tensors_are_kept_to_the_bit_with_both_digests(
    tmp_path: Path, name: str, body: dict[str, Any], kind: str, kept: dict[str, torch.Tensor], left: tuple[str, ...]
) -> None:
    source = tmp_path / name
    torch.save(body, source)
    done = convert_pickle(source)
    weights = load_file(done.target)
    assert all(torch.equal(weights[key], value) for key, value in kept.items())
    assert done.identity.kind == kind and done.left == left
    assert done.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert done.sha256 == hashlib.sha256(done.target.read_bytes()).hexdigest()
    assert remember_header(done.target).metadata["dailies.source_sha256"] == done.source_sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, done.target.name])
    with pytest.raises(InputError, match="is there already"):
        convert_pickle(source)


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.pt").write_bytes(pickle.dumps({"a": Evil()}, protocol=0))
    torch.save({"state_dict": {"a": torch.ones(2)}, "x": Evil()}, tmp_path / "zip.pth")
    for name in ("raw.pt", "zip.pth"):
        with pytest.raises(UnsafeWeights, match=rf"{name}: .*nothing was written"):
            convert_pickle(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw.pt", "zip.pth"]


def test_what_is_no_pickle_of_tensors_is_said(tmp_path: Path) -> None:
    torch.save({"a": "b"}, tmp_path / "words.ckpt")
    with pytest.raises(UnsafeWeights, match=r"words.ckpt: it holds no tensors, but dict; nothing was written"):
        convert_pickle(tmp_path / "words.ckpt")
    (tmp_path / "x.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match=r"one file of \.pth"):
        convert_pickle(tmp_path / "x.safetensors")
    assert (
        weights_in(OrderedDict(UPSCALER)) == UPSCALER and weights_in({"params": {"params_ema": UPSCALER}}) == UPSCALER
    )


def test_the_process_that_opens_it_reaches_no_network() -> None:
    code = (
        "import json, runpy, socket; m = runpy.run_path('engine/unpickle.py'); kept = m['shut_in'](10)\n"
        "try: socket.create_connection(('127.0.0.1', 9), timeout=2); said = 'connected'\n"
        "except PermissionError as wrong: said = str(wrong)\n"
        "print(json.dumps([kept, said]))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    kept, said = json.loads(done.stdout)
    assert "not allowed here" in said and kept in ("a network namespace of its own", "an audit hook")
