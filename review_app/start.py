"""The script that Streamlit runs for every session and rerun: look, who is there, which page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from review_app.addresses import link_key
from review_app.appearance import apply_style, escape_markdown, show_outage
from review_app.auth import current_user, remember
from review_app.talk import title_feed
from schemas.errors import DailiesError

st.set_page_config(page_title="Dailies", page_icon=str(Path(__file__).with_name("icon.png")), layout="wide")
apply_style()

person = current_user()
if person is not None:
    remember(person)
    screens = {
        "inbox": "Inbox",
        "grid": "Grid",
        "playlists": "Playlists",
        "conflicts": "Conflicts",
        "assets": "Assets",
        "submit": "Submit",
        "nights": "Nights",
        "decisions": "Decisions",
        "insights": "Insights",
        "library": "Library",
    }
    pages = [
        st.Page(f"screens/{name}.py", title=title, url_path=name, default=name == "inbox")
        for name, title in screens.items()
    ]
    pages.append(st.Page("screens/for_you.py", title=title_feed(person), url_path="for_you"))
    pages.append(
        st.Page("screens/you.py", title=escape_markdown(person.name), icon=":material/person:", url_path="you")
    )
    try:
        page = st.navigation(pages, position="top")
        if page.url_path:  # the Inbox copies links itself
            link_key()
        page.run()
    except DailiesError as trouble:
        show_outage(trouble)
