"""Submitting freezes; planning what was submitted is done once, however often; checking costs nothing."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.model_files import ModelFiles, open_model_files
from schemas.errors import ManifestError, ModelMissing
from schemas.records import Submission
from schemas.settings import ROOT, Settings
from tasks.planning.submit import check_manifest, plan_submission, submit_manifest
from tests.conftest import Stack

PINS = {"studio-tiny": "a" * 64, "studio-tiny/canny": "b" * 64, "studio-tiny/depth": "c" * 64}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the demo, to be changed."""
    shutil.copytree(ROOT / "manifests" / "demo", tmp_path / "demo")
    return tmp_path / "demo"


@pytest.fixture
def pinned(stack: Stack) -> Stack:
    """The models are pinned, so that no weights are needed."""
    for alias, digest in PINS.items():
        stack.ledger.pin(alias, digest)
    return stack


def send(stack: Stack, path: Path, *, by: str = "") -> tuple[Submission, bool]:
    return submit_manifest(
        path,
        settings=stack.settings,
        catalogue=open_model_files(stack.settings),
        ledger=stack.ledger,
        store=stack.store,
        submitted_by=by,
    )


def test_what_was_submitted_is_frozen_with_its_pictures(pinned: Stack, folder: Path) -> None:
    path = folder / "demo.yaml"
    sent, picture = path.read_bytes(), (folder / "pictures" / "brick.png").read_bytes()
    submission, new = send(pinned, path)
    assert new and submission.submitted_by == "Mara Lind"
    path.write_text("project: something else")
    (folder / "pictures" / "brick.png").write_bytes((folder / "pictures" / "shield.png").read_bytes())
    kept = pinned.ledger.submission(submission.digest)
    assert pinned.store.get(kept.object_key) == sent
    assert pinned.store.get(kept.files["pictures/brick.png"]["key"]) == picture
    planned = plan_submission(pinned.ledger, open_model_files(pinned.settings), submission.digest)
    assert (planned.new, planned.existing) == (30, 0)
    specs = pinned.ledger.claim([row.digest for row in pinned.ledger.waiting()], worker="w", seconds=60)
    walls = {spec.source for spec in specs if spec.asset == "Wall"}
    assert walls == {hashlib.sha256(picture).hexdigest()}


def test_the_same_again_is_said_and_changes_nothing(pinned: Stack, folder: Path) -> None:
    first, new = send(pinned, folder / "demo.yaml")
    again, again_new = send(pinned, folder / "demo.yaml", by="somebody else")
    assert (new, again_new) == (True, False)
    assert first.digest == again.digest
    assert len(pinned.ledger.submissions()) == 1


def test_another_picture_under_the_same_name_is_another_submission(pinned: Stack, folder: Path) -> None:
    first, _ = send(pinned, folder / "demo.yaml")
    (folder / "pictures" / "brick.png").write_bytes((folder / "pictures" / "shield.png").read_bytes())
    second, new = send(pinned, folder / "demo.yaml")
    assert new and first.digest != second.digest


def test_planning_twice_plans_once_and_another_manifest_shares_what_is_alike(pinned: Stack, folder: Path) -> None:
    catalogue = open_model_files(pinned.settings)
    first, _ = send(pinned, folder / "demo.yaml")
    assert plan_submission(pinned.ledger, catalogue, first.digest).new == 30
    assert plan_submission(pinned.ledger, catalogue, first.digest).new == 0
    text = (folder / "demo.yaml").read_text()
    (folder / "more.yaml").write_text(text.replace("colour: [teal, pink]", "colour: [teal, pink, blue]"))
    second, _ = send(pinned, folder / "more.yaml")
    counted = plan_submission(pinned.ledger, catalogue, second.digest)
    assert (counted.new, counted.existing) == (2, 30)
    assert len(pinned.ledger.waiting()) == 32


def test_rows_of_a_csv_are_frozen_too(local_stack: Stack, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    first, _ = send(local_stack, tmp_path / "manifests" / "rows.yaml")
    assert local_stack.store.get(first.files["rows.csv"]["key"]) == (ROOT / "manifests" / "rows.csv").read_bytes()
    rows = tmp_path / "manifests" / "rows.csv"
    rows.write_text(rows.read_text().replace("gray | purple", "gray"))
    second, new = send(local_stack, tmp_path / "manifests" / "rows.yaml")
    assert new and first.digest != second.digest


def test_nothing_is_planned_with_a_model_that_is_not_known(local_stack: Stack, folder: Path, tmp_path: Path) -> None:
    catalogue = ModelFiles({}, folder=tmp_path)
    shipped = ModelFiles.read(local_stack.settings.catalogue)
    catalogue.entries = {
        name: entry.model_copy(update={"path": tmp_path / "nowhere"}) for name, entry in shipped.entries.items()
    }
    submission, _ = send(local_stack, folder / "demo.yaml")
    with pytest.raises(ModelMissing, match="studio-tiny"):
        plan_submission(local_stack.ledger, catalogue, submission.digest)
    assert local_stack.ledger.unplanned() and not local_stack.ledger.waiting()


def test_a_broken_manifest_leaves_nothing_behind(local_stack: Stack, folder: Path) -> None:
    (folder / "pictures" / "brick.png").write_bytes(b"not a picture")
    with pytest.raises(ManifestError, match=r"brick\.png"):
        send(local_stack, folder / "demo.yaml")
    assert not local_stack.ledger.submissions()
    assert not list(local_stack.store.keys("sources/"))


def test_a_check_counts_what_exists_and_makes_no_database(tmp_path: Path, folder: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    report = check_manifest(folder / "demo.yaml", settings)
    assert report.images == 30
    assert [row.images for row in report.rows] == [6, 4, 4, 4, 2, 2, 4, 4]
    assert {row.kind for row in report.rows} == {"render", "texture"}
    assert not (tmp_path / "home" / "dailies.db").exists()


def test_a_check_is_quick_and_imports_nothing_heavy(pinned: Stack, folder: Path) -> None:
    send(pinned, folder / "demo.yaml")
    program = (
        "import sys; from flows.__main__ import main\n"
        f"sys.argv = ['dailies', 'check', {str(folder / 'demo.yaml')!r}]\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'diffusers', 'prefect', 'streamlit', 'boto3'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=pinned.environment
    )
    assert done.returncode == 0, done.stderr
    assert "Potion Shop: 30 images" in done.stdout


def test_the_command_line_from_check_to_plan(tmp_path: Path) -> None:
    """The real commands, one after the other, as a person types them."""
    from tests.studio import catalogue_path

    environment = {"DAILIES_HOME": str(tmp_path / "home"), "DAILIES_CATALOGUE": str(catalogue_path())}

    def dailies(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "flows", *arguments], cwd=ROOT, capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    manifest = str(ROOT / "manifests" / "icons.yaml")
    assert "4 images" in dailies("check", manifest)
    assert dailies("submit", manifest, "--by", "ana").startswith("submitted icons.yaml for Harbour as ")
    assert "was submitted before" in dailies("submit", manifest)
    assert "4 new, 0 planned before" in dailies("plan")
    assert dailies("plan").strip() == "nothing to plan"
