"""What an order changes for images that were ordered before: the sentences of `dailies check`.

This app plans nothing, so the command line is asked, with the manifest and the files that it names in a folder of their
own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

from schemas.errors import InputError
from schemas.fields import check_picture_path
from schemas.settings import Settings
from storage.intake import Inspection, Upload

PATIENCE = 120
"""s"""


def list_order_changes(looked: Inspection, files: Upload, settings: Settings) -> list[str]:
    """One sentence for each change; none for a first order. `looked`: a sound manifest that came with `files`.

    Raises InputError when the command line cannot say it.
    """
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / (PurePosixPath(looked.reading.name).name or "manifest.yaml")
        for path, data in _collect_files(looked, files, settings).items():
            place = Path(folder) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        manifest.write_bytes(looked.reading.data)
        command = [sys.executable, "-m", "flows", "check", str(manifest), "--json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise InputError(f"`dailies check` did not end within {PATIENCE} s") from None
    try:
        report = json.loads(done.stdout)
        return [str(sentence) for sentence in report["changes"]]
    except (ValueError, KeyError):
        raise InputError(f"`dailies check` failed: {(done.stdout + done.stderr).strip()[-400:]}") from None


def _collect_files(looked: Inspection, files: Upload, settings: Settings) -> dict[str, bytes]:
    """The files under the paths by which the manifest names them; all of them lead into its folder."""
    pictures = {check_picture_path(text) for _, text in looked.reading.pictures()}
    uploaded = (path for path in pictures if not path.startswith("s3://"))
    return {path: files.read(path, settings.limits.source_bytes) for path in uploaded} | looked.reading.beside
