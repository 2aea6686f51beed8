"""Images that are like one: what the page shows of it, how likeness is told, and which are nearly the same picture."""

from __future__ import annotations

from typing import Any

import streamlit as st

from review_app.appearance import escape_markdown, format_age, show_picture
from review_app.resources import open_resources
from review_app.search_model import open_search_model
from schemas.likeness import SEARCH, distance
from storage.ledger import LibraryPage

MOST, MEANT, FURTHER = 120, 60, 24
"""Images that are shown: in all, by the meaning of words, and beyond the words without a model that reads them."""
BEYOND_WORDS, BY_MEANING = "Most like these, without the words", "By what the words mean"
NEARLY_THE_SAME, ALIKE = "Nearly the same picture", "Alike"


def make_page_tile(page: LibraryPage) -> dict[str, Any]:
    return {
        "id": page.image,
        "thumb": open_resources().links.to(page.thumb_key),
        "name": page.asset,
        "state": str(page.verdict or "waiting"),
        "about": f"{page.project} · {page.asset} · {page.variant} · made {format_age(page.made_at)}",
    }


def show_likeness(
    image: str, words: list[str], *, project: str | None, approved: bool, colour: str | None
) -> list[tuple[str, list[LibraryPage]]]:
    """Titles with their images, nearest first, `image` left out; above them, which image it is and how likeness is
    told."""
    ledger = open_resources().ledger
    picture = ledger.picture(image)
    seen, phash = ledger.vector_kind(image), picture.image.phash
    filters: dict[str, Any] = {"project": project, "approved": approved, "colour": colour, "limit": MOST + 1}
    left, middle, right = st.columns([1, 8, 2], vertical_alignment="center")
    with left:
        show_picture(open_resources().links.to(picture.image.thumb_key), picture.spec.asset)
    middle.markdown(f"Like **{escape_markdown(picture.spec.asset)}**. {_explain(seen, phash)}")
    if right.button("Show all again"):
        del st.query_params["like"]
        st.rerun()
    if seen:
        found = ledger.library(words, near=image, **filters)
    elif phash:
        found = ledger.library(words, like=phash, **filters)
    else:
        return []
    found = [page for page in found if page.image != image][:MOST]
    same = [page for page in found if phash and page.phash and distance(phash, page.phash) <= 1]
    rest = [page for page in found if page not in same]
    return [(NEARLY_THE_SAME, same), (ALIKE if same else "", rest)]


def list_beyond_words(
    words: str, *, project: str | None, approved: bool, colour: str | None
) -> tuple[str, list[LibraryPage]]:
    """A title, and what the words mean beyond where they are written: to the studio's model for searching, or to the
    models that made the images with these words."""
    ledger, model = open_resources().ledger, open_search_model()
    filters: dict[str, Any] = {"project": project, "approved": approved, "colour": colour}
    if not model.why_not:
        with st.spinner("Reading the words"):
            vector = model.encode_words(words)
        if vector is not None:
            found = ledger.library_by_meaning(words.split(), model.space, vector, **filters, limit=MEANT)
            if found:  # else no image has a vector of this model yet
                return BY_MEANING, found
    return BEYOND_WORDS, ledger.library_beyond_words(words.split(), **filters, limit=FURTHER)


def explain_words(title: str) -> str:
    """How words were looked for, for the foot of the page. `title`: that of `list_beyond_words`, or ""."""
    model = open_search_model()
    if title == BY_MEANING:
        return f"{escape_markdown(model.alias)} reads what the words mean."
    if not title and not model.why_not:
        return ""
    why = model.why_not or f"no image here has a vector of {model.alias} yet (`dailies models embed`)"
    return f"Words are looked for as they are written: {escape_markdown(why)}."


def _explain(seen: str, phash: str | None) -> str:
    if seen == SEARCH:
        return "The most alike first, as the studio's model for searching sees them."
    if seen:
        return (
            "The most alike first, as the model that made it sees them. *By colour* finds the same in another colour."
        )
    if phash:
        return (
            "It was not made here, or before what models see was kept: only shapes and colours are compared, among the "
            "newest images."
        )
    return "Nothing is known of it that could be compared: it was not made here, and its checks were switched off."
