"""Who is looking. On one machine a name, asked once and kept in a cookie; with OIDC (st.login) the person signed in.

The role is asked for anew at every decision (`role_of`), so that a right taken away is gone at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import streamlit as st

from review_app.resources import open_resources
from schemas.settings import DECIDERS, LEADS, ROLES, Settings

COOKIE = "dailies_reviewer"


@dataclass(frozen=True)
class Person:
    name: str
    role: str = "reviewer"

    @property
    def may_decide(self) -> bool:
        return self.role in DECIDERS

    @property
    def leads(self) -> bool:
        return self.role in LEADS

    @property
    def blind_to(self) -> str | None:
        """Her own name, where she must not see what others decided while an image waits for a second review."""
        return None if self.leads else self.name


def current_user() -> Person | None:
    """The person at this screen; None after showing what asks for one."""
    if is_sign_in_on():
        name = _verified_address()
        if not st.user.is_logged_in or _signed_out_since(name):
            _ask_to_sign_in()
            return None
        if not name:
            st.error("The identity provider gave no verified e-mail address, so nobody knows who you are here.")
            st.button("Sign out", on_click=st.logout)
            return None
        st.session_state["reviewer"] = name
        return Person(name, find_role(name))
    name = st.session_state.get("reviewer", "")
    if not name and not st.session_state.get("left"):
        name = open_resources().settings.reviewer or _read_cookie()
    if name:
        st.session_state["reviewer"] = name
        return Person(name, find_role(name))
    _ask_name()
    return None


def _verified_address() -> str:
    """The e-mail address that the identity provider vouches for; empty when it says nothing of the kind."""
    verified = st.user.get("email_verified")
    return str(st.user.get("email") or "") if verified is True or verified == "true" else ""


def _signed_out_since(name: str) -> bool:
    """Whether this person has signed out, in any tab, after this sign-in."""
    left = open_resources().signed_out.get(name)
    return left is not None and float(st.user.get("iat") or 0) < left


def is_sign_in_on() -> bool:
    """Whether secrets.toml has an [auth] section; without one `st.user` has no `is_logged_in`."""
    return hasattr(st.user, "is_logged_in")


def find_role(name: str) -> str:
    """The role of this person now. Nobody has one without being signed in, where signing in is on."""
    settings = _newest_settings()
    if is_sign_in_on():
        if not st.user.is_logged_in or name != _verified_address() or _signed_out_since(name):
            return "viewer"
        claimed = st.user.get(settings.role_claim) if settings.role_claim else None
        roles = claimed if isinstance(claimed, list) else [claimed]
        best = [role for role in ROLES if role in roles]
        if name not in settings.roles and best:
            return best[0]
    role = settings.roles.get(name, settings.default_role)
    if is_sign_in_on() or settings.roles_without_sign_in:
        return role
    return role if role == "viewer" else "reviewer"  # anybody can type a lead's name


def find_rights(name: str) -> dict[str, Any]:
    """What `ledger.decide` wants to know of who decides, as it is now."""
    role = find_role(name)
    return {"reviewer": name, "role": role, "others_steps": _newest_settings().list_others_steps(name, role)}


def list_all_groups() -> list[str]:
    return sorted(_newest_settings().groups)


def list_groups(person: Person) -> list[str]:
    return _newest_settings().list_groups(person.name)


def _newest_settings() -> Settings:
    """Read again when dailies.toml has changed, so that a right taken away is gone without a restart."""
    file = Path("dailies.toml")
    return _settings_of(file.stat().st_mtime_ns if file.exists() else 0)


@lru_cache(maxsize=1)
def _settings_of(_changed: int) -> Settings:
    return Settings()


def _ask_to_sign_in() -> None:
    st.title("Dailies")
    st.write("Every image is looked at by a person. Sign in to be one of them.")
    st.button("Sign in", type="primary", on_click=st.login, icon=":material/login:")


def _read_cookie() -> str:
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
        open_resources().ledger.let_go(name)
    st.session_state.clear()
    st.session_state["left"] = True
    if is_sign_in_on():
        if name:
            open_resources().signed_out[name] = time.time()
        st.logout()
