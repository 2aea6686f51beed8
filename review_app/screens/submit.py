"""Submit: a manifest is uploaded or written, every complaint is shown at its line, and what is sound is sent in."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import PurePosixPath
from statistics import median
from typing import Any

import streamlit as st

from review_app.appearance import escape_markdown, format_age, show_figure, show_figures
from review_app.auth import current_user
from review_app.earlier_orders import list_order_changes
from review_app.resources import open_resources
from schemas.errors import InputError, ManifestError, SettingsError, Warned
from schemas.manifest import Manifest
from schemas.matrix import Matrix
from schemas.names import count_noun
from storage.intake import Inspection, Upload, compute_submission_digest, ingest, inspect_pictures

EXAMPLE = """\
project: Potion Shop
model: studio-tiny
styles:
  icon: {prompt: "$prompt, flat style, on a white background"}
defaults: {size: 128, style: icon, seeds: 2}
assets:
  - name: Potion
    prompt: a $colour potion
    values: {colour: [red, blue]}
"""
ENDINGS = ["yaml", "yml", "json", "csv", "xlsx", "png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "exr"]
at = open_resources()


def main() -> None:
    st.title("Submit")
    left, right = st.columns([1, 1], gap="large")
    with left:
        files = st.file_uploader(
            "A manifest, with the pictures and CSV files that it names",
            type=ENDINGS,
            accept_multiple_files=True,
            help="All at once. Pictures are found by their file names.",
        )
        named = {file.name: file.getvalue() for file in files or []}
        name, text = _manifest_of(named)
        key = f"text-{hash((name, text))}"
        edited = st.text_area(
            "Manifest", text, height=380, key=key, help="Change it here; it is checked as you leave the field."
        )
    with right:
        try:
            looked = inspect_pictures(edited.encode(), name, Upload(named), at.settings, at.catalogue)
            manifest = looked.reading.sound()
        except ManifestError as wrong:
            _complaints(wrong, edited)
        except SettingsError as wrong:
            st.error(f"Nothing can be submitted: {escape_markdown(str(wrong))}", icon=":material/error:")
        else:
            _plan(manifest, looked, Upload(named))
    history()


def _manifest_of(named: dict[str, bytes]) -> tuple[str, str]:
    """The uploaded manifest, or the example."""
    for name, data in named.items():
        if PurePosixPath(name).suffix.lower() in (".yaml", ".yml", ".json"):
            return name, data.decode("utf-8", "replace")
    return "manifest.yaml", EXAMPLE


def _complaints(wrong: ManifestError, text: str) -> None:
    problems, all_of_them = wrong.problems, len(wrong.problems) + wrong.more
    many = f"{all_of_them:,} things are wrong" if all_of_them > 1 else "One thing is wrong"
    st.error(f"{many}; nothing can be submitted yet.", icon=":material/error:")
    lines = text.splitlines()
    for problem in problems[:50]:
        with st.container(border=True):
            st.markdown(f"**Line {problem.line}**, column {problem.column}: `{problem.field.replace('`', '')}`")
            if 0 < problem.line <= len(lines):
                st.code(lines[problem.line - 1], language=None)
            st.text(f"{problem.came}\nExpected: {problem.allowed}")
    if all_of_them > 50:
        st.caption(f"and {all_of_them - 50:,} more")


def _plan(manifest: Manifest, looked: Inspection, files: Upload) -> None:
    rows = [
        {
            "Asset": asset.name,
            "Kind": asset.kind,
            "Images": Matrix(manifest, asset).count(),
            "Reviewers look at": ", ".join(manifest.criteria_of(asset)),
        }
        for asset in manifest.assets
    ]
    images = sum(Matrix(manifest, asset).count() for asset in manifest.assets)
    st.success(
        f"Sound: {count_noun(images, 'image')} of {count_noun(len(rows), 'asset')}.", icon=":material/check_circle:"
    )
    _warnings([str(warning).removeprefix(f"{warning.file}:") for warning in looked.reading.warnings])
    _order_changes(manifest, looked, files)
    known = show_figures()
    with known:
        show_figure("Images", images)
        show_figure("Pictures", len(looked.frozen), help="Frozen with the manifest")
    for remark in looked.remarks:
        st.warning(escape_markdown(remark), icon=":material/image:")
    seconds = [pace for (model, *_), pace in at.ledger.pace().items() if model == manifest.model]
    if seconds:
        hours = images * median(seconds) / 3600
        said = f"{hours * 60:.0f} min" if hours < 1.5 else f"{hours:.1f} h"
        with known:
            show_figure("GPU time", said, help="From what images of this model took so far")
            show_figure("Cost", f"{hours * at.settings.gpu_hour_price:.2f} {at.settings.currency}")
    else:
        with known:
            show_figure("GPU time", "not known", help="Nothing was made with this model yet")
    st.dataframe(rows, hide_index=True)
    st.caption("`dailies check` says more: batches, megabytes, what exists already, and whether the weights are there.")
    person = current_user()
    if person is None or not person.may_decide:
        st.caption("Your role does not submit.")
    else:
        with st.container(horizontal=True):
            tonight = st.button(
                f"Submit {count_noun(images, 'image')} for the next night", type="primary", icon=":material/send:"
            )
            at_once = st.button("Submit and make it now", icon=":material/bolt:", **_why_not_now())
        if tonight or at_once:
            submission, new = ingest(looked, store=at.store, ledger=at.ledger, submitted_by=person.name)
            word = "Submitted" if new else "The very same was submitted before, and stays as it is"
            when = _begin(person.name) if at_once else "The next night plans it and makes it."
            st.success(f"{word}: {submission.digest[:12]}. {escape_markdown(when)}", icon=":material/inventory:")


def _warnings(sentences: list[str]) -> None:
    """What is allowed and often not meant: line, column, field and what is usual."""
    if sentences:
        many = count_noun(len(sentences), "warning")
        st.warning(f"{many}. Accepted, and often not meant:", icon=":material/warning:")
        st.text("\n".join(sentences[:50]))


def _order_changes(manifest: Manifest, looked: Inspection, files: Upload) -> None:
    """The `changes:` lines of `dailies check`, where the project was ordered before."""
    earlier = at.ledger.submissions(project=manifest.project, limit=50)
    if not earlier:
        return
    state = tuple((one.digest, one.submitted_at, one.planned_at, one.cancelled_at) for one in earlier)
    try:
        with st.spinner("Comparing with earlier orders"):
            sentences = _cached_changes(compute_submission_digest(looked), state, looked, files)
    except InputError as wrong:
        st.warning(f"What this changes for images ordered before is not known: {escape_markdown(str(wrong))}")
        return
    if sentences:
        st.info("Changes for images that were ordered before:", icon=":material/published_with_changes:")
        st.text("\n".join(f"changes: {sentence}" for sentence in sentences))


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def _cached_changes(digest: str, state: object, _looked: Inspection, _files: Upload) -> list[str]:
    """`digest` and `state` tell one question from another; a minute later images may exist that did not."""
    return list_order_changes(_looked, _files, at.settings)


def _why_not_now() -> dict[str, Any]:
    """Arguments of the button: greyed out, with the reason, where a night cannot begin."""
    night = next(iter(at.ledger.nights(1)), None)
    if night is not None and night.ended_at is None:
        return {"disabled": True, "help": "A night is running. What is submitted now is made in the next one."}
    if not os.environ.get("PREFECT_API_URL") and find_spec("torch") is None:
        return {"disabled": True, "help": "There is no Prefect server, and this machine cannot make images."}
    return {"help": "Everything that waits is made, outside the working hours too. Nights shows how it goes."}


def _begin(who: str) -> str:
    """`dailies now`, for this page knows no flows."""
    command = [sys.executable, "-m", "flows", "now", f"--by={who}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        return f"It waits for the next night, for none could begin now: {done.stderr.strip()[-400:]}"
    return done.stdout.strip()


def history() -> None:
    submissions = at.ledger.submissions(limit=50)
    if not submissions:
        return
    st.subheader("Sent in before", anchor=False)
    rows = [
        {
            "Name": one.name,
            "Project": one.project,
            "By": one.submitted_by,
            "When": format_age(one.submitted_at),
            "Priority": one.priority,
            "Due": one.due or "",
            "State": "cancelled" if one.cancelled_at else "planned" if one.planned_at else "for the next night",
        }
        for one in submissions
    ]
    event = st.dataframe(rows, hide_index=True, selection_mode="single-row", on_select="rerun", key="sent")
    person = current_user()
    for number in event.selection.rows:
        one = submissions[number]
        _warnings([str(Warned(**warning)) for warning in one.warnings])
        if one.cancelled_at is None and person and person.may_decide:
            st.caption("Cancelling stops what has not started. Images that exist stay, and stay to be reviewed.")
            if st.button(f"Cancel {escape_markdown(one.name)}", icon=":material/cancel:"):
                at.ledger.cancel(one.digest, person.name)
                st.rerun()


main()
