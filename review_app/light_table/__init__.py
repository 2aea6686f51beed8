"""The light table: all that waits, of which the browser draws what is in view; chosen as in a file manager.

The page holds the order of everything and hands over the details of a window, PAGE images at a time. The component
answers with places in that order, never with names, and with the order's name, so that an act on an order that has
been replaced meanwhile is refused (review_app/screens/grid.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
SCRIPTS = ("selection.js", "rows.js", "bar.js", "light_table.js")
PAGE = 120
"""Images whose details come together."""


def _joined(*names: str) -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


_component = st.components.v2.component(
    "dailies_light_table", html=_joined("light_table.html"), css=_joined("light_table.css"), js=_joined(*SCRIPTS)
)


def light_table(data: dict[str, Any], *, key: str) -> Any:
    """`data`: order (its name), total, sections ({title, images}), pages (page number -> tiles), reasons, may_decide,
    told (sentences on the last act).

    Returns the component's answer: `window` ({order, pages}: what it lacks), and for one run `act` ({order, name,
    ranges, reasons, note}) or `open` ({order, place}).
    """
    return _component(
        key=key,
        data=data,
        on_window_change=lambda: None,
        on_act_change=lambda: None,
        on_open_change=lambda: None,
    )
