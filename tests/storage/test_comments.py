"""Comments in the ledger: written once, seen by whom they are for, hidden from whom they are not yet for."""

from __future__ import annotations

import threading

import pytest

from schemas.comments import MOST_PEOPLE, Concern, NewComment
from schemas.errors import LedgerError, NotAllowed
from schemas.review import Changes, Verdict, apply_changes
from schemas.spec import ImageSpec
from storage.ledger import Ledger, Said
from tests.making import a_choice, a_keeping, a_spec, kept, sha

TOKENS = iter(range(10**8, 10**9))


def say(ledger: Ledger, spec: ImageSpec, text: str, author: str, **more: str) -> Said:
    new = NewComment(image=spec.digest, text=text, token=more.pop("token", f"t{next(TOKENS)}"))
    return ledger.comment(new, author=author, role=more.pop("role", "reviewer"))


def a_retake(ledger: Ledger, spec: ImageSpec) -> ImageSpec:
    ledger.decide(a_choice(spec, Verdict.RETAKE, changes=Changes()), reviewer="Ada")
    decision, _, image = next(row for row in ledger.awaiting_retake() if row[2].digest == spec.digest)
    child = apply_changes(spec, Changes(), picture=image.sha256)
    ledger.plan_retake(decision.id, parent=spec.digest, child=child, refused=None)
    ledger.keep_many([a_keeping(child)])
    return child


def texts(ledger: Ledger, spec: ImageSpec, reader: str, *, blind_to: str | None = None) -> list[tuple[str, int, bool]]:
    found = ledger.comments([spec.digest], reader=reader, blind_to=blind_to).get(spec.digest, [])
    return [(said.text, said.take, said.unread) for said in found]


def test_a_comment_is_seen_by_the_next_person_and_on_every_later_take(ledger: Ledger) -> None:
    spec, other = a_spec(1), a_spec(2)
    kept(ledger, [spec, other])
    first = say(ledger, spec, "  the glass is too dark\n", "Noor")
    child = a_retake(ledger, spec)
    say(ledger, child, "better", "Ada")
    grandchild = a_retake(ledger, child)
    assert texts(ledger, spec, "Ada") == [("the glass is too dark", 1, True)]
    assert texts(ledger, spec, "Noor") == [("the glass is too dark", 1, False)]
    assert texts(ledger, grandchild, "Ada") == [("the glass is too dark", 1, True), ("better", 2, False)]
    ledger.read_comments("Ada", [first.id, first.id, 10**6, -1])
    assert texts(ledger, child, "Ada") == [("the glass is too dark", 1, False), ("better", 2, False)]
    assert texts(ledger, child, "Bo") == [("the glass is too dark", 1, True), ("better", 2, True)]
    assert ledger.comments([other.digest, sha("none")], reader="Ada") == {}
    assert set(ledger.comments([spec.digest, child.digest, other.digest], reader="Ada")) == {spec.digest, child.digest}
    counts = ledger.comment_counts([spec.digest, child.digest, other.digest], reader="Bo")
    assert {image: (count.total, count.unread) for image, count in counts.items()} == {
        spec.digest: (1, 1),
        child.digest: (1, 1),
    }


