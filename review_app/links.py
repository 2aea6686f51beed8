"""Links to pictures that a browser may open for some hours, and the route that answers them.

Previews and thumbs in S3 are loaded from there, with S3's own signed URLs. An image in full, and every picture of the
folder store, comes through this app, which compares the bytes with their key: a damaged image is not shown. Such a link
is `/objects/<key>?until=...&sign=...`, an HMAC over both. A link stays the same for hours in either case, so that the
browser's cache works.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import mimetypes
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from urllib.parse import quote

from starlette.responses import PlainTextResponse, Response

from schemas.errors import ObjectDamaged, ObjectMissing, StoreError, StoreUnavailable
from storage.objects import FolderStore, Store

log = logging.getLogger(__name__)

HOURS = 6
CHECKED = "images/"
"""Keys of images in full; they never come straight from S3."""
KINDS = ("images", "previews", "thumbs", "conditions", "sources", "masks")
SHOWN = {".png", ".webp", ".jpg", ".jpeg", ".jxl", ".gif", ".bmp", ".tif", ".tiff"}
HEADERS = {
    "Cache-Control": f"private, max-age={HOURS * 3600}, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
mimetypes.add_type("image/webp", ".webp")
mimetypes.add_type("image/jxl", ".jxl")


class Links:
    """Links for the keys of one store. Thread-safe."""

    def __init__(self, store: Store, secret: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.secret = secret
        self.clock = clock
        self._kept: dict[str, tuple[int, str]] = {}
        self._lock = Lock()

    def to(self, key: str) -> str:
        """The same link for HOURS/2 at least; it is good for as long again."""
        half = HOURS * 1800
        period = int(self.clock() // half)
        if isinstance(self.store, FolderStore) or key.startswith(CHECKED):
            until = (period + 3) * half
            return f"/objects/{quote(key)}?until={until}&sign={self._sign(key, until)}"
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept[0] != period:
                if len(self._kept) > 50_000:
                    self._kept.clear()
                kept = self._kept[key] = (period, self.store.url(key, seconds=3 * half))
            return kept[1]

    def to_map(self, name: str) -> str:
        """What is derived from an image, by its digest and a kind of map (review_app/lit_preview)."""
        half = HOURS * 1800
        until = (int(self.clock() // half) + 3) * half
        return f"/lit/{name}?until={until}&sign={self._sign(f'lit/{name}', until)}"

    def allows(self, key: str, until: str, sign: str) -> bool:
        if not until.isascii() or not until.isdigit() or len(until) > 12 or int(until) < self.clock():
            return False
        return hmac.compare_digest(self._sign(key, int(until)).encode(), sign.encode())

    def _sign(self, key: str, until: int) -> str:
        return hmac.new(self.secret, f"{until}/{key}".encode(), hashlib.sha256).hexdigest()[:40]


def answer_picture(links: Links, key: str, until: str, sign: str) -> Response:
    """The picture, or a plain refusal that says nothing of what exists."""
    known = key.split("/", 1)[0] in KINDS and Path(key).suffix.lower() in SHOWN
    ours = isinstance(links.store, FolderStore) or key.startswith(CHECKED)
    if not known or not ours or not links.allows(key, until, sign):
        return PlainTextResponse("This link is not valid, or no longer.", status_code=403)
    try:
        data = links.store.get(key)
    except ObjectMissing:
        return PlainTextResponse("There is no such picture.", status_code=404)
    except ObjectDamaged as damage:
        log.error("%s", damage)
        return PlainTextResponse("This picture is damaged; it is not shown.", status_code=409)
    except StoreUnavailable as away:
        log.warning("%s", away)
        return PlainTextResponse("The pictures cannot be reached now.", status_code=503)
    except StoreError:
        return PlainTextResponse("This link is not valid.", status_code=403)
    return Response(data, media_type=mimetypes.guess_type(key)[0], headers=HEADERS)
