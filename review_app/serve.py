"""The review app as an ASGI application: Streamlit's own routes and the one for pictures."""

from __future__ import annotations

import sys
from pathlib import Path

from starlette.routing import Route
from streamlit.starlette import App

from review_app.links import objects

HERE = Path(__file__).resolve().parent

app = App(HERE / "start.py", routes=[Route("/objects/{key:path}", objects, methods=["GET"])])


def serve(*, port: int = 8501, address: str = "127.0.0.1") -> None:
    """Serves until it is stopped. Streamlit finds .streamlit/config.toml beside the file that argv names."""
    sys.argv = [str(HERE / "__main__.py")]
    app.run(config={"server.port": port, "server.address": address, "server.headless": True})
