"""Tells a studio's chat or build system that a night ended, failed or stopped itself, or who was mentioned.

The address is a secret: it is in no log line, no error, no flow parameter. Failing to deliver is a warning, never a
reason for a night to fail.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Literal

import httpx
from pydantic import SecretStr

log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs every address

SECONDS = 10.0
"""Patience with the receiver."""


def notify(
    url: SecretStr | None, *, shape: Literal["json", "slack"], event: str, facts: dict[str, Any], text: str
) -> bool:
    """POSTs once; true when the receiver answered with success.

    `json`: {"event", "text", **facts}. `slack`: {"text"}, which Mattermost and Discord's /slack read too.
    """
    if url is None:
        return False
    body = {"text": text} if shape == "slack" else {"event": event, "text": text, **facts}
    try:
        answer = httpx.post(
            url.get_secret_value(),
            content=json.dumps(body, default=str).encode(),
            headers={"Content-Type": "application/json"},
            timeout=SECONDS,
            follow_redirects=False,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("the webhook could not be told that %s: %s", event, type(error).__name__)
        return False
    if not answer.is_success:
        log.warning("the webhook refused to hear that %s: HTTP %s", event, answer.status_code)
        return False
    return True
