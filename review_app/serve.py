"""The review app as an ASGI application: Streamlit's own routes, the one for pictures, and those for probes."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamlit.starlette import App

from review_app import client_page, lit_preview
from review_app.compressed import CompressedScripts
from review_app.gate import LOCAL, Gate
from review_app.health import healthz, readyz
from review_app.links import answer_picture
from review_app.mention_news import start_telling
from review_app.resources import open_resources
from schemas.errors import SettingsError
from schemas.logs import start_logs
from schemas.settings import Settings

HERE = Path(__file__).resolve().parent


async def serve_object(request: Request) -> Response:
    """GET /objects/<key>"""
    asked = request.query_params
    until, sign = asked.get("until", ""), asked.get("sign", "")
    return await run_in_threadpool(answer_picture, open_resources().links, request.path_params["key"], until, sign)


ROUTES = [
    Route("/objects/{key:path}", serve_object, methods=["GET"]),
    Route("/healthz", healthz, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
    *client_page.ROUTES,
    *lit_preview.ROUTES,
]
EVERYWHERE = ("0.0.0.0", "::", "")


def serve(*, port: int = 8501, address: str = "127.0.0.1") -> None:
    """Serves until it is stopped. Streamlit finds .streamlit/config.toml beside the file that argv names.

    SettingsError when other machines could reach it although nobody signs in and no name was allowed.
    """
    sys.argv = [str(HERE / "__main__.py")]
    settings = Settings()
    start_logs(settings.log_format, level=logging.WARNING)
    hosts = allowed_hosts(settings, address=address, sign_in=sign_in_is_configured())
    if warning := open_warning(address=address, sign_in=sign_in_is_configured()):
        print(warning, file=sys.stderr, flush=True)
    start_telling(lambda: open_resources().ledger, settings)
    app = App(
        HERE / "start.py", routes=ROUTES, middleware=[Middleware(Gate, hosts=hosts), Middleware(CompressedScripts)]
    )
    app.run(config={"server.port": port, "server.address": address, "server.headless": True})


def sign_in_is_configured() -> bool:
    """Whether Streamlit's secrets have an [auth] section."""
    from streamlit.auth_util import get_secrets_auth_section

    return bool(get_secrets_auth_section())


def allowed_hosts(settings: Settings, *, address: str, sign_in: bool) -> tuple[str, ...] | None:
    """Names under which the app answers; None: all of them."""
    if sign_in:
        return (*settings.review_hosts, *LOCAL) if settings.review_hosts else None
    if not _is_local(address) and not settings.review_hosts:
        raise SettingsError(
            f"--address {address}: everybody who reaches this machine could review, since nobody signs in. "
            "Switch sign-in on (docs/deploy.md), or name the hosts under which it may be reached: "
            'review_hosts = ["dailies.lan"] in dailies.toml'
        )
    own = () if address in EVERYWHERE else (f"[{address}]" if ":" in address else address,)
    return (*own, *settings.review_hosts, *LOCAL)


def open_warning(*, address: str, sign_in: bool) -> str:
    """Said at the start when other machines can reach an app that asks nobody to sign in."""
    if sign_in or _is_local(address):
        return ""
    return (
        f"WARNING: nobody signs in, and the app listens on {address}: whoever reaches it can review under any name. "
        "docs/deploy.md says how to switch sign-in on."
    )


def _is_local(address: str) -> bool:
    return address in ("localhost", "::1") or address.startswith("127.")
