"""What a night does when something is in the way: window, budgets, failures, poison, missing models, a webhook."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from engine.model_files import ModelFiles
from flows.embedded import hide_server_output
from schemas.errors import DeviceLost, NotFinite, RenderError
from schemas.review import Choice, Verdict
from schemas.settings import MailSettings
from schemas.spec import ImageSpec
from tasks.night import Agenda, look_ahead
from tasks.parts import Parts, use_parts
from tasks.planning.retake import plan_retakes
from tasks.planning.submit import plan_submission
from tests.flows.studio import PLAIN, night, submit_to, write_manifest
from tests.mail_server import serving
from tests.receiver import receiving


@pytest.fixture
def plain(local: Parts, tmp_path: Path) -> Parts:
    """Four images are asked for."""
    submit_to(local, write_manifest(tmp_path, PLAIN))
    return local


class Breaking:
    """The real engine, which fails for chosen specs as a device would."""

    def __init__(self, parts: Parts, fails: Any) -> None:
        self._engine, self._fails = parts.engine, fails
        parts.__dict__["engine"] = self
        self.batches: list[int] = []

    def expect(self, specs: Any) -> None:
        self._engine.expect(specs)

    def render(self, specs: list[ImageSpec], **pictures: Any) -> Any:
        self.batches.append(len(specs))
        rendered = []
        for spec, done in zip(specs, self._engine.render(specs, **pictures), strict=True):
            error = self._fails(spec)
            if isinstance(error, DeviceLost):
                raise error
            if error is not None:
                done = type(done)(**{**done.__dict__, "pixels": None, "error": error})
            rendered.append(done)
        return rendered


def look_at_all(parts: Parts) -> Agenda:
    """A night's beginning, without its shifts."""
    plan_submission(parts.ledger, parts.catalogue, parts.ledger.unplanned()[0].digest)
    with use_parts(parts):
        return look_ahead.fn(parts.ledger.start_night("test"), {})


def report(parts: Parts, result: dict[str, Any]) -> str:
    return parts.store.get(result["report"]).decode()


def test_no_batch_begins_outside_the_window(plain: Parts) -> None:
    hour = datetime.now(UTC) + timedelta(hours=2)
    plain.settings.window = f"{hour:%H}:00-{hour + timedelta(hours=1):%H}:00"
    closed = night(plain, windowed=True)
    assert (closed["outcome"], closed["made"], closed["waiting"]) == ("window closed", 0, 4)
    assert "the working window closed: Test Shop / Potion (4)" in report(plain, closed)
    assert night(plain, windowed=False)["made"] == 4, "a person who asks for a night by day gets it"


def test_the_window_closes_between_batches(plain: Parts) -> None:
    from flows.render import render

    plain.settings.batch_size = 2
    agenda = look_at_all(plain)
    until = datetime.now(UTC) + timedelta(seconds=6)

    def slow(spec: ImageSpec) -> None:
        time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))

    Breaking(plain, slow)
    with use_parts(plain), hide_server_output():
        done = render(shift=agenda.shifts[0][0], night=1, until=until)
    assert (done["ended"], done["kept"]) == ("window closed", 2)
    assert plain.ledger.in_hand() == 0
    assert [item.attempts for item in plain.ledger.waiting()] == [0, 0], "what was claimed ahead was not tried"


def test_a_graph_is_weighed_against_the_whole_shift_and_the_record_says_what_came_of_it(plain: Parts) -> None:
    from engine.diffuse import Engine
    from engine.runtime_options import RuntimeOptions

    assert plain.settings.backend == "auto"
    plain.settings.batch_size = 2
    engine = Engine(plain.catalogue, device="cpu", dtype="float32", levers=RuntimeOptions.of(plain.settings))
    plain.__dict__["engine"] = engine
    assert night(plain)["made"] == 4
    assert list(engine.graphs._expected.values()) == [4 * 64 * 64], "four images of one step, 64 x 64 px each"
    batches = [plain.ledger.picture(digest).image.batch for digest in plain.ledger.matching("")]
    assert batches and {batch["backend"] for batch in batches} == {"torch"}
    assert all(batch["backend_reason"].startswith("not worth measuring for 4 rows") for batch in batches)
    assert not (plain.settings.home / "device" / "graphs").exists()


