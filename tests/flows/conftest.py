"""One embedded Prefect API for the session, and both stacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flows.embedded import orchestration


@pytest.fixture(scope="session", autouse=True)
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `dailies run` starts too. Before anything imports prefect, which reads its environment once."""
    with orchestration(tmp_path_factory.mktemp("prefect")) as api:
        if api is not None:
            api.wait()
        yield
