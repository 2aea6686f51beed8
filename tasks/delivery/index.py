"""Everything that left for one project, in one JSON and one CSV: files with their hashes, images, licences.

In a folder they are `delivery.json` and `delivery.csv` beside what left, written whenever something left. The object
store changes nothing, so there each state has a name of its own, `indexes/PROJECT/TIME-DIGEST.json`: the last one
counts. Both follow from the ledger and the sidecars alone, so a run that was cut off is made good by the next one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from schemas.errors import NameCollision
from schemas.records import Delivery
from storage.failpoint import failpoint
from storage.ledger import Ledger
from storage.objects import Store
from tasks.delivery.names import make_safe_name
from tasks.delivery.target import read_file, write_file

SCHEMA = "dailies.delivery/1"
COLUMNS = (
    "file", "role", "kind", "sha256", "bytes", "media_type", "signed",
    "asset", "variant", "image", "digital_source_type", "licence", "delivered_at", "withdrawn",
)  # fmt: skip


def write_index(project: str, *, ledger: Ledger, store: Store, folder: Path | None) -> dict[str, Any]:
    """The index as it is now, into the store and the folder. NameCollision where the folder has another's."""
    body = make_index(project, ledger=ledger, store=store)
    data = (json.dumps(body, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
    stamp = max((row["delivered_at"] for row in body["images"]), default="none").translate(
        {ord(c): None for c in "-:."}
    )
    key = f"{_prefix(project)}{stamp.partition('+')[0]}-{hashlib.sha256(data).hexdigest()[:8]}.json"
    store.put_once(key, data, media_type="application/json")
    failpoint("deliver.after_index")
    if folder is not None:
        for place in sorted({row["name"].partition("/")[0] for row in body["images"]}):
            name = f"{place}/delivery.json"
            there = read_file(folder, name)
            if there is not None and not _is_own(there, project):
                raise NameCollision(f"the index would be {name}, where another file lies already")
            write_file(folder, f"{place}/delivery.csv", make_csv(body))
            write_file(folder, name, data)
    return body


def _is_own(data: bytes, project: str) -> bool:
    """Two projects can have one folder: `Potion Shop` and `Potion_Shop`."""
    try:
        body = json.loads(data)
        return bool(body["schema"] == SCHEMA and body["project"] == project)
    except (ValueError, KeyError, TypeError):
        return False


def make_index(project: str, *, ledger: Ledger, store: Store) -> dict[str, Any]:
    """By name. `withdrawn`: not approved any more since it left. Sidecars are read only for what is new since the last
    index in the store."""
    known = _read_last(project, store)
    withdrawn = {row.image for row in ledger.deliveries(project=project, withdrawn=True)}
    images = []
    for row in ledger.deliveries(project=project):
        one = known.get((row.image, row.name, row.sidecar)) or _read_image(row, store)
        images.append(one | {"withdrawn": row.image in withdrawn})
    return {"schema": SCHEMA, "project": project, "images": images}


def make_csv(body: Mapping[str, Any]) -> bytes:
    """A line a file. Text that a spreadsheet would take for a formula is put in quotes for it."""
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    lines.writerow(COLUMNS)
    for image in body["images"]:
        for file in image["files"]:
            row = {**image, **file, "file": file["name"]}
            lines.writerow([quote_cell(row.get(column, "")) for column in COLUMNS])
    return out.getvalue().encode("utf-8-sig")


def quote_cell(value: Any) -> Any:
    """(OWASP, CSV injection) A leading sign of a formula is preceded by an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _read_image(row: Delivery, store: Store) -> dict[str, Any]:
    said = json.loads(store.get(row.sidecar))
    names = ("variant", "digital_source_type", "licence")
    return {
        "image": row.image,
        "name": row.name,
        "sidecar": row.sidecar,
        "asset": row.asset,
        "approved_sha256": said["sha256"],
        **{name: said[name] for name in names if name in said},
        "delivered_at": row.delivered_at.astimezone(UTC).isoformat(),
        "files": said.get("files") or _files_before(row, said),
    }


def _files_before(row: Delivery, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sidecars of before the index name the picture's hash and the maps' names only."""
    sha256 = (said.get("delivered") or {}).get("sha256", said["sha256"])
    maps = [{"name": one["name"], "role": "map", "kind": one["kind"]} for one in said.get("maps", [])]
    return [{"name": row.name, "role": "picture", "sha256": sha256}, *maps]


def _read_last(project: str, store: Store) -> dict[tuple[str, str, str], dict[str, Any]]:
    last = max(store.keys(_prefix(project)), default=None)
    body = json.loads(store.get(last)) if last is not None else {"images": []}
    return {(one["image"], one["name"], one["sidecar"]): one for one in body["images"]}


def _prefix(project: str) -> str:
    return f"indexes/{make_safe_name(project)}-{hashlib.sha256(project.encode()).hexdigest()[:8]}/"
