"""Broken manifests, each with the places and fields of everything that is wrong with it.

expected.txt is what `dailies check` says of each, up to what is allowed. A changed line there is a changed answer to an
art lead: read it before you keep it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from engine.model_files import open_model_files
from schemas.errors import InputError, ManifestError
from schemas.settings import ROOT, Settings
from tasks.planning.submit import read_sound_manifest
from tests.effort import count_calls
from tests.schemas.broken_folder import HERE, lay_out

EXPECTED: dict[str, list[str]] = defaultdict(list)
for line in (HERE / "expected.txt").read_text().splitlines():
    EXPECTED[line.split(":", 1)[0].replace("_rows.csv", ".yaml")].append(line)
BROKEN = sorted(path.name for path in HERE.iterdir() if path.name != "expected.txt" and "_rows.csv" not in path.name)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("manifests"))


def test_there_are_forty_and_each_is_expected() -> None:
    assert len(BROKEN) >= 40
    assert set(BROKEN) == set(EXPECTED)


@pytest.mark.parametrize("name", BROKEN)
def test_everything_wrong_is_told_in_its_place(broken: Path, name: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(ManifestError) as caught:
        read_sound_manifest(broken / name, settings, open_model_files(settings))
    said = str(caught.value).replace(f"{broken}/", "").splitlines()
    assert [line.split(";")[0].strip() for line in said] == EXPECTED[name]
    assert all(len(line.split("; ", 1)[1]) > 3 for line in said), "every problem says what is allowed"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["many.yaml", "many_together.yaml"])
def test_a_matrix_too_large_is_refused_before_it_is_expanded(broken: Path, name: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    catalogue = open_model_files(settings)

    def read() -> None:
        with pytest.raises(ManifestError, match="images"):
            read_sound_manifest(broken / name, settings, catalogue)

    assert count_calls(read) < 50_000  # of 10^9 images


@pytest.mark.parametrize(
    "name", ["unknown_fields.yaml", "alias_bomb.yaml", "path_link.yaml", "json_nan.json", "model.yaml"]
)
def test_the_command_exits_2_without_a_traceback(broken: Path, name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows", "check", str(broken / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"DAILIES_HOME": str(tmp_path)})
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line.split(";")[0].strip().replace(f"{broken}/", "") for line in done.stderr.splitlines()] == EXPECTED[name]


@pytest.mark.parametrize("name", ["folder.yaml", "fifo.yaml", "picture.yaml", "rows.yaml"])
def test_a_folder_or_a_fifo_is_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    for folder in ("folder.yaml", "folder.png", "folder.csv"):
        (tmp_path / folder).mkdir()
    asset = "[{name: A, kind: texture, prompt: x, sources: folder.png}]"
    (tmp_path / "picture.yaml").write_text(f"project: P\nmodel: studio-tiny\nassets: {asset}\n")
    (tmp_path / "rows.yaml").write_text("project: P\nmodel: studio-tiny\nassets: folder.csv\n")
    settings = Settings(home=tmp_path)
    with pytest.raises(InputError, match=f"{name}.*: it is not a file"):
        read_sound_manifest(tmp_path / name, settings, open_model_files(settings))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows", "check", str(tmp_path / "nowhere.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nowhere.yaml: there is no such file" in done.stderr and "Traceback" not in done.stderr


def test_nothing_heavy_is_imported_to_check_a_broken_manifest(broken: Path) -> None:
    code = (
        "import sys; from flows.__main__ import app, main\n"
        f"sys.argv = ['dailies', 'check', {str(broken / 'model.yaml')!r}]\n"
        "try: main()\nexcept SystemExit as end: assert end.code == 2, end.code\n"
        "heavy = {'torch', 'diffusers', 'prefect', 'streamlit', 'boto3', 'sqlalchemy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