def test_budgets_name_what_waits(plain: Parts) -> None:
    plain.settings.batch_size = 2
    plain.settings.night_gpu_hours = 1e-6
    first = night(plain)
    assert (first["outcome"], first["made"], first["waiting"]) == ("budget spent", 2, 2)
    assert "the night's budget is spent: Test Shop / Potion (2)" in report(plain, first)

    plain.settings.night_gpu_hours = None
    plain.settings.project_gpu_hours = {"Test Shop": 1e-6}
    second = night(plain)
    assert (second["outcome"], second["made"], second["waiting"]) == ("budget spent", 0, 2)
    assert "the budget of Test Shop is spent: Test Shop / Potion (2)" in report(plain, second)


def test_a_spec_that_fails_is_set_aside_and_blocks_no_other(plain: Parts) -> None:
    broken: list[str] = []

    def fails(spec: ImageSpec) -> RenderError | None:
        broken[:] = broken or [spec.digest]
        return NotFinite("NaN in the latents") if spec.digest == broken[0] else None

    Breaking(plain, fails)
    result = night(plain)
    assert (result["outcome"], result["made"], result["failed"]) == ("complete", 3, 3)
    assert [item.digest for item in plain.ledger.set_aside()] == broken
    assert "| NotFinite | 3 | 1 |" in report(plain, result)
    plain.ledger.release_set_aside(broken, by="ops")
    broken[:] = ["nothing"]
    assert night(plain)["made"] == 1


def test_the_same_error_again_and_again_stops_the_shift(plain: Parts) -> None:
    plain.settings.batch_size, plain.settings.same_error_limit = 1, 2
    Breaking(plain, lambda spec: RenderError("ValueError: no such setting"))
    with receiving() as receiver, serving() as mail:
        plain.settings.webhook_url = SecretStr(receiver.url)
        plain.settings.mail = MailSettings(
            host="127.0.0.1", port=mail.port, security="none", sender="d@s.example", nights=("lea@s.example",)
        )
        result = night(plain)
    assert (result["outcome"], result["made"]) == ("stopped", 0)
    assert result["failed"] <= 3, "it must not fail them all alike"
    assert "2 specs in a row failed with ValueError" in report(plain, result)
    assert plain.ledger.set_aside() == []
    stopped, ended = receiver.heard
    assert (stopped["event"], stopped["night"]) == ("shift stopped", result["night"])
    assert (ended["event"], ended["outcome"], ended["waiting"]) == ("night ended", "stopped", 4)
    number = result["night"]
    assert [one["Subject"] for one in mail.heard] == [
        f"Dailies: shift stopped, night {number}", f"Dailies: night ended, night {number}",
    ]  # fmt: skip
    assert f"/nights?night={number}" in mail.heard[1].get_content() and "4 waiting" in mail.heard[1].get_content()


def test_a_lost_device_ends_the_process_and_the_night_goes_on_in_the_next(plain: Parts) -> None:
    lost = [True]
    breaking = Breaking(plain, lambda spec: DeviceLost("CUDA error") if lost[0] else None)
    with pytest.raises(DeviceLost):
        night(plain)
    opened = plain.ledger.nights(limit=1)[0]
    assert opened.ended_at is None and plain.ledger.in_hand() == 0, "leases are free for the next process"
    assert all(item.attempts == 1 for item in plain.ledger.waiting()), "and it counts that they were tried"
    with pytest.raises(DeviceLost):
        night(plain, number=opened.id)
    lost[0] = False
    breaking.batches.clear()
    result = night(plain, number=opened.id)
    assert (result["night"], result["outcome"], result["made"]) == (opened.id, "complete", 4)
    assert breaking.batches == [1, 1, 1, 1], "whatever was in hand twice is made alone"


