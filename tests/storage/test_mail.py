"""Against a real local mail server."""

from __future__ import annotations

import datetime
import ipaddress
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr, ValidationError

from schemas.settings import MailSettings
from storage.mail import send
from tests.mail_server import PASSWORD, MailServer, serving

SENDER = "dailies@studio.example"


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with serving() as server:
        yield server


def plain(server: MailServer, **fields: Any) -> MailSettings:
    return MailSettings(host="127.0.0.1", port=server.port, security="none", sender=SENDER, **fields)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("mail") / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


def test_one_message_to_all(mail: MailServer) -> None:
    people = ["lea@studio.example", "noor@studio.example"]
    assert send(plain(mail), to=people, subject="Dailies: night ended, night 3", text="24 made.\nπ and 絵\n")
    (heard,) = mail.heard
    assert (heard["From"], heard["To"]) == (SENDER, ", ".join(people))
    assert heard["Subject"] == "Dailies: night ended, night 3" and heard["Auto-Submitted"] == "auto-generated"
    assert heard.get_content().replace("\r\n", "\n") == "24 made.\nπ and 絵\n"
    assert heard["Date"] and heard["Message-ID"].endswith("@studio.example>")


def test_nobody_and_no_server_are_no_reason_to_try(mail: MailServer) -> None:
    assert not send(plain(mail), to=[], subject="x", text="x")
    assert not send(MailSettings(), to=["lea@studio.example"], subject="x", text="x")
    assert mail.heard == []


def test_a_password_goes_over_tls_alone_and_the_certificate_is_looked_at(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with serving(certificate=certificate) as server:
        given: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "sender": SENDER, "user": "dailies"}
        right = MailSettings(**given, password=SecretStr(PASSWORD))
        message: dict[str, Any] = {"to": ["lea@studio.example"], "subject": "x", "text": "x"}
        assert not send(right, **message), "nobody vouches for this certificate"
        assert "SSLCertVerificationError" in caplog.text
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert send(right, **message) and len(server.heard) == 1
        assert not send(MailSettings(**given, password=SecretStr("open barley")), **message)
        assert "SMTPAuthenticationError 535" in caplog.text
        assert not send(plain(server), **message), "a server that wants TLS gets no word in the clear"
        assert len(server.heard) == 1
    assert "sesame" not in caplog.text and "barley" not in caplog.text


def test_what_is_refused_or_away_is_a_warning(mail: MailServer, caplog: pytest.LogCaptureFixture) -> None:
    mail.refuses = {"gone@studio.example"}
    both = ["lea@studio.example", "gone@studio.example"]
    assert not send(plain(mail), to=both, subject="x", text="x")
    assert "refused 1 of 2 addresses" in caplog.text and len(mail.heard) == 1
    mail.is_away = True
    assert not send(plain(mail), to=both[:1], subject="x", text="x")
    assert "SMTPDataError 451" in caplog.text
    nowhere = MailSettings(host="127.0.0.1", port=9, security="none", sender=SENDER)
    assert not send(nowhere, to=both[:1], subject="x", text="x")
    assert "ConnectionRefusedError" in caplog.text and "gone@" not in caplog.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "mail.studio.example"}, "got host without sender; expected both"),
        ({"user": "dailies"}, "got user without password; expected both"),
        ({"user": "x", "password": "y", "security": "none"}, "got a password with security none"),
        ({"sender": "Dailies <dailies@studio.example>"}, "pattern"),
        ({"nights": ["lea@studio.example\nBcc: all@studio.example"]}, "pattern"),
        ({"people": {"Lea": "lea"}}, "pattern"),
        ({"people": {"Lea": "lea@a.example, noor@b.example"}}, "pattern"),
        ({"host": "smtp://mail"}, "pattern"),
    ],
)
def test_half_a_setting_and_no_address_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MailSettings(**given)


@pytest.mark.parametrize("person", ["Ada", "Ada <a@b.c>", "a@b@c", "a@b.c\nBcc: d@e.f", "a@b.c\n", "@", "a b@c"])
def test_a_name_that_is_no_address_gets_no_mail(person: str) -> None:
    assert MailSettings().find_address(person) is None


def test_a_name_that_is_one_does() -> None:
    assert MailSettings().find_address("ada@studio.example") == "ada@studio.example"
    assert MailSettings(people={"Ada": "ada@studio.example"}).find_address("Ada") == "ada@studio.example"
