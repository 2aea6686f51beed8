"""A real HTTP server with the routes and the JSON of Zou, Kitsu's API, that Dailies uses; it keeps state.

It was written from the calls of gazu 1.3.1, Zou's own client; no Kitsu was at hand to compare it with.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "eyJ.sesame.bot"
STATUSES = (("Todo", "todo", True), ("Waiting For Approval", "wfa", False), ("Retake", "retake", False))
MODELS = ("projects", "entity-types", "task-types", "assets", "tasks", "task-status", "comments", "preview-files")

Entry = dict[str, Any]


@dataclass
class FakeKitsu:
    url: str = ""
    tables: dict[str, list[Entry]] = field(default_factory=lambda: {name: [] for name in MODELS})
    asked: list[str] = field(default_factory=list)
    """Method and path, in order."""
    uploads: dict[str, bytes] = field(default_factory=dict)
    """By preview file."""
    refuse: Callable[[str], int | None] = lambda asked: None
    """Method and path -> the HTTP status that is answered instead."""

    def add(self, model: str, **fields: Any) -> Entry:
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        entry = {"id": str(uuid.uuid4()), "created_at": time, "updated_at": time, **fields}
        self.tables[model].append(entry)
        return entry

    def one(self, model: str, key: str) -> Entry | None:
        return next((entry for entry in self.tables[model] if entry["id"] == key), None)

    def get(self, path: str, fields: dict[str, str]) -> Any:
        if found := re.fullmatch(r"data/tasks/([^/]+)/comments", path):
            comments = [one for one in self.tables["comments"] if one["object_id"] == found[1]]
            return [one | {"previews": self._previews(one)} for one in reversed(comments)]
        if path == "data/assets/all":
            path = "data/assets"
        model, _, key = path.removeprefix("data/").partition("/")
        if key:
            return self.one(model, key)
        return [one for one in self.tables[model] if all(str(one.get(name)) == value for name, value in fields.items())]

    def _previews(self, comment: Entry) -> list[Entry]:
        return [one for one in self.tables["preview-files"] if one["id"] in comment["preview_ids"]]

    def post(self, path: str, body: Entry) -> Any:
        if found := re.fullmatch(r"data/projects/([^/]+)/asset-types/([^/]+)/assets/new", path):
            return self.add("assets", type="Asset", project_id=found[1], entity_type_id=found[2], **body)
        if found := re.fullmatch(r"actions/tasks/([^/]+)/comment", path):
            task = self.one("tasks", found[1])
            assert task is not None and self.one("task-status", body["task_status_id"]) is not None
            task["task_status_id"] = body["task_status_id"]
            new = {"text": body["comment"], "object_id": found[1], "task_status_id": body["task_status_id"]}
            return self.add("comments", type="Comment", previews=[], preview_ids=[], **new)
        if found := re.fullmatch(r"actions/tasks/([^/]+)/comments/([^/]+)/add-preview", path):
            comment = self.one("comments", found[2])
            assert comment is not None
            preview = self.add("preview-files", task_id=found[1], revision=1, original_name=None, status="processing")
            comment["preview_ids"].append(preview["id"])
            return preview
        model = path.removeprefix("data/")
        assert model in ("projects", "entity-types", "task-types", "tasks"), path
        return self.add(model, **body)

    def upload(self, path: str, file_name: str, data: bytes) -> Any:
        preview = self.one("preview-files", path.rpartition("/")[2])
        assert preview is not None and path.startswith("pictures/preview-files/")
        self.uploads[preview["id"]] = data
        preview |= {"original_name": file_name.rpartition(".")[0], "extension": "png", "status": "ready"}
        return preview


def _handler(kitsu: FakeKitsu) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._answer("GET", parts.path, lambda path: kitsu.get(path, dict(parse_qsl(parts.query))))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind = self.headers["Content-Type"]
            if not kind.startswith("multipart/form-data"):
                self._answer("POST", self.path, lambda path: kitsu.post(path, json.loads(body)))
                return
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            message = BytesParser(_class=EmailMessage, policy=HTTP).parsebytes(head + body)
            (part,) = message.iter_parts()
            name, data = part.get_filename() or "", part.get_payload(decode=True)
            assert isinstance(data, bytes)
            self._answer("POST", self.path, lambda path: kitsu.upload(path, name, data))

        def _answer(self, method: str, path: str, work: Callable[[str], Any]) -> None:
            path = path.removeprefix("/api/")
            kitsu.asked.append(f"{method} {path}")
            status = kitsu.refuse(f"{method} {path}")
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status = 401
            answer = work(path) if status is None else {"message": "refused"}
            text = json.dumps(answer).encode()
            self.send_response(status or (404 if answer is None else 201 if method == "POST" else 200))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serving() -> Iterator[FakeKitsu]:
    """With Zou's usual statuses and nothing else."""
    kitsu = FakeKitsu()
    for name, short_name, is_default in STATUSES:
        kitsu.add("task-status", name=name, short_name=short_name, is_default=is_default)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(kitsu))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    kitsu.url = f"http://127.0.0.1:{server.server_port}/api"
    try:
        yield kitsu
    finally:
        server.shutdown()
        server.server_close()
