"""Sends plain e-mails by the studio's own server (SMTP). The password is in no log line and no error.

Failing to send is a warning, never a reason for a night to fail.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Iterable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

from schemas.settings import MailSettings

log = logging.getLogger(__name__)

SECONDS = 20.0
"""Patience with the server, for each of its answers."""


def send(settings: MailSettings, *, to: Iterable[str], subject: str, text: str) -> bool:
    """One message to all of these addresses; true when the server took it for each of them.

    False, and nothing tried, where no server is set or nobody is to hear of it.
    """
    people = list(to)
    if settings.host is None or settings.sender is None or not people:
        return False
    message = EmailMessage(policy=SMTP)
    message["Subject"], message["From"], message["To"] = subject, settings.sender, ", ".join(people)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=settings.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's out-of-office answers
    message.set_content(text)
    try:
        with _open(settings) as server:
            refused = server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:  # their texts may repeat what was sent
        code = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
        log.warning("no e-mail could be sent by %s: %s%s", settings.host, type(error).__name__, code)
        return False
    if refused:
        log.warning("%s refused %d of %d addresses of an e-mail", settings.host, len(refused), len(people))
    return not refused


def _open(settings: MailSettings) -> smtplib.SMTP:
    host, port, trusted = settings.host or "", settings.port, ssl.create_default_context()
    if settings.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=trusted)
    else:
        server = smtplib.SMTP(host, port, timeout=SECONDS)
    try:
        if settings.security == "starttls":
            server.starttls(context=trusted)
        if settings.user is not None and settings.password is not None:
            server.login(settings.user, settings.password.get_secret_value())
    except BaseException:
        server.close()
        raise
    return server
