"""A picture that somebody uploads to search by it: which image it is, and what is like it. It is not stored."""

from __future__ import annotations

import base64
import logging
import threading
from typing import Any

import streamlit as st

from review_app.appearance import escape_markdown, show_picture
from review_app.likeness import ALIKE, MOST, NEARLY_THE_SAME
from review_app.resources import open_resources
from review_app.search_model import open_search_model
from schemas.errors import InputError
from schemas.likeness import distance
from storage.ledger import LibraryPage
from storage.recognition import Trace, Uploaded, examine_upload

log = logging.getLogger(__name__)

ENDINGS = ["png", "jpg", "jpeg", "webp", "jxl", "tif", "tiff", "bmp", "exr"]
THIS_IMAGE = "This image"
HOW = {
    Trace.BYTES: "Every byte of it is that image's.",
    Trace.CREDENTIALS: "Its signed credentials name that image.",
    Trace.METADATA: "Its metadata names that image.",
    Trace.WATERMARK: "Its watermark names that image.",
}
_opening = threading.Lock()
"""One at a time in this process: a picture of the largest size takes half a gigabyte while it is opened."""
DIFFERS = "It looks different, though: it was edited, or says what is not so."


def show_upload(
    file: Any, words: list[str], *, project: str | None, approved: bool, colour: str | None
) -> list[tuple[str, list[LibraryPage]]] | None:
    """Titles with their images: the one that the file names, what is nearly the same picture, and what is like it.
    Above them, what was found out about the file. None where it cannot be read, which is said."""
    try:
        uploaded = _examine(file)
    except InputError as wrong:
        st.error(f"{escape_markdown(file.name[:120])}: {escape_markdown(wrong)}", icon=":material/broken_image:")
        return None
    ledger = open_resources().ledger
    filters: dict[str, Any] = {"project": project, "approved": approved, "colour": colour}
    left, right = st.columns([1, 10], vertical_alignment="center")
    with left:
        show_picture(f"data:image/webp;base64,{base64.b64encode(uploaded.preview).decode()}", "The uploaded picture")
    recognized = uploaded.recognized
    right.markdown(_explain(uploaded))
    own = ledger.library_of([recognized.image]) if recognized else []
    found = ledger.library(words, like=uploaded.phash, **filters, limit=MOST + 1)
    same = [page for page in found if page.phash and distance(uploaded.phash, page.phash) <= 1]
    if uploaded.vector is not None:
        near = open_search_model().space, uploaded.vector
        found = ledger.library(words, near_vector=near, **filters, limit=MOST + 1)
    shown = {page.image for page in own}
    same = [page for page in same if page.image not in shown]
    shown |= {page.image for page in same}
    rest = [page for page in found if page.image not in shown][:MOST]
    return [(THIS_IMAGE, own), (NEARLY_THE_SAME, same), (ALIKE if own or same else "", rest)]


def _examine(file: Any) -> Uploaded:
    """Once for each file: the page is drawn again at every click. Raises InputError."""
    kept = st.session_state.get("uploaded")
    if kept is None or kept[0] != file.file_id:
        at = open_resources()
        try:
            with st.spinner("Looking at the picture"), _opening:
                found: Uploaded | str = examine_upload(
                    file.getvalue(),
                    ledger=at.ledger,
                    limits=at.settings.limits,
                    encode=open_search_model().encode_picture,
                )
        except InputError as wrong:
            found = str(wrong)
        except (MemoryError, ValueError, OSError) as wrong:  # of a file made to be read wrongly
            log.warning("an uploaded picture could not be read: %s: %s", type(wrong).__name__, wrong)
            found = f"it cannot be read ({type(wrong).__name__})"
        st.session_state["uploaded"] = kept = file.file_id, found
    if isinstance(kept[1], str):
        raise InputError(kept[1])
    uploaded: Uploaded = kept[1]
    return uploaded


def _explain(uploaded: Uploaded) -> str:
    recognized, model = uploaded.recognized, open_search_model()
    if uploaded.vector is not None:
        how = f"The most alike first, as {escape_markdown(model.alias)} sees them."
    else:
        why = f" ({escape_markdown(model.why_not)})" if model.why_not else ""
        how = f"Only shapes and colours are compared, among the newest images{why}."
    if recognized is None:
        return f"Like the picture that you uploaded. No image of the ledger is named by it. {how}"
    picture = open_resources().ledger.picture(recognized.image)
    named = f"{picture.spec.project}, {picture.spec.asset}, {picture.spec.variant}"
    doubt = "" if recognized.is_alike else f" {DIFFERS}"
    return f"The picture that you uploaded leads to **{escape_markdown(named)}**. {HOW[recognized.trace]}{doubt} {how}"
