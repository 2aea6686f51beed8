"""Contact sheets as one Streamlit component: thumbnails by URL, takes of one line side by side, one or many chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent

_component = st.components.v2.component(
    "dailies_sheet",
    html=(HERE / "sheet.html").read_text(encoding="utf-8"),
    css=(HERE / "sheet.css").read_text(encoding="utf-8"),
    js=(HERE / "sheet.js").read_text(encoding="utf-8"),
)


def sheet(groups: list[dict[str, Any]], *, key: str, many: bool = False, empty: str = "Nothing here yet.") -> list[str]:
    """`groups`: {title, lines: [[tile, ...], ...]}; tile: {id, thumb, name, state, about}. A line is takes in order.

    Returns the ids that are chosen: with `many` all of them, else the one that was just clicked.
    """
    data = {"groups": groups, "many": many, "empty": empty}
    found = _component(key=key, data=data, on_open_change=lambda: None, on_chosen_change=lambda: None)
    if many:
        return list((found.chosen or {}).get("ids", []))
    return [found.open["id"]] if found.open else []
