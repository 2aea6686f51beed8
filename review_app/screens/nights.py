"""Nights: what ran, what it made, what failed and why. A night that is running is looked at again by itself."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from review_app.addresses import BOUND, warn_unknown
from review_app.appearance import escape_markdown, format_age, show_figure, show_figures
from review_app.auth import current_user, find_role
from review_app.resources import open_resources
from schemas.errors import NotAllowed, StoreError
from schemas.records import Night

ledger = open_resources().ledger
settings = open_resources().settings
TOTALS = {"gpu_seconds": "GPU seconds", "unchecked": "Not checked"}


def main() -> None:
    st.title("Nights")
    nights = ledger.nights(60)
    if not nights:
        st.info("No night has run yet. `dailies night` runs one now; a schedule runs them by themselves.")
        return
    names = {night.id: _name(night) for night in nights}
    warn_unknown("night", [str(number) for number in names])
    chosen = st.selectbox(
        "Night", [str(number) for number in names], format_func=lambda n: names[int(n)], width=480, key="night", **BOUND
    )
    night = next(night for night in nights if str(night.id) == chosen)
    if night.ended_at is None:
        running(night.id)
    else:
        show(night.id)
    columns = {
        name: TOTALS.get(name, name.replace("_", " ").capitalize())
        for night in nights
        for name, value in night.totals.items()
        if isinstance(value, int | float)
    }
    st.subheader("All nights", anchor=False)
    st.dataframe(
        [
            {
                "Night": night.id,
                "Started": night.started_at,
                "Took": _duration(night),
                "Outcome": night.outcome or "running",
                "By": night.started_by,
                "Planned": night.planned,
                **{label: night.totals.get(name) or 0 for name, label in columns.items()},
            }
            for night in nights
        ],
        hide_index=True,
        column_config={
            "Started": st.column_config.DatetimeColumn("Started (UTC)", format="YYYY-MM-DD HH:mm"),
            "GPU seconds": st.column_config.NumberColumn(format="%.0f"),
        },
    )


def _duration(night: Night) -> str:
    seconds = ((night.ended_at or datetime.now(UTC)) - night.started_at).total_seconds()
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _name(night: Night) -> str:
    return f"{night.started_at:%a %-d %b %Y, %H:%M} UTC · {night.outcome or 'running'}"


@st.fragment(run_every=4)
def running(night_id: int) -> None:
    night = ledger.night(night_id)
    if night.ended_at is not None:
        st.rerun()
    made, failed = ledger.night_progress(night_id)
    share = min(1.0, (made + failed) / night.planned) if night.planned else 0.0
    words = f"Running since {format_age(night.started_at)}: {made} made" + (
        f" of {night.planned}" if night.planned else ""
    )
    st.progress(share, text=words + (f", {failed} failures" if failed else ""))
    show(night_id)


def show(night_id: int) -> None:
    summary = ledger.summary(night_id)
    seconds = summary.gpu_seconds
    cost = seconds / 3600 * settings.gpu_hour_price
    approved = sum(asset.approved > 0 for asset in summary.by_asset)
    with show_figures():
        show_figure("Made", summary.made)
        show_figure("Flagged", summary.flagged, help="At least one check says: look here")
        show_figure("Not checked", summary.unchecked, help="A check crashed, or could not look")
        show_figure("Still to make", summary.waiting)
        show_figure("GPU seconds", f"{seconds:,.0f}", help=f"{seconds / max(1, summary.made):.2f} an image")
        show_figure("Cost", f"{cost:,.2f} {settings.currency}")
        show_figure(
            "An approved asset",
            f"{cost / approved:,.2f} {settings.currency}" if approved else "–",
            help=f"The night's cost over the {approved} assets of which an image is approved by now",
        )
    if summary.by_asset:
        rows = [
            {
                "Project": a.project,
                "Asset": a.asset,
                "Made": a.made,
                "Approved": a.approved,
                "Flagged": a.flagged,
                "GPU s an image": a.gpu_seconds / max(1, a.made),
            }
            for a in summary.by_asset
        ]
        st.dataframe(
            rows, hide_index=True, column_config={"GPU s an image": st.column_config.NumberColumn(format="%.2f")}
        )
    if summary.failures:
        st.subheader("Failures, by cause", anchor=False)
        st.dataframe(
            [
                {"Cause": f.cause, "Failures": f.failures, "Images": f.specs, "For example": f.example}
                for f in summary.failures
            ],
            hide_index=True,
        )
    if summary.set_aside:
        aside()
    if summary.night.report_key:
        report(summary.night.report_key)


def aside() -> None:
    """What failed too often waits for a person."""
    person = current_user()
    rows = ledger.set_aside()
    st.subheader("Set aside", anchor=False)
    st.caption("These failed too often and are left alone until somebody releases them for another try.")
    table = [
        {"Project": row.project, "Asset": row.asset, "Variant": row.variant, "Since": row.since, "Why": row.message}
        for row in rows
    ]
    event = st.dataframe(table, hide_index=True, selection_mode="multi-row", on_select="rerun", key="aside")
    chosen = [rows[number].digest for number in event.selection.rows] or [row.digest for row in rows]
    label = "Try the chosen again" if event.selection.rows else "Try all again"
    if person is None:
        return
    if not person.leads:
        st.caption(f"A lead releases these; you are {person.role}. On the machine itself `dailies release` does it.")
    elif st.button(label, icon=":material/replay:"):
        try:
            released = ledger.release_set_aside(chosen, person.name, role=find_role(person.name))
        except NotAllowed as refused:
            st.error(escape_markdown(refused))
            return
        st.toast(f"{released} will be tried again.")
        st.rerun()


def report(key: str) -> None:
    """As text: it names assets and errors, and those are not ours to render."""
    try:
        text = open_resources().store.get(key).decode("utf-8", "replace")
    except StoreError as wrong:
        st.warning(f"The report cannot be read: {escape_markdown(wrong)}")
        return
    with st.expander("Morning report"):
        st.code(text, language=None, wrap_lines=True)
        st.download_button("Download", text, file_name=key.rsplit("/", 1)[-1], mime="text/markdown", on_click="ignore")


main()
