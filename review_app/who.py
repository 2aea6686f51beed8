"""Who is looking. On one machine a name, asked once and kept in a cookie; with OIDC (st.login) the person signed in.

The role is asked for anew at every decision (`role_of`), so that a right taken away is gone at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

import streamlit as st

from review_app.studio import studio

COOKIE = "dailies_reviewer"


@dataclass(frozen=True)
class Person:
    name: str
    role: str = "reviewer"

    @property
    def may_decide(self) -> bool:
        return self.role in ("reviewer", "lead", "admin")

    @property
    def leads(self) -> bool:
        return self.role in ("lead", "admin")


def someone() -> Person | None:
    """The person at this screen; None after showing what asks for one."""
    name = st.session_state.get("reviewer", "")
    if not name and not st.session_state.get("left"):
        name = studio().settings.reviewer or _remembered()
    if name:
        st.session_state["reviewer"] = name
        return Person(name, role_of(name))
    _ask_name()
    return None


def role_of(name: str) -> str:
    """The role of this person now."""
    settings = studio().settings
    return settings.roles.get(name, settings.default_role)


def _remembered() -> str:
    return unquote(st.context.cookies.get(COOKIE, "")).strip()[:80]


def _ask_name() -> None:
    st.title("Who is looking?")
    st.write("Your name is written beside every decision. This browser will remember it.")
    with st.form("name", width=420):
        name = st.text_input("Your name", max_chars=80, autocomplete="name")
        if st.form_submit_button("Start reviewing", type="primary") and name.strip():
            st.session_state["reviewer"] = " ".join(name.split())
            st.rerun()


_remember = st.components.v2.component(
    "dailies_remember",
    js="""export default function({ data }) {
      const year = 31536000;
      document.cookie = `${data.cookie}=${data.value}; path=/; max-age=${data.value ? year : 0}; SameSite=Lax`;
    }""",
)


def remember(person: Person) -> None:
    """Keeps the name for the next visit."""
    _remember(key="remember", data={"cookie": COOKIE, "value": quote(person.name)}, height=1)


def leave() -> None:
    """Ends this session's rights at once; the next person is asked for a name."""
    if name := st.session_state.get("reviewer"):
        studio().ledger.let_go(name)
    st.session_state.clear()
    st.session_state["left"] = True
