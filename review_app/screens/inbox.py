"""Inbox: every image that waits, one at a time. The screen itself is review_app/viewer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import streamlit as st

from review_app.addresses import explain_missing
from review_app.appearance import format_age
from review_app.auth import Person, current_user, find_rights
from review_app.deck import is_texture, list_nearest, make_item, name_backgrounds
from review_app.rating import list_ratings, show_rating
from review_app.resources import open_resources
from review_app.retake_preview import preview_retake
from review_app.review_session import ReviewSession
from review_app.talk import count_unread, list_comments, list_people, mark_read
from review_app.viewer import viewer
from review_app.waiting import (
    count_waiting,
    find_inbox,
    list_elsewhere,
    list_filters,
    list_later,
    list_saved,
    name_playlists,
)
from schemas.ratings import MAYBES
from schemas.retakes import cap_retakes, find_manifest_default, propose_changes
from schemas.review import Criterion, Reason
from storage.ledger import Brief, ImageDetails, InboxItem

IN_HAND = 40
MOST = 400
SIBLINGS = 12
"""Of an image's asset, for looking at side by side."""
KEY = "viewer"


@st.fragment
def screen() -> None:
    person = current_user()
    if person is None:
        return
    if "desk" not in st.session_state:
        st.session_state["desk"] = ReviewSession()
    desk: ReviewSession = st.session_state["desk"]
    sync: dict[str, Any] = (st.session_state.get(KEY) or {}).get("sync") or {}
    ledger = open_resources().ledger

    # 1. Take what was decided.
    if sync:
        desk.answer(
            sync["client"],
            sync["outbox"],
            ledger=ledger,
            rights=lambda: find_rights(person.name),
        )

    read = mark_read(sync.get("read"), ledger=ledger, reviewer=person.name) if sync.get("read") else []

    # 2. Look at what waits now.
    asked = sync.get("filter") or _asked_for()
    wanted = {name: value or None for name, value in asked.items() if not _unknown(name, value, person)}
    have = sync.get("have", [])
    skipped = sync.get("skipped", [])
    limit = min(MOST, IN_HAND + len(have) - sync.get("ahead", 0) + len(skipped))
    over = sync.get("over", 0) > desk.taken_over
    if over:
        desk.taken_over = sync["over"]
        ledger.take_over(person.name)
    found = find_inbox(wanted, person, limit=limit)
    waiting = [item.digest for item in found]
    queue = desk.take_in_hand(waiting, skipped, ledger=ledger, reviewer=person.name) if person.may_decide else waiting
    named, told = _linked(sync, person)
    if named:
        queue = [named, *(digest for digest in queue if digest != named)]
    answers = desk.since(sync.get("answered", 0))
    fresh = [answer["image"] for answer in answers if not answer["ok"] and answer["image"]]
    known = set(have)
    lacking = [digest for digest in queue if digest not in known]

    items = _items(list(dict.fromkeys([*fresh, *([named] if named else []), *lacking])), person)
    for item in items.values():
        desk.heard.learn(item["comments"])

    # 3. Tell the screen.
    playlists = name_playlists(person)
    viewer(
        {
            "reviewer": person.name,
            "may_decide": person.may_decide,
            "answers": answers,
            "trouble": desk.trouble,
            "queue": [digest for digest in queue if digest in known or digest in items],
            "items": list(items.values()),
            "counts": count_waiting(person),
            "filter": {name: value or "" for name, value in wanted.items()},
            "filtered": any(wanted.values()),
            "filters": list_filters(wanted.get("project"), playlists),
            "playlists": playlists,
            "saved": list_saved(person),
            "later": list_later() if not queue else [],
            "elsewhere": list_elsewhere(person) if not queue else [],
            "reasons": [str(reason) for reason in Reason],
            "preview": _preview(sync.get("preview")),
            "link": told,
            "kin": _kin(sync.get("kin")),
            "older": _older(person) if sync.get("recall") else None,
            "news": desk.heard.list_news(have, person),
            "read": read,
            "unread": count_unread(person.name, person.blind_to),
            "people": list_people() if sync.get("names") else None,
        },
        key=KEY,
    )


def _linked(sync: dict[str, Any], person: Person) -> tuple[str, list[str]]:
    """The image to show first, which a link names or an undo brought back; and what of the link cannot be followed."""
    if sync:
        back = str(sync.get("want") or "")
        return ("" if back and explain_missing(back) else back), []
    told = [text for name, value in _asked_for().items() if (text := _unknown(name, value, person))]
    named = st.query_params.get("image", "")
    if named and (why := explain_missing(named)):
        return "", [*told, why]
    return named, told


