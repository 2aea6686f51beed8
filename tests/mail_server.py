"""A real mail server on this machine: aiosmtpd, with and without TLS and a password."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

PASSWORD = "open sesame"


@dataclass
class MailServer:
    port: int
    heard: list[EmailMessage] = field(default_factory=list)
    """In order."""
    refuses: set[str] = field(default_factory=set)
    """Addresses that it does not take."""
    is_away: bool = False
    """Every message is put off."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuses:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.is_away:
            return "451 later"
        self.heard.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@contextmanager
def serving(*, certificate: Path | None = None) -> Iterator[MailServer]:
    """With a certificate (PEM, with its key) it asks for STARTTLS and for a password."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        mail = MailServer(free.getsockname()[1])
    options: dict[str, Any] = {}
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": _knows}
    controller = Controller(mail, hostname="127.0.0.1", port=mail.port, **options)
    controller.start()
    try:
        yield mail
    finally:
        controller.stop()


def _knows(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
    assert isinstance(given, LoginPassword)
    return AuthResult(success=given.password == PASSWORD.encode(), handled=False)
