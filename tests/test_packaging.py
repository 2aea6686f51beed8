"""The project ships as an editable checkout, and says so to whoever asks for a wheel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("hook", ["build_wheel", "build_sdist"])
def test_only_an_editable_install_is_built(hook: str, tmp_path: Path) -> None:
    ask = f"import build_backend; build_backend.{hook}({str(tmp_path)!r})"
    path = {"PYTHONPATH": str(ROOT / "deploy")}
    asked = subprocess.run([sys.executable, "-c", ask], env=path, capture_output=True, text=True)
    assert asked.returncode and "pip install -e ." in asked.stderr and "Traceback" not in asked.stderr
    assert not list(tmp_path.iterdir())


def test_an_editable_install_is_built(tmp_path: Path) -> None:
    ask = f"import build_backend; print(build_backend.build_editable({str(tmp_path)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, env={"PYTHONPATH": str(ROOT / "deploy")}, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-500:]
    assert [file.suffix for file in tmp_path.iterdir()] == [".whl"]
