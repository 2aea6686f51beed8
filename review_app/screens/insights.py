"""Insights: what the decisions say about settings, checks and ourselves, with how sure it is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import streamlit as st

from review_app.addresses import BOUND, warn_unknown
from review_app.appearance import escape_markdown, format_age
from review_app.insight import ASPECTS, compute_foresight, compute_kappa, compute_paces, compute_rates, list_suggestions
from review_app.resources import open_resources
from schemas.names import count_noun
from schemas.review import Verdict
from storage.ledger import Judged

DAYS = {"These 7 days": 7, "These 30 days": 30, "These 365 days": 365}
MOST = 3_000
SURE = 1.96
"""Standard errors on either side within which a figure lies 19 times of 20."""
ledger = open_resources().ledger


@st.cache_resource(ttl=15, max_entries=8, show_spinner=False)
def evidence(days: int, project: str | None) -> tuple[list[Judged], list[tuple[Verdict, Verdict]]]:
    """For all sessions, some seconds old at most: choosing another aspect asks the ledger nothing."""
    since = datetime.now(UTC) - timedelta(days=days)
    return ledger.judged(since=since, project=project, limit=MOST), ledger.judged_twice(since=since, limit=MOST)


def share(part: float | None) -> str:
    return "–" if part is None else f"{part:.0%}"


def main() -> None:
    st.title("Insights")
    one, two, three = st.columns(3)
    projects = ledger.projects()
    warn_unknown("project", projects)
    project = one.selectbox("Project", projects, index=None, placeholder="All", key="project", **BOUND)
    days = DAYS[two.selectbox("Decided in", list(DAYS), index=1, key="days", **BOUND)]
    judged, pairs = evidence(days, project)
    if not judged:
        st.info("No decisions in this time. Choose a longer one, or another project.")
        return
    name = three.selectbox("Approved, by", list(ASPECTS), key="by", **BOUND)
    st.caption(f"From those of the newest {MOST:,} decisions that stand: {len(judged):,}.")

    left, right = st.columns([3, 2], gap="large")
    with left:
        show_rates(judged, name)
        show_reasons(judged)
    with right:
        show_suggestions(judged)
        show_foresight(judged)
        show_learned_order()
        show_reviewers(judged, pairs)


def show_rates(judged: list[Judged], name: str) -> None:
    st.subheader(f"Approved, by {name.lower()}", anchor=False)
    st.dataframe(
        [
            {name: r.name, "Approved": 100 * r.rate, "Judged": r.judged, "Likely": f"{r.low:.0%} to {r.high:.0%}"}
            for r in compute_rates(judged, ASPECTS[name])
        ],
        hide_index=True,
        column_config={"Approved": st.column_config.ProgressColumn(format="%.0f%%", min_value=0, max_value=100)},
    )


def show_reasons(judged: list[Judged]) -> None:
    st.subheader("Why images came back, by day", anchor=False)
    reasons = Counter((one.decided_at.date(), reason) for one in judged for reason in one.reasons)
    rows = [{"Day": day, "Reason": reason, "Images": count} for (day, reason), count in sorted(reasons.items())]
    if not rows:
        st.caption("No reasons were given.")
    elif len({row["Day"] for row in rows}) > 1:
        st.bar_chart(rows, x="Day", y="Images", color="Reason", height=260)
    else:  # a single day would be one thin bar
        st.bar_chart(rows, x="Reason", y="Images", horizontal=True, height=60 + 40 * len(rows))


def show_suggestions(judged: list[Judged]) -> None:
    st.subheader("Worth trying", anchor=False)
    sentences = list_suggestions(judged)
    for sentence in sentences:
        st.markdown(f"- {escape_markdown(sentence)}")
    if not sentences:
        st.caption("No setting is better than another beyond chance yet.")


def show_foresight(judged: list[Judged]) -> None:
    st.subheader("What the checks would have told", anchor=False)
    st.dataframe(
        [
            {
                "Check": str(row.check),
                "Flagged": row.flagged,
                "Precision": share(row.precision),
                "Recall": share(row.recall),
                "Not checked": row.unchecked,
            }
            for row in compute_foresight(judged)
        ],
        hide_index=True,
        column_config={
            "Precision": st.column_config.Column(help="Of the flagged, not approved"),
            "Recall": st.column_config.Column(help="Of the not approved, flagged"),
        },
    )


def show_learned_order() -> None:
    st.subheader("The inbox's order, learned", anchor=False)
    training = ledger.last_training()
    if training is None:
        st.caption("Each night learns from the decisions so far which images are likely to be rejected.")
        return
    said, when = training.report["all"], format_age(training.trained_at)
    if "auc" not in said:
        counts = f"{said['approved']} approved and {said['rejected']} not; {said['wanted']} of each are needed."
        st.caption(f"Too few decisions to learn from: {counts} Flagged images come first meanwhile.")
        return
    if training.outcome != "in use":
        st.caption(
            f"Learned {when} from {training.decisions:,} decisions, and no better than chance on others: not used."
        )
        return
    likely, flags = SURE * said["auc_error"], said["auc_of_flags"]
    st.metric(
        "Pairs in the right order",
        f"{said['auc']:.0%}",
        help="Of a rejected and an approved image, how often the rejected one comes first (AUC), on others",
    )
    st.caption(
        f"± {likely:.0%}; {flags:.0%} by flags alone. Learned {when} from {training.decisions:,} decisions. Likely "
        "rejections come first; nothing is hidden."
    )
    st.dataframe(
        [
            {"Images": row["images"], "Chance said": f"{row['said']:.0%}", "Not approved": f"{row['was']:.0%}"}
            for row in said["calibration"]
        ],
        hide_index=True,
    )
    signs = [f"{name} ({'more' if weight > 0 else 'less'} likely)" for name, weight in said["weights"][:5]]
    st.caption(escape_markdown(f"What counts most: {', '.join(signs)}."))


def show_reviewers(judged: list[Judged], pairs: list[tuple[Verdict, Verdict]]) -> None:
    st.subheader("Reviewers", anchor=False)
    st.dataframe(
        [
            {"Reviewer": who, "Images": n, "Seconds an image": "–" if s is None else f"{s:.1f}", "Approved": p}
            for who, n, s, p in compute_paces(judged)
        ],
        hide_index=True,
        column_config={"Approved": st.column_config.NumberColumn(format="percent")},
    )
    agreement = compute_kappa(pairs)
    if agreement is not None:
        st.metric(
            "Agreement of two reviewers (Cohen's kappa)", f"{agreement:.2f}", help=count_noun(len(pairs), "image")
        )


main()
