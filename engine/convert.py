"""Pickles (.pth, .pt, .ckpt, .bin) to safetensors. The pickle is opened in another process: engine/unpickle.py."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import InputError, UnsafeWeights
from schemas.settings import ROOT
from schemas.weights.examine import examine_weights
from schemas.weights.identity import Identity

SLOWEST = 1800
"""Seconds for one file."""
PICKLED = (".pth", ".pt", ".ckpt", ".bin")


@dataclass(frozen=True)
class Conversion:
    """`left`: what the file held beside tensors. `network`: how it was kept away from the process that opened it."""

    source: Path
    target: Path
    source_sha256: str
    sha256: str
    tensors: int
    left: tuple[str, ...]
    network: str
    identity: Identity


def convert_pickle(source: Path, target: Path | None = None) -> Conversion:
    """Writes safetensors beside the file, with the pickle's digest in their metadata.

    Raises InputError for what cannot be converted or is there already, UnsafeWeights for a pickle that holds more than
    tensors and plain containers.
    """
    target = target or source.with_suffix(".safetensors")
    if source.suffix.lower() not in PICKLED or not source.is_file():
        raise InputError(f"{source}: one file of {', '.join(PICKLED)} is expected")
    if target.exists():
        raise InputError(f"{target} is there already; take it away, or give --out another name")
    with source.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as folder:
        made = Path(folder) / "weights.safetensors"
        told = _run(source, made, digest)
        if "refused" in told:
            raise UnsafeWeights(f"{source}: {_spoken(str(told['refused']))}; nothing was written")
        with made.open("rb") as opened:
            own = hashlib.file_digest(opened, "sha256").hexdigest()
        made.replace(target)
    identity = examine_weights(target)
    return Conversion(
        source,
        target,
        digest,
        own,
        int(str(told["tensors"])),
        tuple(map(str, told["left"])),
        str(told["network"]),
        identity,
    )


def _run(source: Path, made: Path, digest: str) -> dict[str, Any]:
    """With an empty environment: no credential and no address is in it."""
    command = [sys.executable, "-I", str(ROOT / "engine" / "unpickle.py"), str(source.resolve()), str(made), digest]
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SLOWEST,
            env=kept | {"OMP_NUM_THREADS": "1"},
            cwd=made.parent,
        )
    except subprocess.TimeoutExpired:
        raise UnsafeWeights(f"{source}: reading it took longer than {SLOWEST} seconds; nothing was written") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise UnsafeWeights(f"{source}: it could not be read ({last[:300]}); nothing was written")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _spoken(reason: str) -> str:
    """torch's page of advice as one sentence."""
    if match := re.search(r"Unsupported (?:global|class|operand)[: ]+(?:GLOBAL )?([\w.]+)", reason):
        return f"it holds {match[1]}, which is no tensor and could run code"
    return reason.split(". ")[0][:300]
