"""Grid: many images at once. What is chosen is approved, rejected or kept as the best, under the same rules."""

from __future__ import annotations

import streamlit as st

from review_app.addresses import BOUND, warn_unknown
from review_app.appearance import escape_markdown, show_picture
from review_app.auth import Person, current_user, find_role
from review_app.frames import make_tile
from review_app.resources import open_resources
from review_app.sheet import sheet
from review_app.tournament import Tournament
from schemas.errors import NotAllowed, StaleDecision
from schemas.review import Choice, Criterion, Reason, Verdict
from storage.ledger import Frame, InboxItem

MOST = 300
ledger = open_resources().ledger


def main() -> None:
    person = current_user()
    if person is None:
        return
    st.title("Grid")
    take_back(person)
    if "contest" in st.session_state:
        return tournament(st.session_state["contest"], person)
    counts = ledger.inbox_counts()
    if not counts:
        st.info("Nothing waits. The next night fills this page; Submit orders one, Nights shows when it ran.")
        return
    first, second, third = st.columns(3)
    projects = sorted({c.project for c in counts})
    warn_unknown("project", projects)
    project = first.selectbox("Project", projects, index=None, placeholder="All", key="project", **BOUND)
    assets = sorted({c.asset for c in counts if project in (None, c.project)})
    warn_unknown("asset", assets)
    asset = second.selectbox("Asset", assets, index=None, placeholder="All", key="asset", **BOUND)
    checks = [str(name) for name in Criterion]
    warn_unknown("check", checks)
    check = third.selectbox("Flagged by", checks, index=None, placeholder="Any check or none", key="check", **BOUND)
    waiting = ledger.inbox(project=project, asset=asset, check=check, reviewer=person.name, limit=MOST)
    groups: dict[tuple[str, str], list[InboxItem]] = {}
    for item in waiting:
        groups.setdefault((item.project, item.asset), []).append(item)
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    titled = len(waiting) >= 4 * len(groups)  # a heading over every single image would only take room
    shown = [{"title": name[1], "lines": [[_tile(item)] for item in items]} for name, items in groups.items()]
    chosen = sheet(
        shown if titled else [{"title": "", "lines": [[_tile(item, named=True)] for item in waiting]}],
        key="grid",
        many=True,
        empty="Nothing waits under this filter, or others have it in hand.",
    )
    picked = [item for item in waiting if item.digest in set(chosen)]
    if len(waiting) == MOST:
        st.caption(f"The first {MOST} are shown.")
    with bar:
        if person.may_decide:
            acts(picked, waiting, person)
        else:
            st.caption("Your role does not decide.")


def _tile(item: InboxItem, *, named: bool = False) -> dict[str, str]:
    flags = [str(check) for check, result in item.results.items() if result == "flag"]
    tile = make_tile(
        Frame(item.digest, item.variant, item.tier, item.take, None, item.thumb_key, item.preview_key, None, True, None)
    )
    name = item.asset if named else item.variant
    return tile | {"name": f"{name}: {', '.join(flags)}?" if flags else name}


def acts(picked: list[InboxItem], waiting: list[InboxItem], person: Person) -> None:
    many = len(picked)
    if st.button(f"Approve {many or ''}", type="primary", disabled=not many):
        decide([(item, Verdict.APPROVE, ()) for item in picked], person)
    reason = st.selectbox("Reason", [str(one) for one in Reason], index=None, placeholder="Why rejected", width=220)
    if st.button(f"Reject {many or ''}", disabled=not (many and reason)):
        decide([(item, Verdict.REJECT, (Reason(reason),)) for item in picked], person)
    assets = {(item.project, item.asset) for item in picked}
    rest = [item for item in waiting if (item.project, item.asset) in assets and item not in picked]
    label = f"Best of {many + len(rest)}" if many == 1 and rest else "Best of its asset"
    help_text = "Approves the chosen one and rejects the asset's others that are shown, as too like another"
    if st.button(label, disabled=not (many == 1 and rest), help=help_text):
        losers = [(item, Verdict.REJECT, (Reason.DUPLICATE,)) for item in rest]
        decide([(picked[0], Verdict.APPROVE, ()), *losers], person)
    several = picked if many > 1 else waiting
    one_asset = len(several) > 1 and len({(item.project, item.asset) for item in several}) == 1
    help_text = "Two at a time: of the chosen images of one asset, or of all that are shown when they are of one asset"
    if st.button("A or B", disabled=not one_asset, help=help_text, icon=":material/compare:"):
        st.session_state["contest"] = Tournament.among(several)
        st.rerun()
    if many:
        st.caption(f"{many} chosen")


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
                losers = [(item, Verdict.REJECT, (Reason.DUPLICATE,)) for item in contest.out]
                decide([(contest.left, Verdict.APPROVE, ()), *losers], person)
        if st.button("One step back", disabled=contest.before is None, shortcut="u"):
            st.session_state["contest"] = contest.before
            st.rerun()
        if st.button("Leave, deciding nothing", shortcut="Escape"):
            del st.session_state["contest"]
            st.rerun()


def take_back(person: Person) -> None:
    """The last act on this page, whole: an undo for each of its decisions."""
    last: list[tuple[InboxItem, int]] = st.session_state.get("last_act", [])
    if not last or "contest" in st.session_state:
        return
    if st.button(f"Take the last act back ({len(last)})", icon=":material/undo:"):
        del st.session_state["last_act"]
        refused = []
        for item, revision in last:
            choice = Choice(image=item.digest, revision=revision, verdict=Verdict.UNDO)
            try:
                ledger.decide(choice, reviewer=person.name, role=find_role(person.name))
            except (StaleDecision, NotAllowed) as wrong:
                refused.append(f"{item.asset} {item.variant}: {wrong}")
        st.session_state["refused"] = refused
        st.rerun()


def decide(choices: list[tuple[InboxItem, Verdict, tuple[Reason, ...]]], person: Person) -> None:
    """One decision an image, each guarded by the revision that was shown; what is refused is named."""
    refused, done = [], []
    for item, verdict, reasons in choices:
        choice = Choice(image=item.digest, revision=item.revision, verdict=verdict, reasons=reasons)
        try:
            done.append((item, ledger.decide(choice, reviewer=person.name, role=find_role(person.name))))
        except (StaleDecision, NotAllowed) as wrong:
            refused.append(f"{item.asset} {item.variant}: {wrong}")
    st.session_state["refused"], st.session_state["last_act"] = refused, done
    st.toast(f"{len(choices) - len(refused)} decided")
    st.rerun()


for sentence in st.session_state.pop("refused", []):
    st.error(escape_markdown(f"Not recorded. {sentence}"))
main()
