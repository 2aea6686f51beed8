"""Corruptions, planted one of each kind: fsck names every one of them and nothing else, and mends what can be."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, text, update
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.records import Delivery, InboxEntry, Job, Night, Spec, Submission
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from storage.objects import FolderStore
from tasks.fsck import Fsck
from tests.conftest import Stack
from tests.making import a_choice, a_keeping, a_spec, a_submission, an_image, planned

MENDED = {
    "no inbox entry", "made and open", "done and not made", "no job", "lease without holder", "night open",
    "inbox differs",
}  # fmt: skip


def stocked(ledger: Ledger, store: FolderStore, images: int = 24) -> list[ImageSpec]:
    """A sound studio: images with their bytes, some decided, one delivered, two specs that wait, a night that ended."""
    manifest = store.put_content("manifests", b"project: potions\n", extension="yaml", media_type="application/yaml")
    specs = [a_spec(seed) for seed in range(images + 4)]
    planned(ledger, specs, submission=a_submission(object_key=manifest))
    night = ledger.start_night("test")
    keepings = []
    for spec in specs[:images]:
        data = f"pixels of {spec.digest}".encode()
        keys = {
            f"{kind[:-1] if kind != 'images' else 'object'}_key": store.put_content(
                kind, kind.encode() + data if kind != "images" else data, extension="png", media_type="image/png"
            )
            for kind in ("images", "previews", "thumbs")
        }
        image = an_image(spec, sha256=hashlib.sha256(data).hexdigest(), night=night, **keys)
        keepings.append(a_keeping(spec, image=image))
    ledger.keep_many(keepings)
    ledger.end_night(night, outcome="complete", report_key=None, totals={})
    for spec in specs[:6]:
        ledger.decide(a_choice(spec), reviewer="Noor")
    (image, _, decision) = ledger.deliverable()[0]
    store.put_once("delivery/one.png", store.get(image.object_key), media_type="image/png")
    store.put_once("delivery/one.png.json", b"{}", media_type="application/json")
    ledger.deliver(
        Delivery(
            image=image.digest, project="potions", name="one.png", sidecar="delivery/one.png.json",
            decision=decision.id, delivered_at=datetime.now(UTC),
        )
    )  # fmt: skip
    return specs


def spoil(ledger: Ledger, store: FolderStore, specs: list[ImageSpec]) -> dict[tuple[str, str], int]:
    """(kind, subject) of every corruption that is planted."""
    pictures = ledger.pictures([spec.digest for spec in specs])
    one = [pictures[spec.digest].image for spec in specs[:24]]
    planted: dict[tuple[str, str], int] = {}

    def plant(kind: str, subject: object) -> None:
        planted[kind, str(subject)] = 1

    # 1. Objects.
    path = store.path(one[10].object_key)
    path.write_bytes(path.read_bytes()[:-1] + b"!")  # a flipped byte
    plant("object damaged", one[10].object_key)
    store.path(one[11].object_key).write_bytes(store.get(one[12].object_key))  # another image's bytes
    plant("object damaged", one[11].object_key)
    for key in (one[13].object_key, one[14].preview_key, one[15].thumb_key):
        store.path(key).unlink()
        plant("object missing", key)
    left = ledger.deliverable(again=True)
    assert left
    store.path("delivery/one.png").write_bytes(b"another picture")
    plant("object damaged", "delivery/one.png")
    store.path("delivery/one.png.json").unlink()
    plant("object missing", "delivery/one.png.json")
    orphan = store.put_content("images", b"nobody's", extension="png", media_type="image/png")
    plant("no record", orphan)
    # 2. Rows.
    old = datetime.now(UTC) - timedelta(days=2)
    with ledger.writing("spoil") as session:
        session.execute(delete(InboxEntry).where(InboxEntry.image == one[16].digest))
        plant("no inbox entry", one[16].digest)
        session.execute(update(Job).where(Job.spec == one[17].digest).values(done_at=None))
        plant("made and open", one[17].digest)
        session.execute(update(Job).where(Job.spec == specs[24].digest).values(done_at=old))
        plant("done and not made", specs[24].digest)
        session.execute(delete(Job).where(Job.spec == specs[25].digest))
        plant("no job", specs[25].digest)
        session.execute(update(Job).where(Job.spec == specs[26].digest).values(leased_by="gone:1", leased_until=old))
        plant("lease without holder", specs[26].digest)
        session.execute(
            update(InboxEntry).where(InboxEntry.image == specs[2].digest).values(waiting=True, decision=None)
        )
        plant("inbox differs", specs[2].digest)
        session.execute(update(InboxEntry).where(InboxEntry.image == specs[3].digest).values(revision=0))
        plant("inbox differs", specs[3].digest)
        body = specs[4].model_dump(mode="json") | {"prompt": "another one"}
        session.execute(update(Spec).where(Spec.digest == specs[4].digest).values(body=body))
        plant("spec changed", specs[4].digest)
        session.execute(
            text("UPDATE images SET sha256 = :other WHERE digest = :image"),
            {"other": "0" * 64, "image": one[18].digest},
        )
        plant("record differs", one[18].object_key)
        session.execute(
            update(Submission).values(files={"a.png": {"key": "sources/aa/" + "a" * 64 + ".png", "digest": "a" * 64}})
        )
        plant("object missing", "sources/aa/" + "a" * 64 + ".png")
        night = session.scalar(
            insert(Night).values(started_at=old, started_by="t", planned=0, totals={}).returning(Night.id)
        )
        plant("night open", night)
    return planted


def test_a_sound_studio_is_clean(ledger: Ledger, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    stocked(ledger, store)
    ledger.claim([a_spec(24).digest], worker="w:1", seconds=60)  # a night at work
    ledger.start_night("test")
    check = Fsck(ledger, store)
    assert [str(trouble) for trouble in check] == [] and check.clean
    assert check.counts["images"] == 24 and check.counts["objects"] == 24 * 3 + 3


def test_every_planted_corruption_is_named_and_no_other(ledger: Ledger, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    planted = spoil(ledger, store, stocked(ledger, store))
    assert len(planted) == 19 and len({kind for kind, _ in planted}) == 12
    check = Fsck(ledger, store)
    seen = [(trouble.kind, trouble.subject) for trouble in check]
    assert sorted(seen) == sorted(planted)
    assert not check.clean and check.repaired == 0
    assert check.wrong == len(planted) - 1  # an object without a record is a note

    # Mended: everything that follows from other rows. What needs a backup is named again.
    mend = Fsck(ledger, store, repair=True)
    assert {trouble.kind for trouble in mend if trouble.repaired} == MENDED and not mend.clean
    again = Fsck(ledger, store)
    assert sorted((t.kind, t.subject) for t in again) == sorted(key for key in planted if key[0] not in MENDED)
    assert {item.digest for item in ledger.inbox(limit=99)} >= {a_spec(16).digest}
    assert {waiting.digest for waiting in ledger.waiting()} == {a_spec(seed).digest for seed in range(24, 28)}


def test_the_command_says_so_in_lines_of_json_and_its_exit_code(
    local_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    assert isinstance(local_stack.store, FolderStore)
    specs = stocked(local_stack.ledger, local_stack.store, images=8)
    clean = CliRunner().invoke(app, ["fsck"])
    assert (clean.exit_code, clean.output.startswith("0 wrong, 0 repaired; looked at 1 submissions")) == (0, True)
    key = local_stack.ledger.picture(specs[0].digest).image.preview_key
    local_stack.store.path(key).write_bytes(b"x")
    broken = CliRunner().invoke(app, ["fsck", "--json"])
    lines = [json.loads(line) for line in broken.output.splitlines()]
    assert broken.exit_code == 1 and (lines[0]["kind"], lines[0]["subject"]) == ("object damaged", key)
    assert lines[-1]["wrong"] == 1
    assert CliRunner().invoke(app, ["fsck", "--quick"]).exit_code == 0  # it is there, and was not read


@pytest.mark.slow
def test_memory_does_not_grow_with_the_ledger(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    stocked(sqlite_ledger, store, images=8)

    def peak() -> int:
        tracemalloc.start()
        for _ in Fsck(sqlite_ledger, store, bytes_too=False):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    for start in (1_000, 3_500):
        specs = [a_spec(seed) for seed in range(start, start + 2_500)]
        sqlite_ledger.plan(None, specs, priority=0, due=None, submitted_by="t")
        sqlite_ledger.keep_many([a_keeping(spec) for spec in specs])
        if start == 1_000:
            first = peak()
    assert peak() < 1.25 * first
