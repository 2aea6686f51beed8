"""One request by a client link: what its secret permits now, and nothing else. Knows no HTTP and no Streamlit.

A client names images by their place in the playlist, so that there is no way to name another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from review_app.client_page.name_across import write_across
from review_app.resources import open_resources
from schemas.comments import LONGEST, NewComment
from schemas.errors import LedgerError, LedgerUnavailable, NotAllowed, StaleDecision
from schemas.playlists import ClientMay
from schemas.review import Choice, Verdict, spell_errors
from schemas.settings import CLIENT
from storage.ledger import ImageDetails, OpenLink

SIZES = ("preview", "thumb")
ACTS = {
    "approve": (Verdict.APPROVE, "approved"),
    "reject": (Verdict.REJECT, "rejected"),
    "undo": (Verdict.UNDO, "took back"),
}
"""What the page asks for: the decision, and how the link's list says it."""


class Refused(Exception):
    """Said to the client, word for word."""

    def __init__(self, why: str, status: int = 403) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Visit:
    link: OpenLink
    images: list[str]
    """Digests, in the playlist's order."""

    @classmethod
    def of(cls, secret: str) -> Visit:
        """Refused for what is no link's secret, and alike for one that was revoked or has expired."""
        ledger = open_resources().ledger
        link = ledger.open_client_link(secret) if 20 <= len(secret) <= 100 else None
        if link is None:
            raise Refused("This link is not valid, or no longer. Ask whoever sent it for a new one.", 404)
        return cls(link, ledger.playlist_images(link.playlist))

    def open(self) -> dict[str, Any]:
        ledger = open_resources().ledger
        ledger.note_client_act(self.link.id, "opened")
        found = ledger.pictures(self.images)
        said = ledger.comments(self.images, reader=self.link.signed)
        return {
            "client": self.link.client,
            "name": self.link.name,
            "until": f"{self.link.expires_at:%-d %B %Y}",
            "may": self.link.may.value,
            "images": [
                self._show(number, found[digest])
                | {"said": [one.text for one in said.get(digest, []) if one.author == self.link.signed]}
                for number, digest in enumerate(self.images)
            ],
        }

    def picture(self, number: int, size: str) -> bytes:
        if size not in SIZES:
            raise Refused("There is no such picture.", 404)
        at, digest = open_resources(), self._named(number)
        if size == "preview":
            at.ledger.note_client_act(self.link.id, "looked", digest)
        image = at.ledger.picture(digest).image
        data = at.store.get(image.preview_key if size == "preview" else image.thumb_key)
        return write_across(data, f"{self.link.client} · {self.link.expires_at:%Y-%m-%d}")

    def act(self, sent: dict[str, Any]) -> dict[str, Any]:
        """A comment or a decision; what the image is like then."""
        digest, name = self._named(sent.get("number")), sent.get("act")
        try:
            if name == "comment":
                self._comment(digest, sent)
            elif isinstance(name, str) and name in ACTS:
                self._decide(digest, *ACTS[name], sent)
            else:
                raise Refused("There is no such act.", 400)
        except ValidationError as wrong:
            raise Refused(spell_errors(wrong), 400) from None
        except StaleDecision:
            raise Refused(
                "The studio has changed something about this image meanwhile. Reload the page.", 409
            ) from None
        except NotAllowed:
            raise Refused("This image does not wait for you now.") from None
        except LedgerUnavailable:
            raise
        except LedgerError as wrong:
            raise Refused(str(wrong), 400) from None
        return self._show(self.images.index(digest), open_resources().ledger.picture(digest))

    def _comment(self, digest: str, sent: dict[str, Any]) -> None:
        if self.link.may is ClientMay.LOOK:
            raise Refused("With this link one can look, and not comment.")
        self._tell_the_team(_read_comment(digest, sent))
        open_resources().ledger.note_client_act(self.link.id, "commented", digest)

    def _decide(self, digest: str, verdict: Verdict, done: str, sent: dict[str, Any]) -> None:
        if self.link.may is not ClientMay.DECIDE:
            raise Refused("With this link one cannot decide.")
        words = sent.get("text") or ""
        given = {"image": digest, "revision": sent.get("revision"), "verdict": verdict, "note": words}
        choice = Choice.model_validate(given)
        if verdict is Verdict.REJECT and not choice.note.strip():
            raise Refused("Say what should be different, please.", 400)
        why = _read_comment(digest, sent) if verdict is Verdict.REJECT else None  # before anything is recorded
        ledger = open_resources().ledger
        ledger.decide(choice, reviewer=self.link.signed, role=CLIENT)
        ledger.note_client_act(self.link.id, done, digest)
        if why is not None:
            self._tell_the_team(why)

    def _tell_the_team(self, new: NewComment) -> None:
        """As a comment that names who gave the link, so that it is news for them."""
        text = new.text if len(new.text) + 90 > LONGEST else f"@{self.link.made_by} {new.text}"
        open_resources().ledger.comment(
            new.model_copy(update={"text": text}), author=self.link.signed, role=CLIENT, people=[self.link.made_by]
        )

    def _named(self, number: object) -> str:
        if type(number) is not int or not 0 <= number < len(self.images):
            raise Refused("There is no such image in this playlist.", 404)
        return self.images[number]

    def _show(self, number: int, found: ImageDetails) -> dict[str, Any]:
        """What a client may know of an image: not what the studio said of it, nor how it was made."""
        mine = [one for one in found.decisions if one.reviewer == self.link.signed]
        verdict = mine[-1].verdict if mine and mine[-1].verdict != Verdict.UNDO else ""
        holds = bool(verdict) and found.revision == mine[-1].revision
        waits = self.link.may is ClientMay.DECIDE and found.entry.step == CLIENT
        return {
            "number": number,
            "asset": found.spec.asset,
            "variant": found.spec.variant,
            "take": found.spec.take,
            "width": found.image.width,
            "height": found.image.height,
            "revision": found.revision,
            "verdict": verdict,
            "may": ["approve", "reject"] if waits else ["undo"] if holds and self.link.may is ClientMay.DECIDE else [],
        }


def _read_comment(digest: str, sent: dict[str, Any]) -> NewComment:
    """Raises ValidationError."""
    return NewComment.model_validate({"image": digest, "text": sent.get("text"), "token": sent.get("token")})
