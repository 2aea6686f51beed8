"""Grid: many images at once. What is chosen is approved, rejected or kept as the best, under the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from review_app.addresses import BOUND, warn_unknown
from review_app.appearance import escape_markdown, show_picture
from review_app.auth import Person, current_user, find_rights
from review_app.frames import show_dialog
from review_app.grid_order import Act, Order, find_order
from review_app.light_table import PAGE, light_table
from review_app.new_playlist import show_playlist_dialog
from review_app.rating import list_ratings, spell_rating
from review_app.resources import open_resources
from review_app.tournament import Tournament
from review_app.waiting import list_others_steps
from schemas.errors import NotAllowed, StaleDecision
from schemas.ratings import MAYBES, name_maybe
from schemas.records import Rating
from schemas.review import Choice, Criterion, Reason, Verdict
from storage.ledger import InboxItem

KEY = "grid"
SLOW = 25
"""Decisions between two steps of the progress bar; fewer than that need none."""
FEW = 6
"""Refusals that are spelt out."""
ledger = open_resources().ledger


def main() -> None:
    person = current_user()
    if person is None:
        return
    st.title("Grid")
    with st.container():  # there with and without a button: what is below keeps its place, and the browser its table
        take_back(person)
    if "contest" in st.session_state:
        return tournament(st.session_state["contest"], person)
    counts = ledger.inbox_counts()
    if not counts:
        st.info("Nothing waits. The next night fills this page; Submit orders one, Nights shows when it ran.")
        return
    first, second, third, fourth = st.columns(4)
    projects = sorted({c.project for c in counts})
    warn_unknown("project", projects)
    project = first.selectbox("Project", projects, index=None, placeholder="All", key="project", **BOUND)
    assets = sorted({c.asset for c in counts if project in (None, c.project)})
    warn_unknown("asset", assets)
    asset = second.selectbox("Asset", assets, index=None, placeholder="All", key="asset", **BOUND)
    checks = [str(name) for name in Criterion]
    warn_unknown("check", checks)
    check = third.selectbox("Flagged by", checks, index=None, placeholder="Any check or none", key="check", **BOUND)
    warn_unknown("maybe", MAYBES)
    maybe = fourth.selectbox(
        "Maybe", MAYBES, index=None, placeholder="Any rating or none", format_func=name_maybe, key="maybe", **BOUND
    )
    known = st.session_state.get("order")
    st.session_state["order"] = find_order(
        ledger,
        known,
        reviewer=person.name,
        others_steps=list_others_steps(person),
        project=project,
        asset=asset,
        check=check,
        maybe=maybe,
    )
    table()


@st.fragment
def table() -> None:
    person, order = current_user(), st.session_state.get("order")
    if person is None or not isinstance(order, Order):
        return
    if not order.places:
        st.info("Nothing waits under this filter, or others have it in hand. Choose All above to see the rest.")
        return
    assets = {(place.project, place.asset) for place in order.places}
    asked = (st.session_state.get(KEY) or {}).get("window") or {}
    pages = asked.get("pages", []) if asked.get("order") == order.name else [0]
    found = light_table(
        {
            "order": order.name,
            "total": len(order.places),
            "page": PAGE,
            "sections": [{"title": title, "images": images} for title, images in order.sections],
            "one_asset": len(assets) == 1,
            "pages": list_tiles(order, pages, person),
            "reasons": [str(reason) for reason in Reason],
            "may_decide": person.may_decide,
        },
        key=KEY,
    )
    for sent, answer in ((found.open, open_one), (found.act, act)):
        if not sent:
            continue
        if sent["order"] != order.name:
            st.warning("What waits has changed since. Nothing was recorded; choose again.")
        else:
            answer(order, sent, person)


def list_tiles(order: Order, pages: Sequence[int], person: Person) -> dict[str, list[dict[str, str]]]:
    """Page number -> its tiles. The number is text, as in JSON."""
    tiles = {}
    for page in [page for page in pages if isinstance(page, int) and page >= 0][:8]:
        window = [place.digest for place in order.places[page * PAGE : (page + 1) * PAGE]]
        ratings, named = list_ratings(window, person), not order.sections[0][0]
        tiles[str(page)] = [
            make_grid_tile(item, ratings.get(item.digest), named=named) for item in ledger.inbox_items(window)
        ]
    return tiles


def make_grid_tile(item: InboxItem, rating: Rating | None, *, named: bool) -> dict[str, str]:
    return {
        "id": item.digest,
        "thumb": open_resources().links.to(item.thumb_key),
        "name": f"{item.asset} · {item.variant}" if named else item.variant,
        "flags": ", ".join(str(check) for check, result in item.results.items() if result == "flag"),
        "maybe": spell_rating(rating),
        "colour": (rating.colour if rating else "") or "",
        "about": f"{item.asset} · {item.variant} · {item.tier}" + (f", take {item.take}" if item.take > 1 else ""),
    }


def open_one(order: Order, sent: dict[str, Any], person: Person) -> None:
    del person  # the dialog asks for itself
    if 0 <= sent["place"] < len(order.places):
        show_dialog(order.places[sent["place"]].digest)


def act(order: Order, sent: dict[str, Any], person: Person) -> None:
    """One act on the chosen images: approve, reject, retake, the best of an asset, two at a time, or a playlist."""
    chosen = order.list_chosen(sent["ranges"])
    name, note = sent["name"], str(sent["note"])
    reasons = tuple(Reason(reason) for reason in sent["reasons"])
    if name == "playlist":
        show_playlist_dialog([place.digest for place in chosen])
        return
    if name == "contest":
        several = chosen if len(chosen) > 1 else order.places
        if len(several) < 2 or len({(place.project, place.asset) for place in several}) > 1:
            st.warning("A or B is for two or more images of one asset.")
            return
        st.session_state["contest"] = Tournament.among(ledger.inbox_items([place.digest for place in several]))
        st.rerun()
    if name == "best":
        (best,) = chosen
        rest = order.list_rivals(best)
        if not rest:
            st.warning("No other image of its asset waits here; approve it instead.")
            return
        losers = [Act(place, Verdict.REJECT, (Reason.DUPLICATE,)) for place in rest]
        decide([Act(best, Verdict.APPROVE), *losers], person)
    decide([Act(place, Verdict(name), reasons, note) for place in chosen], person)


def tournament(contest: Tournament, person: Person) -> None:
    """Two images side by side; the better one stays and meets the next. At the end one act decides all of them."""
    right = contest.right
    total = len(contest.out) + len(contest.rest) + 1
    st.progress(
        len(contest.out) / (total - 1),
        text=escape_markdown(f"{contest.left.asset}: {len(contest.out)} of {total} are out"),
    )
    sides = [(contest.left, "A", "left"), *([(right, "B", "right")] if right else [])]
    for column, (item, name, key) in zip(st.columns(2), sides, strict=False):
        with column:
            show_picture(open_resources().links.to(item.preview_key), alt=f"{name}: {item.variant}")
            flags = ", ".join(str(check) for check, result in item.results.items() if result == "flag")
            st.caption(escape_markdown(item.variant + (f" · look at: {flags}" if flags else "")))
            if right and st.button(f"{name} is better", shortcut=key, width="stretch", type="primary"):
                st.session_state["contest"] = contest.better(item)
                st.rerun()
    with st.container(horizontal=True):
        if right is None:
            label = f"Approve it and reject the other {len(contest.out)}"
            if st.button(label, type="primary", shortcut="Enter"):
                del st.session_state["contest"]
                losers = [Act(item, Verdict.REJECT, (Reason.DUPLICATE,)) for item in contest.out]
                decide([Act(contest.left, Verdict.APPROVE), *losers], person)
        if st.button("One step back", disabled=contest.before is None, shortcut="u"):
            st.session_state["contest"] = contest.before
            st.rerun()
        if st.button("Leave, deciding nothing", shortcut="Escape"):
            del st.session_state["contest"]
            st.rerun()


def take_back(person: Person) -> None:
    """The last act on this page, whole: an undo for each of its decisions."""
    last: list[Act] = st.session_state.get("last_act", [])
    if not last or "contest" in st.session_state:
        return
    if st.button(f"Take the last act back ({len(last):,})", icon=":material/undo:"):
        del st.session_state["last_act"]
        record(last, person)
        st.rerun()


def decide(acts: list[Act], person: Person) -> None:
    """One decision an image, each guarded by the revision that was shown; what is refused is named."""
    done = record(acts, person)
    st.session_state["last_act"] = [one.reverse(revision) for one, revision in done]
    st.toast(f"{len(done):,} decided")
    st.rerun()


def record(acts: list[Act], person: Person) -> list[tuple[Act, int]]:
    """Writes the acts one by one; those that were taken, with the revision that each made. The role is looked up at
    every one."""
    refused, done = [], []
    bar = st.progress(0.0) if len(acts) > SLOW else None
    for number, one in enumerate(acts):
        place = one.place
        choice = Choice(
            image=place.digest, revision=place.revision, verdict=one.verdict, reasons=one.reasons, note=one.note
        )
        try:
            revision = ledger.decide(choice, **find_rights(person.name))
            done.append((one, revision))
        except (StaleDecision, NotAllowed) as wrong:
            refused.append(f"{place.asset}, {place.digest[:12]}: {wrong}")
        if bar is not None and number % SLOW == 0:
            bar.progress(number / len(acts), text=f"{number:,} of {len(acts):,}")
    st.session_state["refused"] = refused
    return done


def say_refused() -> None:
    refused = st.session_state.pop("refused", [])
    for sentence in refused[:FEW]:
        st.error(escape_markdown(f"Not recorded. {sentence}"))
    if len(refused) > FEW:
        st.error(f"{len(refused) - FEW:,} more were not recorded; they wait still.")


with st.container():
    say_refused()
main()
