"""The ledger: every question and every statement that Dailies has for its database, by name.

Each method is one short transaction (`plan` is several) and returns detached rows or small frozen values. What happened
is appended; states follow from it. By room:
`submissions` (sent in, planned), `work` (leases, failures), `keeping` (images), `review` (inbox, conflicts),
`decisions`, `watching` (who has what in hand, the reviewers' pace), `images` (everything about one), `history`
(assets, the trail), `outcomes` (retakes, deliveries), `nights`, `evidence`, `library`, `upkeep` (contradictions),
`gauges` (figures for monitoring), `shifts` (how their flow runs ended).
"""

from __future__ import annotations

from storage.decisions import Decisions
from storage.evidence import Evidence, Judged
from storage.gauges import Gauges
from storage.history import AssetCount, Decided, Frame, History
from storage.images import Images, Picture
from storage.keeping import Keeping, Keepings
from storage.library import Found, Library
from storage.nights import AssetMade, FailureCause, Nights, NightSummary, PaceKey, pace_key
from storage.outcomes import Outcomes
from storage.review import Conflict, InboxCount, InboxItem, Review
from storage.shifts import Shifts
from storage.submissions import Brief, PlanCount, Submissions
from storage.upkeep import Upkeep
from storage.watching import InHand, Watching
from storage.work import SetAside, Waiting, Work

__all__ = [
    "AssetCount",
    "AssetMade",
    "Brief",
    "Conflict",
    "Decided",
    "Evidence",
    "FailureCause",
    "Found",
    "Frame",
    "History",
    "InHand",
    "InboxCount",
    "InboxItem",
    "Judged",
    "Keeping",
    "Keepings",
    "Ledger",
    "NightSummary",
    "Nights",
    "Outcomes",
    "PaceKey",
    "Picture",
    "PlanCount",
    "Review",
    "SetAside",
    "Submissions",
    "Waiting",
    "Watching",
    "Work",
    "pace_key",
]


class Ledger(
    Outcomes,
    Work,
    Keepings,
    Review,
    Decisions,
    History,
    Nights,
    Shifts,
    Watching,
    Evidence,
    Library,
    Images,
    Upkeep,
    Gauges,
):
    """`Ledger(open_database(url))`. Threads may share one."""
