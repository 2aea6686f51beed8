"""A second review is a review of its own: nobody sees what the other one decided before both have."""

from __future__ import annotations

import pytest

from schemas.errors import NotAllowed
from schemas.review import Verdict
from storage.ledger import Ledger
from tests.making import a_choice, a_spec, kept, planned


def test_the_trail_and_the_image_hide_the_other_review(ledger: Ledger) -> None:
    twice, once = a_spec(1), a_spec(2, project="other")
    kept(ledger, [twice], reviews_wanted=2)
    planned(ledger, [once])
    from tests.making import a_keeping

    ledger.keep_many([a_keeping(once)])
    ledger.decide(a_choice(twice, Verdict.REJECT, note="six fingers"), reviewer="Ada")
    ledger.decide(a_choice(once), reviewer="Ada")

    def trail(who: str | None) -> set[str]:
        return {one.decision.image for one in ledger.decisions(blind_to=who)}

    picture = ledger.picture(twice.digest)
    assert (trail("Noor"), picture.shown_to("Noor")) == ({once.digest}, ())
    assert trail("Ada") == trail(None) == {once.digest, twice.digest}
    assert len(picture.shown_to("Ada")) == len(picture.shown_to(None)) == 1
    # Both have decided, alike: it waits no more, and nothing is hidden.
    ledger.decide(a_choice(twice, Verdict.REJECT, revision=1), reviewer="Noor")
    assert trail("Noor") == {once.digest, twice.digest}
    assert len(ledger.picture(twice.digest).shown_to("Noor")) == 2


def test_a_lead_releases_what_was_set_aside(ledger: Ledger) -> None:
    spec = a_spec()
    planned(ledger, [spec])
    ledger.fail(spec.digest, cause="NotFinite", message="NaN", worker="w", night=None, max_attempts=1)
    for role in ("viewer", "reviewer", "nobody"):
        with pytest.raises(NotAllowed, match="takes one of admin, lead"):
            ledger.release_set_aside([spec.digest], "Noor", role=role)
    assert len(ledger.set_aside()) == 1
    assert ledger.release_set_aside([spec.digest], "Lea", role="lead") == 1
