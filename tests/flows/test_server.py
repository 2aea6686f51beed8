"""A real Prefect server, `dailies deploy`, two workers, PostgreSQL and S3: a night as a studio has it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from flows.deployment import OLD_LIMIT
from flows.worker import LOOK
from tests.conftest import Stack
from tests.flows.on_server import studio
from tests.flows.studio import PLAIN, parts_of, submit_to, write_manifest

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.servers
@pytest.mark.timeout(1200)
def test_a_night_on_a_server(studio_stack: Stack, tmp_path: Path) -> None:
    given = {"DAILIES_TIMEZONE": "Europe/Berlin", "DAILIES_LOG_FORMAT": "json"}
    with studio(studio_stack, tmp_path / "s", **given) as server:
        assert "WARNING: no night is scheduled" in server.dailies("status")

        # 1. Twice, since a studio does it after every update. The second time with a window that opens at the first
        # full minute that leaves the server time to hear of it.
        began = time.monotonic()
        server.dailies("deploy")
        # As earlier releases left it: slots that a restart of the server leaves held for ever.
        server.send("POST", "v2/concurrency_limits/", {"name": OLD_LIMIT, "limit": 2})
        gpu = next(one for one in server.ask("deployments") if one["name"] == "gpu")
        server.send("PATCH", f"deployments/{gpu['id']}", {"concurrency_limit": 1})
        opens = datetime.now(BERLIN) + timedelta(seconds=30 + 2 * (time.monotonic() - began) + 60)
        opens = opens.replace(second=0, microsecond=0)
        server.environment["DAILIES_WINDOW"] = f"{opens:%H:%M}-{opens + timedelta(hours=2):%H:%M}"
        deployed = server.dailies("deploy")
        local = f"{opens:%A %Y-%m-%d %H:%M %Z}"
        assert f"concurrency limit {OLD_LIMIT}: removed" in deployed and "limit of gpu: removed" in deployed
        assert f"next night: {local}" in deployed and f"next night: {local}" in server.dailies("status")
        deployments = {d["name"]: d for d in server.ask("deployments")}
        assert deployments.keys() == {"nightly", "gpu", "retake", "deliver"}
        assert not any(one["global_concurrency_limit"] for one in deployments.values()), "their leases can be lost"
        schedule = deployments["nightly"]["schedules"][0]["schedule"]
        assert (schedule["cron"], schedule["timezone"]) == (f"{opens.minute} {opens.hour} * * *", "Europe/Berlin")
        assert len(deployments["nightly"]["schedules"]) == 1
        assert len(server.ask("automations")) == 1

        # 2. The night begins by itself when its time has come, once.
        parts = parts_of(studio_stack.settings, studio_stack.ledger, studio_stack.store)
        submit_to(parts, write_manifest(tmp_path / "m", PLAIN))
        server.start_workers()
        server.until(lambda: any(night.ended_at for night in parts.ledger.nights()), "the night to end")
        (night,) = parts.ledger.nights()
        assert (night.outcome, night.started_by) == ("complete", "schedule")
        assert opens <= night.started_at <= opens + timedelta(minutes=1)

        # 3. What is true is in the ledger; Prefect only shows it.
        images = [parts.ledger.picture(item.digest).image for item in parts.ledger.inbox(limit=10)]
        assert len(images) == 4 and len({image.worker for image in images}) == 1
        runs = {r["id"]: r for r in server.ask("flow_runs") if r["start_time"]}
        assert {image.flow_run for image in images} == runs.keys() - {night.flow_run}
        assert all(set(r["parameters"]) <= {"by", "windowed", "night", "shift", "until"} for r in runs.values())
        assert [r["name"] for r in server.ask("task_runs") if "image" in r["name"]] == ["Potion, 2 images"] * 2
        artifacts = {a["key"]: a for a in server.ask("artifacts") if a["key"]}
        assert artifacts["morning-report"]["data"].startswith("# Night 1: complete")
        assert artifacts["shift"]["data"] == 100.0

        # 4. The next one is tomorrow's.
        tomorrow = datetime.combine(opens.date() + timedelta(days=1), opens.time(), tzinfo=BERLIN)
        assert f"next night: {tomorrow:%A %Y-%m-%d %H:%M %Z}" in server.dailies("status")
        assert tomorrow.astimezone(UTC) > datetime.now(UTC)

        # 5. A collector finds everything of one image.
        said = {line["digest"]: line for line in server.log_lines("gpu0") if line["message"].endswith(" kept")}
        assert said.keys() == {image.digest for image in images}
        assert {(line["night"], line["level"], line["asset"]) for line in said.values()} == {(1, "INFO", "Potion")}
        assert all(
            line["shift"].startswith("shifts/") and line["logger"].startswith("tasks.") for line in said.values()
        )
        assert any(line["logger"].startswith("prefect") for line in server.log_lines("gpu0"))

        # 6. A night that a person cancels in Prefect ends, with its shifts and a report; nobody goes on with it.
        many = PLAIN.replace("seeds: 4", "seeds: 400").replace("Potion", "Many")
        submit_to(parts, write_manifest(tmp_path / "n", many))
        server.dailies("now")
        server.until(lambda: parts.ledger.night_progress(2)[0] > 0 if parts.ledger.running_night() else 0, "an image")
        run = parts.ledger.nights(limit=1)[0].flow_run
        cancelling = {"type": "CANCELLING", "name": "Cancelling"}
        server.send("POST", f"flow_runs/{run}/set_state", {"state": cancelling})
        server.until(lambda: parts.ledger.nights(limit=1)[0].ended_at, "the cancelled night to end")
        server.until(lambda: not parts.ledger.in_hand(), "its shift to end")
        made = parts.ledger.night_progress(2)[0]
        time.sleep(2 * LOOK)  # in which the worker for nights looks for dead ones
        night = parts.ledger.nights(limit=1)[0]
        assert night.id == 2 and night.outcome == "failed" and night.report_key is not None
        assert parts.ledger.night_progress(2)[0] == made < 400
        assert {r["state_type"] for r in server.ask("flow_runs") if r["start_time"]} <= {"COMPLETED", "CANCELLED"}
        assert len(parts.ledger.waiting(limit=500)) == 400 - made
