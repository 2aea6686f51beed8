"""A project's images as groups of a contact sheet, asset by asset, each with its variant and what was decided."""

from __future__ import annotations

import io
from functools import partial

from PIL import Image

from schemas.errors import InputError, StoreError
from schemas.names import suggest_names
from schemas.review import Verdict
from storage.ledger import Ledger
from storage.objects import Store
from tasks.contact_sheet import Group, Tile

FRAMES = {Verdict.APPROVE: "#2e7d32", Verdict.REJECT: "#c1121f", Verdict.RETAKE: "#e09f3e"}
STATES = {None: "to be reviewed", "approve": "approved", "reject": "rejected", "retake": "sent back"}


def list_groups(
    ledger: Ledger, store: Store, project: str, *, assets: list[str] | None = None, approved: bool = False
) -> list[Group]:
    """What is made of a project, or of some of its assets; `approved`: nothing else. Raises InputError for a project or
    an asset that is not there, or has no image."""
    known = [count.asset for count in ledger.assets(project)]
    if not known:
        projects = ledger.projects()
        raise InputError(
            f"got the project {project!r}; {suggest_names(project, projects) if projects else 'there is none'}"
        )
    for name in assets or ():
        if name not in known:
            raise InputError(f"got the asset {name!r}; {suggest_names(name, known)}")
    groups = []
    for asset in assets or known:
        tiles = []
        for frame in ledger.contact_sheet(project, asset):
            if frame.thumb_key is None or (approved and frame.verdict is not Verdict.APPROVE):
                continue
            take = f", take {frame.take}" if frame.take > 1 else ""
            state = STATES.get(frame.verdict, str(frame.verdict))
            tiles.append(
                Tile(
                    partial(_open, store, frame.thumb_key),
                    frame.variant,
                    (f"{frame.tier}{take}, {state}",),
                    frame=FRAMES.get(frame.verdict, "") if frame.verdict else "",
                )
            )
        if tiles:
            groups.append(Group(asset, tiles))
    if not groups:
        raise InputError(f"{project} has no {'approved ' if approved else ''}image yet")
    return groups


def _open(store: Store, key: str) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(store.get(key))).convert("RGB")
    except (StoreError, OSError):  # the sheet says that there is no picture
        return None