def _unknown(name: str, value: str | None, person: Person) -> str:
    """A sentence where a filter names what there is none of; empty otherwise."""
    known: dict[str, Callable[[], Collection[str]]] = {
        "project": open_resources().ledger.projects,
        "check": lambda: list(Criterion),
        "maybe": lambda: MAYBES,
        "playlist": lambda: name_playlists(person),
    }
    if not value or name not in known or value in known[name]():
        return ""
    return f"There is no {name} “{value[:80]}”, which the link asks for; all are shown."


def _older(person: Person) -> list[dict[str, Any]]:
    """What this reviewer can still take back, wherever she decided it."""
    return [
        {
            "image": one.decision.image,
            "revision": one.decision.revision,
            "name": f"{one.asset}, {one.variant}",
            "verdict": str(one.decision.verdict),
            "when": format_age(one.decision.decided_at),
        }
        for one in open_resources().ledger.undoable(person.name)
    ]


def _asked_for() -> dict[str, str]:
    """The filter of a link from another page."""
    return {name: st.query_params.get(name, "") for name in ("project", "asset", "check", "maybe", "playlist")}


def _items(digests: list[str], person: Person) -> dict[str, dict[str, Any]]:
    """What the screen is told of these images; what is none is left out."""
    if not digests:
        return {}
    at = open_resources()
    pictures = at.ledger.pictures(digests)
    parents = at.ledger.pictures({one.spec.parent for one in pictures.values() if one.spec.parent})
    briefs = at.ledger.briefs(pictures)
    nearest = list(dict.fromkeys(digest for one in pictures.values() for digest in list_nearest(one)))
    approved = {item.digest: item for item in at.ledger.inbox_items(nearest)} if nearest else {}
    comments, ratings = list_comments(pictures, person), list_ratings(pictures, person)
    return {
        digest: _item(picture, parents.get(picture.spec.parent or ""), briefs.get(digest), approved, person)
        | {"comments": comments.get(digest, []), "rating": show_rating(ratings.get(digest))}
        for digest, picture in pictures.items()
    }


def _item(
    picture: ImageDetails,
    parent: ImageDetails | None,
    brief: Brief | None,
    approved: Mapping[str, InboxItem],
    person: Person,
) -> dict[str, Any]:
    at = open_resources()
    sources = {file["digest"]: file["key"] for file in (brief.files if brief else {}).values()}
    when = ((brief.manifest_body.get("promotion") or {}) if brief else {}).get("when", "asked")
    return make_item(
        picture,
        link=at.links.to,
        sources=sources,
        parent=parent,
        approved=approved,
        promotes=when == "asked",
        proposals=propose_changes(picture.spec, find_manifest_default(brief.manifest_body if brief else {})),
        backgrounds=name_backgrounds(brief),
        lit=at.links.to_map(picture.image.digest) if is_texture(picture.spec, brief) else "",
        blind_to=person.blind_to,
    )


def _preview(wish: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the night would make of the open retake panel's changes."""
    if not wish:
        return None
    at = open_resources()
    found = at.ledger.pictures([wish["id"]])
    if wish["id"] not in found:
        return {"number": wish["number"], "will": [], "whole": [], "wrong": "this image does not exist any more"}
    picture, brief = found[wish["id"]], at.ledger.briefs(found).get(wish["id"])
    cap = cap_retakes(at.settings.max_retakes, brief.max_retakes if brief is not None else None)
    left = max(0, cap - (picture.spec.take - 1))
    return {"number": wish["number"]} | preview_retake(picture, wish["changes"], retakes_left=left)


def _kin(wish: object) -> dict[str, Any] | None:
    """Other pictures of an image's asset, for looking at side by side. No verdict is among what is told."""
    at = open_resources()
    found = at.ledger.pictures([wish]) if isinstance(wish, str) and wish else {}
    if not found:
        return None
    digest, picture = next(iter(found.items()))
    frames = at.ledger.contact_sheet(picture.spec.project, picture.spec.asset, limit=SIBLINGS + 2)
    others = [one for one in frames if one.preview_key and one.digest not in (digest, picture.spec.parent)][:SIBLINGS]
    return {
        "id": digest,
        "pictures": [
            {
                "label": one.variant + (f", take {one.take}" if one.take > 1 else ""),
                "url": at.links.to(str(one.preview_key)),
                "thumb": at.links.to(str(one.thumb_key)),
            }
            for one in others
        ],
    }


screen()
