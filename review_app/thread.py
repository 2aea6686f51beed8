"""What was said of one image, in a page of Streamlit's: the comments, and the field for another."""

from __future__ import annotations

import secrets
from html import escape

import streamlit as st
from pydantic import ValidationError

from review_app.appearance import escape_markdown, format_age
from review_app.auth import Person, find_role
from review_app.resources import open_resources
from review_app.talk import list_role_holders
from schemas.comments import LONGEST, NewComment
from schemas.errors import LedgerError
from schemas.review import spell_errors
from storage.ledger import ImageDetails, Said

FOLDED = 1_000
"""Characters from which a comment is folded."""


def show_thread(picture: ImageDetails, person: Person) -> None:
    """Comments on the image and on those that it was made from, oldest first; what is shown here counts as read."""
    digest, ledger = picture.image.digest, open_resources().ledger
    comments = ledger.comments([digest], reader=person.name, blind_to=person.blind_to).get(digest, [])
    if not comments and not person.may_decide:
        return
    st.subheader(f"Comments ({len(comments)})" if comments else "Comments", anchor=False)
    for said in comments:
        with st.container(border=True, gap="small"):
            _show(said, digest, person.name)
    if fresh := [said.id for said in comments if said.unread]:
        ledger.read_comments(person.name, fresh)
    if person.may_decide:
        with st.container(key="say"):
            _ask(digest, person)


def _show(said: Said, digest: str, reader: str) -> None:
    of = "" if said.image == digest else f", on take {said.take}"
    new = " · **new**" if said.unread else ""
    st.caption(f"**{escape_markdown(said.author)}** {escape_markdown(format_age(said.written_at) + of)}{new}")
    show_words(said.text)
    if said.mentions:
        names = ", ".join("you" if name == reader else name for name in said.mentions)
        st.caption(escape_markdown(f"Tells {names}"))
    if said.unknown:
        st.caption(escape_markdown(explain_unknown(said.unknown)))


def show_words(text: str, *, limit: int = FOLDED) -> None:
    """A comment as it was written, whatever its script's direction; a long one is folded."""
    if len(text) <= limit:
        st.html(_words(text))
        return
    rest = f"<details><summary>All of its {len(text):,} characters</summary>{_words(text)}</details>"
    st.html(_words(text[: limit // 2].rstrip() + "…") + rest)


def _words(text: str) -> str:
    looks = "margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate"
    return f'<p dir="auto" style="{looks}">{escape(text)}</p>'


def explain_unknown(names: tuple[str, ...]) -> str:
    called = ", ".join(f"“{name}”" for name in names)
    return f"Not told: {called}. Nobody here has that name, or several have."


def _ask(digest: str, person: Person) -> None:
    """The field. Its words stay in it until they are recorded."""
    field, token = f"comment-{digest}", f"token-{digest}"
    st.session_state.setdefault(token, secrets.token_hex(8))
    st.text_area(
        "Your comment",
        key=field,
        max_chars=LONGEST,
        height=90,
        placeholder="For all who see it next; @name tells somebody",
    )
    st.button("Comment", icon=":material/add_comment:", on_click=_write, args=(digest, field, token, person.name))
    if wrong := st.session_state.pop(f"wrong-{digest}", ""):
        st.error(escape_markdown(wrong))


def _write(digest: str, field: str, token: str, name: str) -> None:
    """A callback, since only one may empty the field."""
    try:
        text, once = st.session_state.get(field, ""), st.session_state[token]
        new = NewComment(image=digest, text=text, token=once)
        open_resources().ledger.comment(new, author=name, role=find_role(name), people=list_role_holders())
    except ValidationError as wrong:
        st.session_state[f"wrong-{digest}"] = f"Comment not recorded: {spell_errors(wrong)}"
    except LedgerError as wrong:
        st.session_state[f"wrong-{digest}"] = f"Comment not recorded: {wrong}"
    else:
        st.session_state[field] = ""
        del st.session_state[token]
