"""SIGKILL at every named point of the ledger and the store, then the same again: nothing lost, nothing doubled.

The process that dies is forked, not started: what is tried here is what it leaves behind, not how it begins
(the flows' own kill test starts whole programs).
"""

from __future__ import annotations

import os
import signal
from functools import cache
from typing import Any

import pytest
from sqlalchemy import func, select

from schemas.records import Decision, Delivery, FindingRow, Image, InboxEntry, Job, Order, Retake, Row, Spec
from schemas.review import Changes, Verdict, apply_changes
from storage import failpoint
from storage.database import open_database
from storage.ledger import Ledger
from storage.objects import S3Store, Store, s3_client
from tests.conftest import Stack
from tests.making import a_choice, a_finding, a_keeping, a_spec, a_submission, sha

SPECS = [a_spec(seed) for seed in range(4)]
FAILS = a_spec(99)
WORKER = "here:1"
TRANSACTIONS = ("submit", "plan", "planned", "claim", "fail", "keep", "decide", "retake", "deliver", "release", "pin")
POINTS = [f"ledger.{name}.{when}_commit" for name in TRANSACTIONS for when in ("before", "after")]
BYTES = {"local": ("objects.before_link", "objects.after_link"), "studio": ("objects.before_put", "objects.after_put")}


def a_night_and_a_morning(ledger: Ledger, store: Store) -> None:
    """Everything once, by a program that looks at what is there already and goes on."""
    ledger.pin("studio-tiny", "0" * 64)
    ledger.submit(a_submission())
    for submission in ledger.unplanned():
        ledger.plan(submission.digest, [*SPECS, FAILS], priority=0, due=None, submitted_by="mara")
    ledger.release(ledger.leased(WORKER), worker=WORKER)  # of the one that died
    for spec in ledger.claim([spec.digest for spec in (*SPECS, FAILS)], worker=WORKER, seconds=600):
        if spec.digest == FAILS.digest:
            ledger.fail(spec.digest, cause="NotFinite", message="no", worker=WORKER, night=None, max_attempts=99)
            continue
        keeping = a_keeping(spec, [a_finding()])
        keeping.image.object_key = store.put_content(
            "images", f"pixels of {spec.seed}".encode(), extension="png", media_type="image/png"
        )
        ledger.keep_many([keeping])
    for item in ledger.inbox(limit=100):
        spec = next(spec for spec in SPECS if spec.digest == item.digest)
        verdict = Verdict.RETAKE if spec.seed == 0 else Verdict.APPROVE
        ledger.decide(a_choice(spec, verdict, revision=item.revision), reviewer="ann")
    for decision, parent, image in ledger.awaiting_retake():
        child = apply_changes(parent, Changes(), picture=image.sha256)
        ledger.plan_retake(decision.id, parent=parent.digest, child=child, refused=None)
    for image, spec, decision in ledger.deliverable():
        name = f"T_{spec.variant}.png"
        store.put_once(f"delivery/potions/{name}", store.get(image.object_key), media_type="image/png")
        ledger.deliver(Delivery(image=image.digest, project="potions", name=name, sidecar="", decision=decision.id))


@cache
def unused_client(endpoint_url: str | None) -> Any:
    """Making one is slow; this one has no connection yet and is only used by forked processes."""
    return s3_client(endpoint_url=endpoint_url, region="us-east-1")


def dies_at(point: str, stack: Stack) -> int:
    """Runs it in a forked process, on connections of its own; returns the signal that ended it, or 0."""
    store = stack.store
    if isinstance(store, S3Store):
        store = S3Store(store.bucket, store.prefix, unused_client(stack.settings.s3_endpoint_url))
    child = os.fork()
    if child == 0:
        os.environ[failpoint.VARIABLE] = point
        failpoint._rehearsed.cache_clear()
        try:
            a_night_and_a_morning(Ledger(open_database(stack.settings.database)), store)
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def check(stack: Stack) -> None:
    """Exactly what an undisturbed run leaves."""
    ledger, store = stack.ledger, stack.store
    child = apply_changes(SPECS[0], Changes(), picture=sha(SPECS[0].digest)).digest
    made = {spec.digest for spec in SPECS}
    with ledger.reading() as session:

        def count(table: type[Row]) -> int:
            return session.scalar(select(func.count()).select_from(table)) or 0

        images = session.scalars(select(Image)).all()
        assert {image.digest for image in images} == made == set(session.scalars(select(InboxEntry.image)))
        assert [store.get(image.object_key) for image in images]
        assert count(FindingRow) == 4 and count(Order) == 6 and count(Spec) == 6
        assert set(session.scalars(select(Job.spec).where(Job.done_at.is_not(None)))) == made
        decisions = session.execute(select(Decision.image, Decision.verdict, Decision.revision)).all()
        verdicts = {spec.digest: "retake" if spec.seed == 0 else "approve" for spec in SPECS}
        assert sorted(decisions) == sorted((digest, verdict, 1) for digest, verdict in verdicts.items())
        assert session.execute(select(Retake.parent, Retake.child)).all() == [(SPECS[0].digest, child)]
    assert {item.digest for item in ledger.waiting()} == {child, FAILS.digest}
    assert ledger.unplanned() == [] and ledger.inbox() == [] and ledger.leased(WORKER) == []
    names = [delivery.name for delivery in ledger.deliveries()]
    assert names == ["T_s1.png", "T_s2.png", "T_s3.png"]
    assert sorted(store.keys("delivery/")) == [f"delivery/potions/{name}" for name in names]
    assert [store.get(f"delivery/potions/T_s{n}.png") for n in (1, 2, 3)] == [
        f"pixels of {n}".encode() for n in (1, 2, 3)
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("point", [*POINTS, "bytes before", "bytes after"])
def test_after_a_crash_the_next_run_goes_on(stack: Stack, point: str) -> None:
    if point.startswith("bytes"):
        point = BYTES[stack.name][point == "bytes after"]
    assert dies_at(point, stack) == signal.SIGKILL
    if point.startswith("objects"):
        assert dies_at(f"{point}:3", stack) == signal.SIGKILL  # and again, further on
    a_night_and_a_morning(stack.ledger, stack.store)
    check(stack)


def test_without_the_variable_nothing_dies(stack: Stack) -> None:
    assert dies_at("", stack) == 0
    check(stack)
    a_night_and_a_morning(stack.ledger, stack.store)  # and again: nothing is left to do
    check(stack)
