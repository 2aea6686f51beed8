"""What left, shown in Kitsu: a preview at the asset's task, and the task's status. Kitsu's word is information only.

For each image that left and stands approved, its project, asset type, asset and task are found or made; a comment sets
the task's status and names the image's digest; the picture is the comment's preview. A note in the object store,
`indexes/kitsu/DIGEST.json`, says that it is done. Where a run was cut off before the note, the next one finds the
comment by its digest and goes on from there, so nothing is published twice. Nothing here blocks or undoes a delivery:
what fails is said, and tried again by the next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.errors import DailiesError, KitsuError, KitsuUnavailable, SettingsError
from schemas.manifest import Manifest
from schemas.records import Delivery
from schemas.settings import KitsuSettings, Limits
from storage.failpoint import failpoint
from storage.labels import relabel
from storage.ledger import Ledger
from storage.objects import Store
from storage.pictures import decode_kept, encode
from tasks.kitsu import Entry, Kitsu

TASK = "main"
"""Name of a task of its type, as Kitsu itself gives it."""


@dataclass(frozen=True)
class Published:
    """Files whose pictures are in Kitsu now, how many had been before, and what could not be."""

    names: tuple[str, ...] = ()
    before: int = 0
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        count = f"Kitsu: {len(self.names)} published, {self.before} had been before"
        return "\n".join([count, *(f"not published: {problem}" for problem in self.problems)])


def open_kitsu(settings: KitsuSettings) -> Kitsu | None:
    """None where no Kitsu is set; SettingsError where half of it is."""
    if settings.url is None and settings.token is None:
        return None
    if settings.url is None or settings.token is None:
        there, missing = ("url", "token") if settings.token is None else ("token", "url")
        raise SettingsError(f"kitsu: got {there} without {missing}; expected both")
    return Kitsu(settings.url, settings.token.get_secret_value())


def publish(
    ledger: Ledger, store: Store, kitsu: Kitsu, settings: KitsuSettings, *, project: str | None = None
) -> Published:
    """Whatever left and is not there yet. Kitsu's failures are in the answer; those of ledger and store are raised."""
    withdrawn = {row.image for row in ledger.deliveries(project=project, withdrawn=True)}
    rows = [row for row in ledger.deliveries(project=project) if row.image not in withdrawn]
    waiting = [row for row in rows if not store.exists(_note(row.image))]
    publisher = Publisher(ledger, store, kitsu, settings)
    names, problems = [], []
    for place, row in enumerate(waiting):
        try:
            publisher.publish(row)
            names.append(row.name)
        except KitsuUnavailable as error:
            left = len(waiting) - place
            problems.append(f"{error}; {left} wait for the next delivery")
            break
        except KitsuError as error:
            problems.append(f"{row.name}: {error}")
    return Published(tuple(names), len(rows) - len(waiting), tuple(problems))


