"""The README is read as a new user reads it: its commands run, its manifest is made, its files are there."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from flows.__main__ import app
from schemas.review import Choice, Verdict
from schemas.settings import ROOT
from tests.conftest import Stack

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
DAILIES = [shlex.split(command)[1:] for command in COMMANDS if command.startswith(".venv/bin/dailies")]
MAKE = re.findall(r"(?:^|`)make ([a-z][a-z-]*)", README, re.MULTILINE)
AT_WORK = {"review", "deploy", "worker"}
"""They serve or want a server: tests/review_app and tests/flows/test_server.py start them for real."""


def test_it_names_commands_that_are_there() -> None:
    assert {"demo", "test", "test-slow"} <= set(MAKE)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(MAKE) <= targets
    assert len(DAILIES) >= 8
    known = get_command(app).commands  # type: ignore[attr-defined]
    for name, *arguments in DAILIES:
        options = {o for p in known[name].params for o in p.opts} | {"--help"}
        assert {a for a in arguments if a.startswith("--")} <= options, (name, arguments)


def test_every_file_and_folder_at_the_top_has_a_line() -> None:
    table = re.findall(r"^\| `([^`]+)` \|", README, re.MULTILINE)
    assert not [path for path in table if not (ROOT / path).exists()]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    top = {path.split("/")[0] for path in tracked} - {".gitignore", "README.md"}
    assert top <= {path.split("/")[0] for path in table}


def test_its_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "models" / "studio-tiny" / "README.md"):
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert re.match(r"https?:", link) or (page.parent / link).exists(), (page.name, link)


def test_its_benchmarks_are_modules() -> None:
    (line,) = (line for line in README.splitlines() if line.startswith("| `bench/`"))
    names = re.findall(r"`(?:python -m bench\.)?([a-z]+)`", line)
    assert len(names) >= 5
    assert not [name for name in names if importlib.util.find_spec(f"bench.{name}") is None]


@pytest.mark.timeout(900)
def test_its_manifest_is_made_and_delivered_by_its_commands(local_stack: Stack, tmp_path: Path) -> None:
    (manifest,) = (block for kind, block in BLOCKS if kind == "yaml")
    (tmp_path / "harbour.yaml").write_text(manifest, encoding="utf-8")
    environment = os.environ | local_stack.environment | {"PYTHONPATH": str(ROOT)}
    told = {}
    for name, *arguments in DAILIES:
        if name in AT_WORK:
            continue
        if name == "deliver":
            inbox = local_stack.ledger.inbox(limit=10)
            for item in inbox:
                local_stack.ledger.decide(
                    Choice(image=item.digest, revision=0, verdict=Verdict.APPROVE), reviewer="ana"
                )
            assert len(inbox) == 4
        done = subprocess.run([sys.executable, "-m", "flows", name, *arguments], cwd=tmp_path, env=environment,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, (name, done.stdout, done.stderr)
        told[name] = done.stdout
    assert "Potion" in told["check"] and "4" in told["check"]
    assert len(local_stack.ledger.deliveries()) == 4
