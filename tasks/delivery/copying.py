"""What left before, copied into a folder later: `dailies deliver --to FOLDER`. From the object store, byte for byte."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import DailiesError, NameCollision, ObjectDamaged, StoreUnavailable
from schemas.names import count_noun
from storage.failpoint import failpoint
from storage.ledger import Ledger
from storage.objects import Store
from tasks.delivery.engine_files import is_rewritten
from tasks.delivery.index import write_index
from tasks.delivery.target import read_file, write_file


@dataclass
class Copied:
    """Counts of files; `withdrawn`: images that are not approved any more, which are not copied."""

    written: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{self.written} files copied, {self.unchanged} were there"
        text += f", {count_noun(self.withdrawn, 'image')} not approved any more left out" if self.withdrawn else ""
        return "\n".join([text, *(f"not copied: {problem}" for problem in self.problems)])


def copy_delivered(folder: Path, *, ledger: Ledger, store: Store, project: str | None = None) -> Copied:
    """Every file of every delivered image, and the index last. Nothing of somebody else is replaced."""
    copied = Copied()
    projects = {row.project for row in ledger.deliveries(project=project)}
    for one in sorted(projects):
        body = write_index(one, ledger=ledger, store=store, folder=None)
        for image in body["images"]:
            if image["withdrawn"]:
                copied.withdrawn += 1
                continue
            sidecar = {"name": f"{image['name']}.json", "key": image["sidecar"]}
            for file in (*image["files"], sidecar):
                try:
                    _copy(file, folder, store, copied)
                except StoreUnavailable:
                    raise
                except DailiesError as wrong:
                    copied.problems.append(f"{file['name']}: {wrong}")
        try:
            write_index(one, ledger=ledger, store=store, folder=folder)
        except NameCollision as wrong:
            copied.problems.append(str(wrong))
    return copied


def _copy(file: dict[str, str], folder: Path, store: Store, copied: Copied) -> None:
    data = store.get(file.get("key", f"delivery/{file['name']}"))
    if file.get("sha256") not in (None, hashlib.sha256(data).hexdigest()):
        raise ObjectDamaged("its bytes are not those that were delivered")
    there = read_file(folder, file["name"])
    if there == data:
        copied.unchanged += 1
        return
    if there is not None and file.get("role") == "engine" and is_rewritten(file["name"], data, there):
        copied.unchanged += 1
        return
    if there is not None and "key" not in file:
        raise NameCollision("another file lies there already")
    write_file(folder, file["name"], data)
    copied.written += 1
    failpoint("deliver.after_copy")