class Publisher:
    """Looks each project, type and status up once."""

    def __init__(self, ledger: Ledger, store: Store, kitsu: Kitsu, settings: KitsuSettings) -> None:
        self.ledger, self.store, self.kitsu, self.settings = ledger, store, kitsu, settings
        self._known: dict[tuple[str, ...], Entry] = {}

    def publish(self, row: Delivery) -> None:
        # 1. The task that the picture belongs to, and the status that it gets
        task = self.find_task(row)
        status = self._find_status(self.settings.status)
        # 2. The comment, unless a run that was cut off has written it
        comments = self.kitsu.list(f"data/tasks/{task['id']}/comments")
        comment = next((one for one in comments if _mark(row.image) in (one.get("text") or "")), None)
        if comment is None:
            text = f"{row.name.rpartition('/')[2]}, approved and delivered. {_mark(row.image)}"
            body = {"task_status_id": status["id"], "comment": text, "checklist": [], "links": [], "for_client": False}
            comment = self.kitsu.post(f"actions/tasks/{task['id']}/comment", body)
            failpoint("kitsu.after_comment")
        # 3. Its preview, unless that is there with its picture
        preview = next(iter(comment.get("previews") or []), None)
        if preview is None:
            preview = self.kitsu.post(f"actions/tasks/{task['id']}/comments/{comment['id']}/add-preview", {})
            failpoint("kitsu.after_preview")
        if not self.kitsu.get(f"data/preview-files/{preview['id']}").get("original_name"):
            path, name = f"pictures/preview-files/{preview['id']}", row.name.rpartition("/")[2].rpartition(".")[0]
            self.kitsu.upload(path, self._picture(row), file_name=f"{name}.png")
            failpoint("kitsu.after_upload")
        # 4. The note last
        note = {"image": row.image, "task": task["id"], "comment": comment["id"], "preview": preview["id"]}
        self.store.put_once(_note(row.image), json.dumps(note, sort_keys=True).encode(), media_type="application/json")

    def find_task(self, row: Delivery) -> Entry:
        find, make = self.kitsu.find, self.kitsu.post
        names, settings = (settings_name(self.settings, row.project), row.asset), self.settings
        project = self._once(
            ("project", names[0]),
            lambda: find("data/projects", name=names[0]),
            lambda: make("data/projects", {"name": names[0], "production_type": "short", "production_style": "2d3d"}),
        )
        kind = self._once(
            ("asset type", settings.asset_type),
            lambda: find("data/entity-types", name=settings.asset_type),
            lambda: make("data/entity-types", {"name": settings.asset_type}),
        )
        step = self._once(
            ("task type", settings.task_type),
            lambda: find("data/task-types", name=settings.task_type, for_entity="Asset"),
            lambda: make("data/task-types", {"name": settings.task_type, "color": "#000000", "for_entity": "Asset"}),
        )
        asset = self._once(
            ("asset", project["id"], row.asset),
            lambda: find("data/assets/all", project_id=project["id"], name=row.asset, entity_type_id=kind["id"]),
            lambda: make(
                f"data/projects/{project['id']}/asset-types/{kind['id']}/assets/new",
                {"name": row.asset, "data": {}, "is_shared": False},
            ),
        )
        keys = {"project_id": project["id"], "entity_id": asset["id"], "task_type_id": step["id"]}
        return self._once(
            ("task", asset["id"], step["name"]),
            lambda: find("data/tasks", name=TASK, task_type_id=step["id"], entity_id=asset["id"]),
            lambda: make(
                "data/tasks",
                {**keys, "name": TASK, "task_status_id": self._find_status(None)["id"], "assignees": []},
            ),
        )

    def _once(self, key: tuple[str, ...], find: Callable[[], Entry | None], make: Callable[[], Entry]) -> Entry:
        if key not in self._known:
            entry = find()
            if entry is None and not self.settings.create:
                raise KitsuError(f"got the {key[0]} {key[-1]!r}; expected one that is in Kitsu, or `create = true`")
            self._known[key] = entry if entry is not None else make()
        return self._known[key]

    def _find_status(self, short_name: str | None) -> Entry:
        """By its short name; None: the one that new tasks have."""
        statuses = self.kitsu.list("data/task-status")
        for one in statuses:
            if one.get("short_name") == short_name if short_name is not None else one.get("is_default"):
                return one
        there = ", ".join(sorted(str(one.get("short_name")) for one in statuses))
        raise KitsuError(f"kitsu.status: got {short_name or 'no default'!r}; expected one of: {there}")

    def _picture(self, row: Delivery) -> bytes:
        """The picture as it left where that is a PNG; else the approved one as a PNG, with the text that is allowed."""
        if row.name.endswith(".png"):
            return self.store.get(f"delivery/{row.name}")
        kept = self.ledger.picture(row.image)
        image, spec = kept.image, kept.spec
        brief = self.ledger.briefs([row.image])[row.image]
        detail = Manifest.model_validate(brief.manifest_body).delivery.metadata
        data = self.store.get(image.object_key)
        limits = Limits(source_bytes=max(1, len(data)), source_pixels=image.width * image.height)
        return relabel(encode(decode_kept(data, limits=limits), spec, image_format="png").data, spec, detail=detail)


def read_statuses(ledger: Ledger, store: Store, kitsu: Kitsu, *, project: str | None = None) -> list[dict[str, Any]]:
    """What Kitsu says now of each image that was published. Read, shown, and used for nothing else."""
    statuses = {one["id"]: one.get("name", "") for one in kitsu.list("data/task-status")}
    tasks: dict[str, Entry] = {}
    rows = []
    for row in ledger.deliveries(project=project):
        if not store.exists(_note(row.image)):
            continue
        task_id = json.loads(store.get(_note(row.image)))["task"]
        if task_id not in tasks:
            tasks[task_id] = kitsu.get(f"data/tasks/{task_id}")
        task = tasks[task_id]
        status = statuses.get(task.get("task_status_id"), "unknown")
        rows.append({"file": row.name, "asset": row.asset, "status": status, "changed": task.get("updated_at")})
    return rows


def settings_name(settings: KitsuSettings, project: str) -> str:
    """A project's name in Kitsu."""
    return settings.projects.get(project, project)


def _mark(image: str) -> str:
    return f"dailies:image {image}"


def _note(image: str) -> str:
    return f"indexes/kitsu/{image}.json"


def publish_delivered(
    ledger: Ledger, store: Store, settings: KitsuSettings, *, project: str | None
) -> Published | None:
    """For the command line and the flow: None where no Kitsu is set. Never raises: the delivery is done."""
    kitsu = None
    try:
        kitsu = open_kitsu(settings)
        return None if kitsu is None else publish(ledger, store, kitsu, settings, project=project)
    except DailiesError as error:
        return Published(problems=(str(error),))
    finally:
        if kitsu is not None:
            kitsu.close()
