"""The parts of one process."""

from __future__ import annotations

import gc
from pathlib import Path

from schemas.settings import Settings
from tasks.parts import open_parts


def test_only_what_was_imported_is_kept_from_the_collector(tmp_path: Path) -> None:
    """Not what an engine before has loaded, which has to be let go when it drops its models."""
    settings = Settings(home=tmp_path, device="cpu")
    first = open_parts(settings)
    assert first.engine is first.engine
    frozen = gc.get_freeze_count()
    assert open_parts(settings).engine is not first.engine
    assert gc.get_freeze_count() == frozen
    assert gc.isenabled()
