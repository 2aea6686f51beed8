"""The script that Streamlit runs for every session and rerun: look, who is there, which page."""

from __future__ import annotations

import streamlit as st

from review_app.look import dress, outage
from review_app.who import someone
from schemas.errors import DailiesError

st.set_page_config(page_title="Dailies", page_icon=":material/photo_library:", layout="wide")
dress()

if someone() is not None:
    screens = {
        "inbox": "Inbox",
        "assets": "Assets",
        "submit": "Submit",
        "nights": "Nights",
        "decisions": "Decisions",
    }
    pages = [
        st.Page(f"screens/{name}.py", title=title, url_path=name, default=name == "inbox")
        for name, title in screens.items()
    ]
    try:
        st.navigation(pages, position="top").run()
    except DailiesError as trouble:
        outage(trouble)
