"""Which file is the studio's catalogue, and what must follow when a scan has written it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from schemas.settings import ROOT, Settings

SHIPPED = ROOT / "models" / "catalogue.yaml"
SETTINGS_FILE = Path("dailies.toml")


def find_catalogue(settings: Settings) -> Path:
    """The setting's; where that is the one that ships, a new one in the working folder, beside dailies.toml."""
    if settings.catalogue.resolve() != SHIPPED.resolve():
        return settings.catalogue
    return Path("catalogue.yaml")


def adopt_catalogue(settings: Settings, catalogue: Path) -> list[str]:
    """Makes it the setting where it is not, and has its digests taken in a process of its own. Sentences to print."""
    said = []
    if settings.catalogue.resolve() != catalogue.resolve():
        line = f'catalogue = "{catalogue.as_posix()}"\n'
        before = SETTINGS_FILE.read_text(encoding="utf-8") if SETTINGS_FILE.is_file() else ""
        SETTINGS_FILE.write_text(line + before, encoding="utf-8")  # first: behind a [table] it would be that table's
        said.append(f"{SETTINGS_FILE}: `{line.strip()}` was added, so that everything works with it from now on")
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "digests.log").open("ab") as out:
        subprocess.Popen(
            [sys.executable, "-m", "flows", "models", "digest", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    said.append("digests are taken in the background; `dailies models digest` shows how far it is")
    return said
