"""The ledger: every question and every statement that Dailies has for its database, by name.

Each method is one short transaction (`plan` is several) and returns detached rows or small frozen values. What happened
is appended; states follow from it. By room:
`submissions` (sent in, planned), `work` (leases, failures), `keeping` (images), `review` (inbox, conflicts),
`decisions`, `comments`, `mentions` (for whom a comment is), `ratings` (stars and colours), `playlists`,
`client_links`, `saved_filters`, `watching` (who has what in hand, the reviewers' pace), `images` (everything about
one), `history` (assets, the trail), `outcomes` (retakes, deliveries), `nights`, `evidence`, `learning` (the inbox's
order), `library`, `meaning` (what is like what), `upkeep` (contradictions), `retention` (what may go), `gauges`
(figures for monitoring), `shifts` (how their flow runs ended).
"""

from __future__ import annotations

from schemas.settings import Settings
from storage.database import open_database, prepare_database
from storage.ledger.client_links import ClientLinks, LinkAct, LinkUse, OpenLink
from storage.ledger.comments import CommentCount, Comments, Said
from storage.ledger.decisions import Decisions
from storage.ledger.evidence import Evidence, Judged
from storage.ledger.gauges import Gauges
from storage.ledger.history import AssetCount, Decided, Frame, History
from storage.ledger.images import ImageDetails, Images
from storage.ledger.jobs import Jobs, SetAside, Waiting
from storage.ledger.learning import Learning, Lesson
from storage.ledger.library import Library, LibraryPage
from storage.ledger.mentions import FeedEntry, Mention, MentionsAndAnswers
from storage.ledger.model_use import ModelUse, ModelUses
from storage.ledger.new_images import NewImage, NewImages
from storage.ledger.nights import AssetMade, FailureCause, Nights, NightSummary, PaceKey, make_pace_key
from storage.ledger.outcomes import Outcomes
from storage.ledger.playlists import PlaylistProgress, Playlists
from storage.ledger.ratings import Ratings
from storage.ledger.retention import Retention
from storage.ledger.review import Conflict, InboxCount, InboxItem, InboxPlace, Review
from storage.ledger.reviewers import InHand, Reviewers
from storage.ledger.saved_filters import NamedFilter, SavedFilters
from storage.ledger.shifts import Shifts
from storage.ledger.submissions import Brief, PlanCount, Submissions

__all__ = [
    "AssetCount",
    "AssetMade",
    "Brief",
    "CommentCount",
    "Conflict",
    "Decided",
    "Evidence",
    "FailureCause",
    "FeedEntry",
    "Frame",
    "History",
    "ImageDetails",
    "InHand",
    "InboxCount",
    "InboxItem",
    "InboxPlace",
    "Jobs",
    "Judged",
    "Ledger",
    "Lesson",
    "LibraryPage",
    "LinkAct",
    "LinkUse",
    "Mention",
    "ModelUse",
    "NamedFilter",
    "NewImage",
    "NewImages",
    "NightSummary",
    "Nights",
    "OpenLink",
    "Outcomes",
    "PaceKey",
    "PlanCount",
    "PlaylistProgress",
    "Review",
    "Reviewers",
    "Said",
    "SetAside",
    "Submissions",
    "Waiting",
    "make_pace_key",
]


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of these settings; the database is made the first time, and brought up to date on one machine."""
    settings.home.mkdir(parents=True, exist_ok=True)
    engine = open_database(settings.database)
    prepare_database(engine)
    return Ledger(engine)


class Ledger(
    Outcomes,
    Jobs,
    NewImages,
    Review,
    Decisions,
    Comments,
    MentionsAndAnswers,
    Ratings,
    Playlists,
    ClientLinks,
    SavedFilters,
    History,
    Nights,
    Shifts,
    Reviewers,
    Evidence,
    Learning,
    Library,
    Images,
    Retention,
    Gauges,
    ModelUses,
):
    """`Ledger(open_database(url))`. Threads may share one."""
