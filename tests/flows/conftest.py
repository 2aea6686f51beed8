"""One embedded Prefect API for the session, and a studio on either stack."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from flows.embedded import QUIET, start_orchestration
from tasks.parts import Parts
from tests.conftest import Stack
from tests.flows.studio import parts_of

os.environ.update(QUIET)  # before a test module imports prefect


@pytest.fixture(scope="session", autouse=True)
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `dailies run` starts too. Prefect reads its environment once, and a test module may have imported it by now,
    so it is told again; else it would start a temporary server beside this one."""
    with start_orchestration(tmp_path_factory.mktemp("prefect")) as api:
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

        if api is None:
            yield
            return
        api.wait()
        names = {PREFECT_API_URL: "PREFECT_API_URL", PREFECT_API_AUTH_STRING: "PREFECT_API_AUTH_STRING"}
        with temporary_settings(updates={setting: os.environ[name] for setting, name in names.items()}):
            yield


@pytest.fixture
def parts(stack: Stack) -> Parts:
    return parts_of(stack.settings, stack.ledger, stack.store)


@pytest.fixture
def local(local_stack: Stack) -> Parts:
    """One stack only, for what does not depend on it."""
    return parts_of(local_stack.settings, local_stack.ledger, local_stack.store)
