"""What goes and what stays: over every kind of image, beside a night at work, killed at every point, on both stacks."""

from __future__ import annotations

import os
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.errors import LedgerError, NotAllowed
from schemas.review import Verdict
from schemas.settings import Limits, Retention
from schemas.spec import ImageSpec
from storage import failpoint
from storage.objects import TRASH, FolderStore
from storage.pictures import encode
from tasks.fsck import Fsck
from tasks.gc import GarbageCollection, Removal, put_back
from tasks.shift.shifts import Shift
from tests.conftest import Stack
from tests.making import a_choice, a_keeping, a_spec, a_submission, an_image, picture_of, planned, sha
from tests.standings import IDLE, OPEN, keep, put, stock

AT_ONCE = Retention(rejected_days=0, conditions_days=0, previews_days=0, unreferenced_days=1, trash_days=4)
LATER = datetime.now(UTC) + timedelta(days=3)


def collect(
    stack: Stack, *, at: datetime = LATER, retention: Retention = AT_ONCE, remove: bool = True
) -> list[Removal]:
    return list(GarbageCollection(stack.ledger, stack.store, retention, remove=remove, at=at))


def check_sound(stack: Stack, specs: dict[str, ImageSpec]) -> None:
    """Nothing is wrong, and all that may not go is there."""
    check = Fsck(stack.ledger, stack.store)
    assert [str(trouble) for trouble in check if not trouble.note] == []
    for name, spec in specs.items():
        image = stack.ledger.picture(spec.digest).image
        assert stack.store.exists(image.object_key) == (name != "rejected"), name
        assert stack.store.exists(image.thumb_key) and stack.store.exists(image.preview_key), name


def test_what_may_go_goes_and_nothing_else(stack: Stack) -> None:
    specs = stock(stack.ledger, stack.store)
    orphan = put(stack.store, "images", "of a killed worker")
    idle, again = (Shift("x", ((spec,),)).dump() for spec in (specs["waiting"].digest, a_spec(OPEN).digest))
    done = stack.store.put_content("shifts", idle, extension="json", media_type="application/json")
    keys = set(stack.store.keys(""))

    # 1. Looking changes nothing, and says what removing does.
    seen = collect(stack, remove=False)
    assert set(stack.store.keys("")) == keys
    young = Retention(rejected_days=4, conditions_days=4, previews_days=4, unreferenced_days=4)
    assert collect(stack, retention=young) == [] and set(stack.store.keys("")) == keys
    gone = collect(stack)
    assert seen == gone
    rejected = stack.ledger.picture(specs["rejected"].digest).image
    assert Counter(removal.kind for removal in gone) == {"rejected": 1, "preview": 4, "condition": 1, "unreferenced": 2}
    condition = IDLE.condition_key(specs["approved"].width, specs["approved"].height)
    kept = {"rejected", "unreferenced", "condition"}
    assert {r.key for r in gone if r.kind in kept} == {rejected.object_key, orphan, done, condition}
    check_sound(stack, specs)
    assert collect(stack) == [], "once is enough"

    # 2. It is in the trash for its time; a picture that was rejected can come back, with its preview.
    assert {key.removeprefix(TRASH) for key in stack.store.keys(TRASH)} == keys - set(stack.store.keys(""))
    with pytest.raises(NotAllowed, match=r"its bytes were removed at .* --put-back"):
        stack.ledger.decide(a_choice(specs["rejected"], revision=1), reviewer="Noor", role="lead")
    put_back(stack.ledger, stack.store, specs["rejected"].digest, Limits())
    back = stack.ledger.picture(specs["rejected"].digest).image
    assert stack.store.exists(back.object_key) and back.preview_key != back.thumb_key
    with pytest.raises(LedgerError, match="nothing of it was removed"):
        put_back(stack.ledger, stack.store, specs["rejected"].digest, Limits())
    stack.ledger.decide(a_choice(specs["rejected"], revision=1), reviewer="Noor", role="lead")

    # 3. Then the trash is emptied.
    emptied = collect(stack, at=LATER + timedelta(days=2))
    assert {removal.kind for removal in emptied} == {"trash", "preview"}
    assert set(stack.store.keys(TRASH)) == {TRASH + removal.key for removal in emptied if removal.kind == "preview"}
    assert [str(t) for t in Fsck(stack.ledger, stack.store) if not t.note] == []
    assert again  # its spec is to be made
    assert stack.store.exists(f"sources/{sha('source')[:2]}/{sha('source')}.png")


def test_a_picture_that_a_retake_starts_from_stays(stack: Stack) -> None:
    """Even when its own image is rejected afterwards."""
    specs = stock(stack.ledger, stack.store)
    stack.ledger.decide(a_choice(specs["sent back"], Verdict.REJECT, revision=1), reviewer="Noor")
    assert "rejected" not in {r.kind for r in collect(stack) if specs["sent back"].digest[:12] in r.detail}
    assert stack.store.exists(stack.ledger.picture(specs["sent back"].digest).image.object_key)


