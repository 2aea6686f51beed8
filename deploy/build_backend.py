"""The build backend: setuptools for an editable checkout, and a refusal of anything else.

The review app's files, the migrations and the shipped models are read from the checkout, so a wheel would install
commands that fail later. `pip install -e .` works; `pip install .` and `pip wheel .` say why they do not.
"""

from __future__ import annotations

from typing import Any, NoReturn

from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
)

__all__ = ["build_editable", "build_sdist", "build_wheel", "get_requires_for_build_editable"]
__all__ += ["prepare_metadata_for_build_editable"]

REFUSAL = "Dailies runs from its checkout: got a request for a wheel or an archive; expected `pip install -e .`"


def build_wheel(*_: Any, **__: Any) -> NoReturn:
    raise SystemExit(REFUSAL)


def build_sdist(*_: Any, **__: Any) -> NoReturn:
    raise SystemExit(REFUSAL)
