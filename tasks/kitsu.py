"""A Kitsu server (CGWire's production tracker; its API is Zou's) over plain HTTP. gazu, its own client, is LGPL and
brings socket.io; the few routes that are needed here are gazu's.

The token is in no log line, no error and no address. Knows nothing of images or deliveries.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx

from schemas.errors import KitsuError, KitsuUnavailable

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs every address

SECONDS = 20.0
"""Patience with the server, for each request."""

Entry = dict[str, Any]


class Kitsu:
    """`url`: of the API, as https://kitsu.studio.example/api. `token`: of a bot or a person (a JWT)."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "Dailies"}
        self._http = httpx.Client(
            base_url=url.rstrip("/") + "/", headers=headers, timeout=SECONDS, follow_redirects=False
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Entry:
        return self._entry(path, self._ask("GET", path))

    def list(self, path: str, **fields: str) -> list[Entry]:
        """The entries with these fields."""
        entries = self._ask("GET", path, params=fields)
        if not isinstance(entries, list):
            raise KitsuError(f"GET {path}: got {type(entries).__name__}; expected a list")
        return [self._entry(path, entry) for entry in entries]

    def find(self, path: str, **fields: str) -> Entry | None:
        return next(iter(self.list(path, **fields)), None)

    def post(self, path: str, body: Entry) -> Entry:
        return self._entry(path, self._ask("POST", path, json=body))

    def upload(self, path: str, data: bytes, *, file_name: str) -> Entry:
        """A PNG, as multipart; the server makes its own smaller versions of it."""
        return self._entry(path, self._ask("POST", path, files={"file": (file_name, data, "image/png")}))

    def _entry(self, path: str, answer: Any) -> Entry:
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
            raise KitsuError(f"{path}: got an answer without an id; expected an entry of Kitsu")
        return answer

    def _ask(self, method: str, path: str, **how: Any) -> Any:
        """Raises KitsuUnavailable for what would fail for every image, KitsuError for the rest."""
        try:
            answer = self._http.request(method, path, **how)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise KitsuUnavailable(f"{method} {path}: {type(error).__name__}") from None
        if answer.status_code in (401, 403) or answer.status_code >= 500 or answer.is_redirect:
            raise KitsuUnavailable(f"{method} {path}: got HTTP {answer.status_code}; expected 2xx")
        if not answer.is_success:
            raise KitsuError(f"{method} {path}: got HTTP {answer.status_code}; expected 2xx")
        try:
            return answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise KitsuError(
                f"{method} {path}: got no JSON; expected Kitsu's API, whose address ends in /api"
            ) from None
