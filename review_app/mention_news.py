"""Tells who was mentioned: one message to the studio's webhook for all that was said within a minute or so, and one
e-mail to each person.

A thread of the server looks into the ledger, so that what a server that was killed left untold is told by the next one;
of several servers one tells. What the webhook or the mail server does not take is tried again, later and later.
Everybody has her mentions on the page For you in any case.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from schemas.errors import DailiesError
from schemas.names import count_noun
from schemas.settings import Settings
from storage.ledger import Ledger, Mention
from storage.mail import send
from storage.webhook import notify

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
"""From the first mention; the others that come meanwhile go with it."""
LOOK_SECONDS, MOST_SECONDS = 10.0, 600.0
"""Between two looks, and at most while the webhook refuses."""
NAMED, EXCERPT = 20, 200
"""Mentions in one message, and characters of each; the rest is counted."""
FOOT = "You get this because these comments name you. All of them are on the page For you."
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\s]+")
"""White space, and signs that would turn the rest of a line around."""


Tell = Callable[..., bool]


def start_telling(open_ledger: Callable[[], Ledger], settings: Settings) -> threading.Event | None:
    """Tells until the event is set; none where there is no webhook and no mail server. The ledger may be away at
    first."""
    ways: list[tuple[str, Tell]] = []
    if settings.webhook_url is not None:
        ways.append(("mentions", tell_mentions))
    if settings.mail.host is not None:
        ways.append(("mentions by mail", mail_mentions))
    stop = threading.Event()
    for name, tell in ways:  # a thread each: a server that is away holds up nobody else's news
        threading.Thread(target=_keep_telling, args=(tell, open_ledger, settings, stop), name=name, daemon=True).start()
    return stop if ways else None


def _keep_telling(tell: Tell, open_ledger: Callable[[], Ledger], settings: Settings, stop: threading.Event) -> None:
    pause = LOOK_SECONDS
    while not stop.wait(pause):
        try:
            told = tell(open_ledger(), settings, quiet_seconds=QUIET_SECONDS)
        except DailiesError as away:
            log.warning("mentions could not be looked up: %s", away)
            told = False
        pause = LOOK_SECONDS if told else min(2 * pause, MOST_SECONDS)


def tell_mentions(ledger: Ledger, settings: Settings, *, quiet_seconds: float) -> bool:
    """False when the webhook could not be told; what it was to hear is told another time."""
    mentions = ledger.claim_untold("webhook", quiet_seconds=quiet_seconds)
    if not mentions:
        return True
    facts = [_describe(one, settings.review_url) for one in mentions[:NAMED]]
    told = notify(
        settings.webhook_url,
        shape=settings.webhook_shape,
        event="mentioned",
        facts={"mentions": facts, "more": len(mentions) - len(facts)},
        text=_compose(facts, more=len(mentions) - len(facts), escapes=settings.webhook_shape == "slack"),
    )
    if not told:
        ledger.release_untold("webhook", mentions)
    return told


def mail_mentions(ledger: Ledger, settings: Settings, *, quiet_seconds: float) -> bool:
    """One e-mail to each person with an address. False when one could not be sent; those are tried another time."""
    people = defaultdict(list)
    for mention in ledger.claim_untold("mail", quiet_seconds=quiet_seconds):
        people[mention.person].append(mention)
    unsent = []
    for person, mentions in people.items():
        address = settings.mail.find_address(person)
        if address is None:
            continue  # the page For you is theirs all the same
        count = count_noun(len(mentions), "comment")
        facts = [_describe(one, settings.review_url) for one in mentions[:NAMED]]
        text = f"{_compose(facts, more=len(mentions) - len(facts), escapes=False)}\n\n{FOOT}\n"
        if not send(settings.mail, to=[address], subject=f"{count} for you in Dailies", text=text):
            unsent += mentions
    if unsent:
        ledger.release_untold("mail", unsent)
    return not unsent


def _describe(mention: Mention, review_url: str) -> dict[str, Any]:
    return {
        "person": mention.person,
        "author": mention.author,
        "project": mention.project,
        "asset": mention.asset,
        "variant": mention.variant,
        "image": mention.image,
        "text": "" if mention.hidden else mention.text[:EXCERPT],
        "url": f"{review_url.rstrip('/')}/?image={quote(mention.image)}",
    }


def _compose(facts: list[dict[str, Any]], *, more: int, escapes: bool) -> str:
    lines = [f"{count_noun(len(facts) + more, 'mention')} in comments"]
    for fact in facts:
        who, author, asset, variant, text = (
            _plain(str(fact[part]), escapes=escapes) for part in ("person", "author", "asset", "variant", "text")
        )
        said = f": “{text}”" if text else ""
        lines.append(f"• {who}, by {author} on {asset}, {variant}{said} {fact['url']}")
    return "\n".join([*lines, *([f"and {more:,} more"] if more else [])])


def _plain(text: str, *, escapes: bool) -> str:
    """One line that calls nobody (`@channel`) and, for Slack, has no markup."""
    text = UNSEEN.sub(" ", text).strip().replace("@", "@\u2060")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") if escapes else text
