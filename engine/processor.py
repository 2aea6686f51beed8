"""This machine's processor: its name, and those of its abilities that decide how fast a network is on it."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

ABILITIES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")


@cache
def read_processor() -> tuple[str, tuple[str, ...]]:
    """Its name and which of ABILITIES it has; Linux tells both, elsewhere the abilities are not known."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    flags = set(fields.get("flags", "").split())
    name = fields.get("model name") or platform.processor() or platform.machine()
    model = fields.get("model", "")
    return (f"{name}, model {model}" if model else name), tuple(flag for flag in ABILITIES if flag in flags)


def has_bfloat16_units() -> bool:
    """Whether this processor multiplies matrices of bfloat16 in units of their own, as graphics cards do. Without them
    it takes many times as long as float32 does."""
    return "amx_bf16" in read_processor()[1]
