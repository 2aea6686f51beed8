"""A small OpenID provider on this machine: authorization code with PKCE, signed identity tokens, sign-out.

What a client needs of OpenID Connect Core 1.0 and RP-Initiated Logout 1.0, with people who need no password. Every
request is checked as a provider checks it: client, redirect address, code (once), verifier.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey


@dataclass
class Provider:
    people: dict[str, dict[str, Any]]
    """sub -> further claims."""
    redirect_uri: str = ""
    client_id: str = "dailies"
    client_secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    url: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @property
    def secrets_toml(self) -> str:
        """Streamlit's [auth] section."""
        values = {
            "redirect_uri": self.redirect_uri,
            "cookie_secret": secrets.token_hex(32),
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "server_metadata_url": f"{self.url}/.well-known/openid-configuration",
        }
        return "[auth]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())

    def metadata(self) -> dict[str, Any]:
        ends = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "end_session": "logout"}
        return {
            "issuer": self.url,
            **{f"{name}_endpoint": f"{self.url}/{path}" for name, path in ends.items()},
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        if authorization.startswith("Basic "):
            client, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        else:
            client, secret = form.get("client_id", ""), form.get("client_secret", "")
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        wrong = {
            "client": (client, secret) != (self.client_id, self.client_secret),
            "code": asked is None,
            "redirect": asked is not None and asked["redirect_uri"] != form.get("redirect_uri"),
            "verifier": asked is not None and asked.get("code_challenge", challenge) != challenge,
        }
        if asked is None or any(wrong.values()):
            self.refused += [name for name, is_wrong in wrong.items() if is_wrong]
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.client_id, "sub": asked["sub"], "iat": now, "exp": now + 600}
        claims |= self.people[asked["sub"]] | ({"nonce": asked["nonce"]} if "nonce" in asked else {})
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        return 200, {"access_token": asked["sub"], "token_type": "Bearer", "expires_in": 600, "id_token": signed}


@contextlib.contextmanager
def provider(people: dict[str, dict[str, Any]]) -> Iterator[Provider]:
    """Serves until the end; set `redirect_uri` before anybody signs in."""
    made = Provider(people)

    def home() -> str:
        return made.redirect_uri.rsplit("/", 1)[0]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: str, kind: str = "application/json", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body.encode())), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/.well-known/openid-configuration":
                self.answer(200, json.dumps(made.metadata()))
            elif parts.path == "/jwks":
                self.answer(200, json.dumps({"keys": [made.key.as_dict(private=False)]}))
            elif parts.path == "/userinfo":
                sub = self.headers["Authorization"].removeprefix("Bearer ")
                self.answer(200, json.dumps({"sub": sub, **made.people[sub]}))
            elif parts.path == "/authorize" and (asked["client_id"], asked["redirect_uri"]) == (
                made.client_id,
                made.redirect_uri,
            ):
                if "sub" not in asked:
                    links = [
                        f'<a href="/authorize?{escape(parts.query)}&amp;sub={sub}">{sub}</a>' for sub in made.people
                    ]
                    return self.answer(200, "<br>".join(links), "text/html")
                code = secrets.token_hex(8)
                made.codes[code] = asked
                back = urlencode({"code": code, "state": asked["state"]})
                self.answer(302, "", Location=f"{asked['redirect_uri']}?{back}")
            elif parts.path == "/logout" and asked["post_logout_redirect_uri"].startswith(
                made.redirect_uri.rsplit("/", 1)[0]
            ):
                self.answer(302, "", Location=asked["post_logout_redirect_uri"])
            elif parts.path == "/favicon.ico":
                self.answer(404, "")
            else:
                made.refused.append(self.path)
                self.answer(400, "{}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, said = made.token(form, self.headers.get("Authorization", ""))
            self.answer(status, json.dumps(said))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()
