from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from schemas.records import Night
from storage.ledger import AssetMade, FailureCause, NightSummary, SetAside, Waiting
from tasks.report import Morning, to_markdown

BEGUN = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)


def summary(**fields: object) -> NightSummary:
    known = {
        "night": Night(id=7, started_at=BEGUN, started_by="schedule"),
        "made": 20,
        "flagged": 3,
        "unchecked": 1,
        "gpu_seconds": 90.0,
        "by_asset": (AssetMade("Shop", "Potion", 20, 3, 90.0),),
        "failures": (FailureCause("NotFinite", 4, 2, "Potion red: NaN"),),
        "set_aside": 1,
        "waiting": 3,
    }
    return NightSummary(**(known | fields))  # type: ignore[arg-type]


def waiting(digest: str, asset: str) -> Waiting:
    return Waiting(digest, "Shop", asset, "b", "a", 0, None, "ana", 0)


def report(morning: Morning, **fields: object) -> str:
    known = {"waiting": [], "aside": [], "price": 2.0, "currency": "EUR", "zone": ZoneInfo("Europe/Berlin")}
    return to_markdown(morning, summary(), **(known | fields))  # type: ignore[arg-type]


def test_everything_that_happened_is_said() -> None:
    morning = Morning(
        night=7,
        outcome="budget spent",
        planned=27,
        refused=["Potion: this would be retake 4, and 3 are allowed"],
        stopped=["5 specs in a row failed"],
        problems=["props.yaml could not be planned"],
        notes=Counter({"no room for 8 at once; made in batches of 4": 8}),
        waits={"d1": "the night's budget is spent"},
    )
    aside = [SetAside("f" * 64, "Shop", "Potion", "red", BEGUN, "NotFinite", "NaN")]
    text = report(morning, waiting=[waiting("d1", "Gem"), waiting("d2", "Wall"), waiting("d3", "Wall")], aside=aside)
    for said in (
        "# Night 7: budget spent",
        "Begun 2026-03-01 22:00 CET by schedule.",
        "| 27 | 20 | 3 | 1 | 4 | 1 | 3 |",
        "90.0 GPU seconds, 4.50 an image; 0.05 EUR at 2 EUR a GPU-hour.",
        "| NotFinite | 4 | 2 | Potion red: NaN |",
        "- the night's budget is spent: Shop / Gem (1)",
        "- the budget was spent: Shop / Wall (2)",
        "- Shop / Potion red: NaN (ffffffffffff)",
        "- Potion: this would be retake 4, and 3 are allowed",
        "- 5 specs in a row failed",
        "- props.yaml could not be planned",
        "- no room for 8 at once; made in batches of 4 (8 images)",
        "| Shop | Potion | 20 | 3 | 90.0 |",
    ):
        assert said in text


def test_a_quiet_night_is_short() -> None:
    assert "## " not in report(Morning(night=7, outcome="complete")).split("## Failed")[0]


def test_names_cannot_break_the_report_or_its_reader() -> None:
    nasty = "a|b\n# <script>alert(1)</script> [x](http://e) `y`"
    text = report(Morning(night=7, problems=[nasty]), waiting=[waiting("d", nasty)])
    assert "<script" not in text and "\n# <" not in text and "[x](" not in text
    assert all(line.count("|") == 8 for line in text.splitlines() if line.startswith("| planned"))


def test_many_assets_that_wait_are_counted() -> None:
    text = report(Morning(night=7), waiting=[waiting(str(n), f"Asset {n}") for n in range(500)])
    assert "and 480 images of other assets" in text and len(text) < 3000