def test_the_same_token_writes_once_whoever_is_first(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    got: list[int] = []
    threads = [
        threading.Thread(target=lambda: got.append(say(ledger, spec, "@Ada once", "Noor", token="samesame").id))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8 and len(set(got)) == 1
    assert say(ledger, spec, "another's", "Ada", token="samesame").id != got[0]
    assert [text for text, _, _ in texts(ledger, spec, "Lea")] == ["@Ada once", "another's"]


def test_names_are_looked_up_and_nothing_is_lost(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    ledger.decide(a_choice(spec), reviewer="Ada Berg")
    said = say(ledger, spec, "@ada and @mara and @Nobody: look", "Noor")
    assert (said.mentions, said.unknown) == (("Ada Berg", "mara"), ("Nobody",))  # mara sent the manifest in
    assert {"Ada Berg", "mara", "Noor"} <= set(ledger.people())
    new = NewComment(image=spec.digest, text="@Nobody", token="withnames")
    assert ledger.comment(new, author="Noor", people=["Nobody"]).mentions == ("Nobody",)
    crowd = [f"p{n}" for n in range(MOST_PEOPLE + 1)]
    new = NewComment(image=spec.digest, text=" ".join(f"@{name}" for name in crowd), token="crowdcrowd")
    with pytest.raises(LedgerError, match="got 21 people named in one comment; expected at most 20"):
        ledger.comment(new, author="Noor", people=crowd)
    assert len(texts(ledger, spec, "Noor")) == 2


@pytest.mark.parametrize("role", ["viewer", "nobody"])
def test_who_only_looks_writes_nothing(ledger: Ledger, role: str) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    with pytest.raises(NotAllowed, match=f"Vic is {role}; commenting takes one of admin, lead, reviewer"):
        say(ledger, spec, "hello", "Vic", role=role)
    with pytest.raises(NotAllowed, match="needs the name"):
        say(ledger, spec, "hello", " ")
    with pytest.raises(LedgerError, match="there is no image"):
        say(ledger, a_spec(99), "hello", "Noor")
    assert texts(ledger, spec, "Vic") == []


def feed(ledger: Ledger, person: str, *, blind_to: str | None = None) -> list[tuple[str, str, Concern, bool]]:
    return [(one.author, one.text, one.concern, one.unread) for one in ledger.feed(person, blind_to=blind_to)]


def test_the_feed_has_mentions_and_answers_newest_first(ledger: Ledger) -> None:
    spec, other = a_spec(1), a_spec(2)
    kept(ledger, [spec, other])
    ledger.decide(a_choice(other), reviewer="Ada")
    say(ledger, spec, "@Ada is this the new glass?", "Noor")
    say(ledger, spec, "I think so", "Lea")
    child = a_retake(ledger, spec)
    say(ledger, child, "it is, @Noor; @Ada said so", "Ada")
    assert feed(ledger, "Ada") == [
        ("Lea", "I think so", Concern.ANSWER, True),
        ("Noor", "@Ada is this the new glass?", Concern.MENTION, True),
    ]
    assert feed(ledger, "Noor") == [
        ("Ada", "it is, @Noor; @Ada said so", Concern.MENTION, True),
        ("Lea", "I think so", Concern.ANSWER, True),
    ]
    assert feed(ledger, "Lea") == [("Ada", "it is, @Noor; @Ada said so", Concern.ANSWER, True)]
    assert feed(ledger, "Bo") == [] and ledger.unread_count("Bo") == 0
    newest = ledger.feed("Noor", limit=1)[0]
    assert (newest.image, newest.take, newest.waiting, newest.asset) == (child.digest, 2, True, "red potion")
    assert [one.author for one in ledger.feed("Noor", before=newest.comment)] == ["Lea"]
    assert ledger.unread_count("Noor") == 2
    ledger.read_comments("Noor", [newest.comment])
    assert (ledger.unread_count("Noor"), ledger.unread_count("Lea")) == (1, 1)
    assert [unread for *_, unread in feed(ledger, "Noor")] == [False, True]
    ledger.read_feed("Noor")
    assert (ledger.unread_count("Noor"), ledger.unread_count("Lea")) == (0, 1)


def test_a_second_review_sees_no_comment_before_it_has_decided(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec], reviews_wanted=2)
    ledger.decide(a_choice(spec, Verdict.REJECT), reviewer="Ada")
    say(ledger, spec, "@Noor six fingers", "Ada")
    ledger.decide(a_choice(a_spec_elsewhere(ledger)), reviewer="Noor")
    say(ledger, spec, "@Noor reject it", "Ada")
    assert texts(ledger, spec, "Noor", blind_to="Noor") == []
    assert ledger.comment_counts([spec.digest], reader="Noor", blind_to="Noor") == {}
    assert feed(ledger, "Noor", blind_to="Noor") == [] and ledger.unread_count("Noor", blind_to="Noor") == 0
    ledger.read_feed("Noor", blind_to="Noor")  # not what she has not seen
    assert ledger.unread_count("Noor") == 1
    assert len(texts(ledger, spec, "Ada", blind_to="Ada")) == len(texts(ledger, spec, "Lea")) == 2
    assert [mention.hidden for mention in ledger.claim_untold("webhook", quiet_seconds=0)] == [True]
    ledger.decide(a_choice(spec, Verdict.REJECT, revision=1), reviewer="Noor")
    assert len(texts(ledger, spec, "Noor", blind_to="Noor")) == 2
    assert len(feed(ledger, "Noor", blind_to="Noor")) == 1  # nobody knew a Noor at the first


def a_spec_elsewhere(ledger: Ledger) -> ImageSpec:
    spec = a_spec(5)
    ledger.plan(None, [spec], priority=0, due=None, submitted_by="mara")
    ledger.keep_many([a_keeping(spec)])
    return spec


def test_mentions_are_told_once_and_together(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    ledger.decide(a_choice(spec), reviewer="Ada")
    assert ledger.claim_untold("webhook", quiet_seconds=0) == []
    say(ledger, spec, "@Ada one", "Noor")
    assert ledger.claim_untold("webhook", quiet_seconds=60) == []  # more may follow
    read = say(ledger, spec, "@Ada two", "Noor")
    say(ledger, spec, "@Ada @mara three", "Noor")
    ledger.read_comments("Ada", [read.id])
    claimed: list[list[tuple[str, str]]] = []
    threads = [
        threading.Thread(
            target=lambda: claimed.append([(m.person, m.text) for m in ledger.claim_untold("webhook", quiet_seconds=0)])
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [("Ada", "@Ada one"), ("Ada", "@Ada @mara three"), ("mara", "@Ada @mara three")]
    assert sorted(claimed, key=len)[-1] == told and sum(map(len, claimed)) == 3
    assert ledger.claim_untold("webhook", quiet_seconds=0) == []


def test_what_could_not_be_told_is_told_later(ledger: Ledger) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    say(ledger, spec, "@mara one", "Noor")
    mentions = ledger.claim_untold("webhook", quiet_seconds=0)
    ledger.release_untold("webhook", mentions)
    say(ledger, spec, "@mara two", "Noor")
    assert [m.text for m in ledger.claim_untold("webhook", quiet_seconds=0)] == ["@mara one", "@mara two"]
