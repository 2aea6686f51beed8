"""What every page works with: settings, ledger, object store, links to pictures. One of each in a server process."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cache

from review_app.links import Links
from schemas.catalogue import Catalogue
from schemas.settings import Settings
from storage.ledger import Ledger, open_ledger
from storage.objects import Store, open_store


@dataclass(frozen=True)
class Resources:
    settings: Settings
    ledger: Ledger
    store: Store
    links: Links
    signed_out: dict[str, float] = field(default_factory=dict)
    """When each person signed out here last: another tab keeps its connection, and Streamlit its `st.user`."""

    @property
    def catalogue(self) -> Catalogue:
        """Read anew, for a studio changes it without restarting this server."""
        return Catalogue.read(self.settings.catalogue)


@cache
def open_resources() -> Resources:
    """An entry point: reads the settings, opens what they name, brings the database up to date."""
    settings = Settings()
    ledger, store = open_ledger(settings), open_store(settings)
    return Resources(settings, ledger, store, Links(store, _secret(settings)))


def _secret(settings: Settings) -> bytes:
    """Signs links to pictures; kept, so that a restart does not empty the browsers' caches."""
    path = settings.home / "review.secret"
    try:
        with open(path, "xb", opener=lambda name, flags: _private(name, flags)) as file:
            file.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    found = path.read_bytes()
    return found if len(found) == 32 else secrets.token_bytes(32)


def _private(name: str, flags: int) -> int:
    import os

    return os.open(name, flags, 0o600)