def test_a_spec_that_ends_its_process_every_time_is_set_aside_alone(plain: Parts) -> None:
    """Whatever it was in a batch with is made: all together first, then one by one."""
    poison: list[str] = []

    def fails(spec: ImageSpec) -> DeviceLost | None:
        poison[:] = poison or [spec.digest]
        return DeviceLost("CUDA error: an illegal memory access") if spec.digest == poison[0] else None

    Breaking(plain, fails)
    number, deaths = None, 0
    for _ in range(2 * plain.settings.max_attempts + 1):
        try:
            result = night(plain, number=number)
            break
        except DeviceLost:
            deaths, number = deaths + 1, plain.ledger.nights(limit=1)[0].id
    assert (result["outcome"], result["made"], result["set_aside"]) == ("complete", 3, 1)
    assert [item.digest for item in plain.ledger.set_aside()] == poison
    assert 1 < deaths <= 2 * plain.settings.max_attempts


def test_poison_is_set_aside_though_it_leaves_no_failure(plain: Parts) -> None:
    """Leases of a worker that was killed again and again."""
    plan_submission(plain.ledger, plain.catalogue, plain.ledger.unplanned()[0].digest)
    poison = plain.ledger.waiting()[0].digest
    for _ in range(2 * plain.settings.max_attempts):
        assert plain.ledger.claim([poison], worker="gone:1", seconds=60)
        plain.ledger.release([poison], worker="gone:1")
    result = night(plain)
    assert (result["outcome"], result["made"], result["set_aside"]) == ("complete", 3, 1)
    assert "WorkerLost" in report(plain, result)


def test_what_is_missing_is_found_before_anything_is_made(plain: Parts, tmp_path: Path) -> None:
    plan_submission(plain.ledger, plain.catalogue, plain.ledger.unplanned()[0].digest)
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text(f"studio-tiny: {{kind: checkpoint, path: {tmp_path / 'gone'}}}\n")
    whole, plain.catalogue = plain.catalogue, ModelFiles.read(catalogue)
    breaking = Breaking(plain, lambda spec: None)
    result = night(plain)
    assert (result["outcome"], result["made"], result["failed"], result["waiting"]) == ("blocked", 0, 0, 4)
    assert "nothing is at" in report(plain, result) and breaking.batches == []
    plain.catalogue = whole
    assert night(plain)["made"] == 4


def test_retakes_stop_at_the_cap(plain: Parts) -> None:
    plain.settings.max_retakes = 1
    night(plain)
    first = plain.ledger.inbox(limit=1)[0].digest
    for take in (1, 2):
        spec = first if take == 1 else plain.ledger.picture(first).retakes[0].child
        plain.ledger.decide(Choice(image=spec, revision=0, verdict=Verdict.RETAKE, note="again"), reviewer="rita")
        retakes = plan_retakes(plain)
        assert (retakes.planned, len(retakes.refused)) == ((1, 0) if take == 1 else (0, 1))
        if take == 1:
            night(plain)
    assert "expected at most 1" in retakes.refused[0]
    assert plan_retakes(plain).refused == [], "it is answered once"


def test_a_dead_night_is_closed_with_a_report_by_the_next(plain: Parts) -> None:
    dead = plain.ledger.start_night("schedule", holder="gone:1", seconds=60)
    assert night(plain)["outcome"] == "running", "as far as the ledger can know"
    plain.ledger.release_nights("gone:1")
    result = night(plain)
    assert (result["outcome"], result["made"]) == ("complete", 4)
    closed = plain.ledger.night(dead)
    assert closed.outcome == "failed" and closed.ended_at is not None and closed.report_key is not None
    assert f"night {result['night']} makes what it left" in plain.store.get(closed.report_key).decode()
    assert "Trouble" not in report(plain, result)


def test_what_is_submitted_while_a_night_runs_is_made_in_it(plain: Parts, tmp_path: Path) -> None:
    later = write_manifest(tmp_path / "later", PLAIN.replace("seeds: 4", "seeds: [7, 8]"))
    Breaking(plain, lambda spec: submit_to(plain, later) and None)
    result = night(plain)
    assert (result["outcome"], result["made"], result["planned"]) == ("complete", 6, 6)
