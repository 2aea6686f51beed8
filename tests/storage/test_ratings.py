"""Stars and colours in the ledger."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.errors import LedgerError, NotAllowed
from schemas.ratings import MAYBES, NewRating, RatingColour, name_maybe
from storage.ledger import Ledger
from tests.making import a_choice, a_spec, kept


def test_the_newest_rating_is_the_images(ledger: Ledger) -> None:
    one, two, three = (a_spec(n) for n in range(3))
    kept(ledger, [one, two, three])
    assert ledger.ratings([one.digest]) == {} and not ledger.has_ratings()
    ledger.rate(NewRating(image=one.digest, stars=3), author="Noor")
    ledger.rate(NewRating(image=one.digest, stars=4, colour=RatingColour.RED), author="Ada")
    ledger.rate(NewRating(image=two.digest, colour=RatingColour.BLUE), author="Ada")
    found = ledger.ratings([one.digest, two.digest, three.digest])
    assert {image: (r.stars, r.colour, r.rated_by) for image, r in found.items()} == {
        one.digest: (4, "red", "Ada"),
        two.digest: (0, "blue", "Ada"),
    }

    def waiting(maybe: str) -> set[str]:
        page = {item.digest for item in ledger.inbox(maybe=maybe)}
        assert page == {place.digest for place in ledger.inbox_order(maybe=maybe, reviewer="Lea")}
        return page

    assert {maybe: waiting(maybe) for maybe in MAYBES if waiting(maybe)} == {
        **{stars: {one.digest} for stars in "1234"},
        "red": {one.digest},
        "blue": {two.digest},
    }
    ledger.rate(NewRating(image=one.digest), author="Noor")
    assert set(ledger.ratings([one.digest, two.digest])) == {two.digest} and waiting("1") == set()
    ledger.decide(a_choice(two), reviewer="Noor")
    assert waiting("blue") == set() and ledger.has_ratings()
    with pytest.raises(LedgerError, match="maybe: got 'pink'; expected one of: 1, 2, 3, 4, 5, red"):
        ledger.inbox(maybe="pink")


@pytest.mark.parametrize("role", ["viewer", "nobody"])
def test_who_only_looks_rates_nothing(ledger: Ledger, role: str) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    with pytest.raises(NotAllowed, match=f"Vic is {role}; rating takes one of"):
        ledger.rate(NewRating(image=spec.digest, stars=1), author="Vic", role=role)
    with pytest.raises(LedgerError, match="there is no image"):
        ledger.rate(NewRating(image=a_spec(9).digest, stars=1), author="Noor")
    assert not ledger.has_ratings()


def test_a_second_review_sees_no_rating_of_the_first(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec], reviews_wanted=2)
    ledger.rate(NewRating(image=spec.digest, stars=1, colour=RatingColour.RED), author="Ada")
    assert ledger.ratings([spec.digest], blind_to="Noor") == {}
    assert ledger.inbox(maybe="red", reviewer="Noor") == []
    assert len(ledger.inbox(maybe="red", reviewer="Ada")) == len(ledger.ratings([spec.digest], blind_to="Ada")) == 1
    assert len(ledger.ratings([spec.digest])) == 1


@pytest.mark.parametrize("wrong", [{"stars": 6}, {"stars": -1}, {"colour": "pink"}, {"stars": "many"}, {"by": "x"}])
def test_what_is_no_rating(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewRating.model_validate({"image": "0" * 64} | wrong)


def test_filters_are_named_for_people() -> None:
    assert [name_maybe(maybe) for maybe in ("1", "5", "red")] == ["★ and more", "★★★★★", "red"]
