"""The reviewing screen: one Streamlit component of our own, from the HTML, CSS and JavaScript files beside this one.

No build step and nothing from a network: the files are joined into one module in the order of SCRIPTS. What the
screen is told and what it answers is described in review_app/deck.py and review_app/review_session.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
SCRIPTS = (
    "types.js", "deck.js", "outbox.js", "stage.js", "looking.js", "colour.js", "evidence.js", "inspect.js", "panes.js",
    "lit_scene.js", "lit.js",
    "drawing.js", "pointers.js", "panel.js", "comments.js", "names.js", "ratings.js", "address.js", "ask.js", "keys.js",
    "palette.js", "hints.js", "acts.js", "viewer.js",
)  # fmt: skip


def _joined(*names: str) -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


_component = st.components.v2.component(
    "dailies_viewer", html=_joined("viewer.html"), css=_joined("viewer.css"), js=_joined(*SCRIPTS)
)


def viewer(data: dict[str, Any], *, key: str) -> None:
    """Shows the screen. Its answers are in `st.session_state[key]["sync"]` at the next run."""
    _component(key=key, data=data, on_sync_change=lambda: None)
