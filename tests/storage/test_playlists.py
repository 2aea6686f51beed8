"""Playlists and client links in the ledger, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text, update

from schemas.errors import LedgerError, NotAllowed
from schemas.playlists import ClientMay, NewClientLink, NewFilter, NewPlaylist
from schemas.records import ClientLink
from schemas.review import Verdict
from storage.ledger import Ledger
from storage.ledger.transaction import now
from tests.making import a_choice, a_spec, kept


def stocked(ledger: Ledger, many: int = 5) -> list[str]:
    specs = [a_spec(seed, asset=f"a{seed}") for seed in range(many)]
    kept(ledger, specs)
    return [spec.digest for spec in specs]


def a_playlist(ledger: Ledger, images: list[str], *, people: tuple[str, ...] = ("Noor",), name: str = "Monday") -> int:
    new = NewPlaylist(name=name, images=tuple(images), people=people)
    return ledger.make_playlist(new, made_by="Lou", role="lead")


def test_its_images_come_in_its_order_and_it_says_how_far_it_is(ledger: Ledger) -> None:
    images = stocked(ledger)
    wanted = [images[3], images[0], images[4]]
    number = a_playlist(ledger, wanted)
    assert [item.digest for item in ledger.inbox(reviewer="Noor", playlists=[number])] == wanted
    assert ledger.playlist_images(number) == wanted
    ledger.decide(a_choice(a_spec(0, asset="a0"), Verdict.APPROVE), reviewer="Noor")
    (one,) = ledger.playlists()
    assert (one.images, one.waiting, one.by_verdict["approve"]) == (3, 2, 1)
    assert [item.digest for item in ledger.inbox(reviewer="Noor", playlists=[number])] == [images[3], images[4]]


def test_several_playlists_are_one_queue(ledger: Ledger) -> None:
    images = stocked(ledger)
    first, second = a_playlist(ledger, images[3:]), a_playlist(ledger, [images[0], images[4]], people=("art leads",))
    assert [item.digest for item in ledger.inbox(playlists=[first, second])] == [images[3], images[4], images[0]]
    assert ledger.inbox(playlists=[]) == []
    assert [one.id for one in ledger.playlists() if one.is_for(["Noor"])] == [first]
    assert [one.id for one in ledger.playlists() if one.is_for(["Ann", "art leads"])] == [second]


def test_what_cannot_be_is_refused(ledger: Ledger) -> None:
    images = stocked(ledger, 1)
    with pytest.raises(LedgerError, match="1 of the playlist's images do not exist"):
        a_playlist(ledger, [*images, "0" * 64])
    with pytest.raises(NotAllowed, match="viewer"):
        ledger.make_playlist(NewPlaylist(name="x", images=tuple(images)), made_by="Vic", role="viewer")
    for wrong in ({"name": " "}, {"images": ()}, {"images": ("nothing",)}, {"name": "a\nb"}):
        with pytest.raises(ValidationError):
            NewPlaylist.model_validate({"name": "x", "images": tuple(images)} | wrong)
    number = a_playlist(ledger, images)
    with pytest.raises(NotAllowed, match="only they or a lead"):
        ledger.close_playlist(number, by="Noor")
    ledger.close_playlist(number, by="Lou")
    assert ledger.playlists() == []
    with pytest.raises(LedgerError, match="it was closed"):
        ledger.playlist_images(number)


def test_a_link_opens_one_playlist_until_it_is_taken_back(ledger: Ledger) -> None:
    number = a_playlist(ledger, stocked(ledger))
    secret = ledger.make_client_link(NewClientLink(playlist=number, client="Aki"), made_by="Lou", role="lead")
    opened = ledger.open_client_link(secret)
    assert opened is not None
    assert (opened.playlist, opened.name, opened.signed, opened.may) == (number, "Monday", "Aki (client)", "comment")
    ledger.note_client_act(opened.id, "opened")
    (use,) = ledger.client_links(number)
    assert (use.acts, use.revoked_at, use.last_at is not None) == (1, None, True)
    assert [act.act for act in ledger.client_acts(opened.id)] == ["opened"]
    with pytest.raises(NotAllowed, match="takes a lead"):
        ledger.revoke_client_link(opened.id, by="Noor", role="reviewer")
    ledger.revoke_client_link(opened.id, by="Lou", role="lead")
    assert ledger.open_client_link(secret) is None


def test_the_secret_is_nowhere_in_the_database(ledger: Ledger) -> None:
    number = a_playlist(ledger, stocked(ledger, 1))
    secret = ledger.make_client_link(NewClientLink(playlist=number, client="Aki"), made_by="Lou", role="lead")
    with ledger.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM client_links")).all()
    assert len(rows) == 1
    assert secret not in str(rows)
    for other in ("", secret[:-1], secret + "x", secret.swapcase(), "\ud800", "x" * 10_000):
        assert ledger.open_client_link(other) is None


def test_a_link_ends_with_its_days_and_with_its_playlist(ledger: Ledger) -> None:
    number = a_playlist(ledger, stocked(ledger, 1))
    new = NewClientLink(playlist=number, client="Aki", may=ClientMay.LOOK, days=1)
    first, second = (ledger.make_client_link(new, made_by="Lou", role="lead") for _ in range(2))
    opened = ledger.open_client_link(first)
    assert opened is not None
    with ledger.writing("test") as session:
        session.execute(update(ClientLink).where(ClientLink.id == opened.id).values(expires_at=now() - timedelta(1)))
    assert ledger.open_client_link(first) is None
    assert ledger.open_client_link(second) is not None
    ledger.close_playlist(number, by="Lou")
    assert ledger.open_client_link(second) is None
    with pytest.raises(NotAllowed, match="takes a lead"):
        ledger.make_client_link(new, made_by="Noor", role="reviewer")


def test_a_filter_has_a_name_and_an_owner(ledger: Ledger) -> None:
    ledger.save_filter(NewFilter(name="Hands", query={"check": "hands"}), owner="Noor")
    ledger.save_filter(NewFilter(name="hands", query={"check": "text"}, shared=True), owner="Ada")
    ledger.save_filter(NewFilter(name="Hands", query={"check": "hands", "project": "P"}), owner="Noor")  # again
    ledger.save_filter(NewFilter(name="Ada's own", query={"maybe": "3"}), owner="Ada")
    assert [(one.name, dict(one.query)) for one in ledger.saved_filters("Noor")] == [
        ("Hands", {"check": "hands", "project": "P"}),
        ("hands", {"check": "text"}),
    ]
    shared = ledger.saved_filters("Noor")[1]
    ledger.remove_filter(shared.id, owner="Noor")
    assert len(ledger.saved_filters("Noor")) == 2
    ledger.remove_filter(shared.id, owner="Ada")
    assert len(ledger.saved_filters("Noor")) == 1
    with pytest.raises(NotAllowed, match="viewer"):
        ledger.save_filter(NewFilter(name="x", query={"check": "hands"}), owner="Vic", role="viewer")
    wrongs: list[dict[str, Any]] = [{"query": {}}, {"query": {"image": "x"}}, {"query": {"check": ""}}, {"name": ""}]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            NewFilter.model_validate({"name": "x", "query": {"check": "hands"}} | wrong)


def test_there_is_an_end_to_filters(sqlite_ledger: Ledger) -> None:
    for number in range(50):
        sqlite_ledger.save_filter(NewFilter(name=f"{number}", query={"check": "hands"}), owner="Noor")
    sqlite_ledger.save_filter(NewFilter(name="7", query={"check": "text"}), owner="Noor")
    with pytest.raises(LedgerError, match="one filter more than 50"):
        sqlite_ledger.save_filter(NewFilter(name="50", query={"check": "hands"}), owner="Noor")
