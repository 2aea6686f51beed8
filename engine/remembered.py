"""What was measured once and is kept in a JSON file for the next process: digests, peaks, kernels."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read_remembered(file: Path | None) -> dict[str, Any]:
    """Empty where there is no such file, and where it is broken: all that it held can be measured again."""
    try:
        body = json.loads(file.read_text(encoding="utf-8")) if file is not None and file.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def write_remembered(file: Path, body: dict[str, Any]) -> None:
    """In one step, so that no process reads half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    new.replace(file)