def test_a_decision_in_between_wins(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = stock(stack.ledger, stack.store)

    def take_back(name: str) -> None:
        if name == "gc.after_mark":
            stack.ledger.decide(a_choice(specs["rejected"], Verdict.UNDO, revision=1), reviewer="Noor")

    monkeypatch.setattr("tasks.gc.failpoint", take_back)
    assert "rejected" not in {removal.kind for removal in collect(stack)}
    assert stack.store.exists(stack.ledger.picture(specs["rejected"].digest).image.object_key)


def test_what_a_night_needs_again_in_that_moment_is_put_back(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hardest case: the bytes lay there for months, of a worker that was killed, and are put again right now."""
    spec = a_spec(1)
    planned(stack.ledger, [spec])
    key = stack.store.put_content(
        "images", encode(picture_of(spec), spec).data, extension="png", media_type="image/png"
    )
    put(stack.store, "images", "another orphan, so that something is moved")
    kept: list[bool] = []

    def work(name: str) -> None:
        if name == "gc.after_mark":  # the put finds them there; the record comes after they were moved
            assert not stack.store.put_once(key, encode(picture_of(spec), spec).data, media_type="image/png")
        elif name == "gc.after_move" and not kept and not stack.store.exists(key):
            kept.append(True)
            image = an_image(spec, sha256=key[10:74], object_key=key, preview_key=key, thumb_key=key)
            stack.ledger.keep_many([a_keeping(spec, image=image)])

    monkeypatch.setattr("tasks.gc.failpoint", work)
    assert [removal.key for removal in collect(stack) if removal.kind == "put back"] == [key] and kept
    assert stack.store.exists(key)
    # Had this run been killed before its second look, the next one puts back too, and so does fsck.
    stack.store.move(key, TRASH + key)
    mend = Fsck(stack.ledger, stack.store, repair=True)
    assert [(t.kind, t.repaired) for t in mend if t.subject == key] == [("object missing", True)]
    stack.store.move(key, TRASH + key)
    monkeypatch.setattr("tasks.gc.failpoint", lambda name: None)
    assert [r.key for r in collect(stack, at=LATER + timedelta(days=9)) if r.kind == "put back"] == [key]
    assert stack.store.exists(key)


def test_beside_a_night_and_reviewers_nothing_is_lost(stack: Stack) -> None:
    """Threads keep and decide while it collects, over and over; objects as old as it likes."""
    specs = [a_spec(seed) for seed in range(30)]
    manifest = put(stack.store, "manifests", "project: potions\n", "yaml")
    planned(stack.ledger, specs, submission=a_submission(object_key=manifest))
    ended = threading.Event()
    troubles: list[BaseException] = []

    def night() -> None:
        try:
            for number, spec in enumerate(specs):
                keep(stack.ledger, stack.store, spec)
                if number % 3:
                    verdict = Verdict.REJECT if number % 3 == 1 else Verdict.APPROVE
                    stack.ledger.decide(a_choice(spec, verdict), reviewer="Noor")
        except BaseException as error:
            troubles.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=night)
    thread.start()
    # Objects count as old after a day; those that the night puts are some milliseconds old.
    today = Retention(rejected_days=0, conditions_days=0, previews_days=0)
    while not ended.is_set():
        collect(stack, at=datetime.now(UTC), retention=today)
    thread.join()
    collect(stack, at=datetime.now(UTC), retention=today)
    assert troubles == []
    assert [str(trouble) for trouble in Fsck(stack.ledger, stack.store)] == []
    for number, spec in enumerate(specs):
        there = stack.store.exists(stack.ledger.picture(spec.digest).image.object_key)
        assert there == (number % 3 != 1), number


@pytest.mark.parametrize("point", ["gc.after_mark", "gc.after_record", "gc.after_move", "gc.after_move:3"])
def test_killed_anywhere_the_next_run_goes_on(local_stack: Stack, point: str) -> None:
    specs = stock(local_stack.ledger, local_stack.store)
    local_stack.ledger.engine.dispose()
    child = os.fork()
    if child == 0:
        os.environ[failpoint.VARIABLE] = point
        failpoint._rehearsed.cache_clear()
        collect(local_stack)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    collect(local_stack)
    check_sound(local_stack, specs)


def test_the_command_looks_first(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAILIES_RETENTION__REJECTED_DAYS", "0")
    specs = stock(local_stack.ledger, local_stack.store)
    store = local_stack.store
    assert isinstance(store, FolderStore)
    left = store.root / "images" / ".1-abc.part"
    left.write_bytes(b"unfinished")
    os.utime(left, (0, 0))
    looked = CliRunner().invoke(app, ["gc"])
    assert looked.exit_code == 0 and "rejected: 1, " in looked.output and "unfinished: 1, " in looked.output
    assert looked.output.splitlines()[-1] == "nothing was removed; `dailies gc --remove` does" and left.exists()
    assert CliRunner().invoke(app, ["gc", "--remove"]).output.splitlines()[-1] == "moved to the trash"
    assert not left.exists()
    check_sound(local_stack, specs)
    digest = specs["rejected"].digest
    assert CliRunner().invoke(app, ["gc", "--put-back", digest[:10]]).output == f"{digest[:12]}: is back\n"
    assert store.exists(local_stack.ledger.picture(digest).image.object_key)
