"""/healthz: this process answers. /readyz: the database and the object store answer it too."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schemas.errors import DailiesError


async def healthz(_request: Request) -> Response:
    return JSONResponse({"ok": True}, headers={"Cache-Control": "no-store"})


async def readyz(_request: Request) -> Response:
    """200 with every part "ok", or 503 with the kind of trouble; addresses and names are not said."""
    parts = await run_in_threadpool(lambda: {"database": _state(_ask_database), "store": _state(_ask_store)})
    ready = all(state == "ok" for state in parts.values())
    return JSONResponse(
        {"ok": ready, **parts}, status_code=200 if ready else 503, headers={"Cache-Control": "no-store"}
    )


def _state(ask: Callable[[], object]) -> str:
    try:
        ask()
    except DailiesError as trouble:
        return type(trouble).__name__
    return "ok"


def _ask_database() -> None:
    from review_app.resources import open_resources

    with open_resources().ledger.reading() as session:
        session.execute(text("SELECT 1 FROM alembic_version"))


def _ask_store() -> None:
    from review_app.resources import open_resources

    open_resources().store.exists("reports/ready")
