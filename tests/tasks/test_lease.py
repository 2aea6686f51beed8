"""Leases of the living are kept, those of the dead are freed: with real processes and a real ledger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.errors import DeviceLost, LedgerError
from schemas.settings import ROOT
from storage.ledger import Ledger
from tasks.shift.leases import Leases, free_dead
from tests.making import a_spec, planned

WORKER = """
import sys, time
from pathlib import Path
from storage.database import open_database
from storage.ledger import Ledger
from tasks.shift.leases import Leases
ledger = Ledger(open_database(sys.argv[1]))
with Leases(ledger, worker="other:1", seconds=900, folder=Path(sys.argv[2])) as leases:
    print(len(leases.claim(sys.argv[3:])), flush=True)
    time.sleep(60)
"""


def test_leases_of_a_killed_worker_are_freed_at_once(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    specs = [a_spec(seed) for seed in range(3)]
    planned(sqlite_ledger, specs)
    url = sqlite_ledger.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WORKER, url, str(tmp_path / "workers"), *(spec.digest for spec in specs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout and other.stdout.readline() == "3\n"
        assert free_dead(sqlite_ledger, folder=tmp_path / "workers") == 0, "it lives"
        assert sqlite_ledger.waiting() == []
        os.kill(other.pid, signal.SIGKILL)
    assert free_dead(sqlite_ledger, folder=tmp_path / "workers") == 3
    assert [item.attempts for item in sqlite_ledger.waiting()] == [1, 1, 1], "that it took them stays counted"
    assert list((tmp_path / "workers").iterdir()) == []


def test_leases_are_renewed_and_what_is_left_is_released(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    specs = [a_spec(seed) for seed in range(2)]
    planned(sqlite_ledger, specs)
    digests = [spec.digest for spec in specs]
    with Leases(sqlite_ledger, worker="here:1", seconds=0.6, folder=tmp_path) as leases:
        assert [spec.digest for spec in leases.claim(digests)] == digests
        time.sleep(1.5)
        assert sqlite_ledger.claim(digests, worker="there:1", seconds=1) == [], "held, though the first lease ran out"
        with (
            pytest.raises(LedgerError, match="at work already"),
            Leases(sqlite_ledger, worker="here:1", seconds=1, folder=tmp_path),
        ):
            pass
    assert [item.attempts for item in sqlite_ledger.waiting()] == [0, 0], "nobody began with them"


def test_a_lost_device_counts_against_what_was_in_hand(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    planned(sqlite_ledger, [a_spec()])
    with pytest.raises(DeviceLost), Leases(sqlite_ledger, worker="here:1", seconds=9, folder=tmp_path) as leases:
        leases.claim([a_spec().digest])
        raise DeviceLost("CUDA error")
    assert [item.attempts for item in sqlite_ledger.waiting()] == [1]
