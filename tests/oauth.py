"""A Stagekeeper whose practice portal is opened by an OAuth app, and how such a portal is connected in tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector.oauth.keyring import app_of, sealer_of
from connector.oauth.sealing import TokenPair
from connector.store.grants import Grants
from tests.practice import NOTED, Practice, practice

KEYS = ("NVKB6ANEwt6RrLrCvLnDF_xGWwnaf1fDQdt9wkh5kJY=", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
CLIENT_ID = "app-under-test"
REDIRECT = "https://stagekeeper.example.com/oauth/callback"
OPENED_BY = f"oauth: {{client_id: {CLIENT_ID}}}"
TOKEN = "/oauth/token"


def oauth_section(*keys: str, authorize_url: str = "") -> str:
    """Write the configuration's part about OAuth."""
    more = f", authorize_url: {authorize_url}" if authorize_url else ""
    return f"oauth: {{keys: [{', '.join(keys or KEYS[:1])}], redirect_url: {REDIRECT}{more}}}"


@contextmanager
def oauth_practice(folder: Path, *, more: str = "", connected: bool = True, **options: Any) -> Iterator[Practice]:
    """Run practice portals that are opened by OAuth, connected or not yet."""
    given = {"rules": NOTED, "client_id": CLIENT_ID, **options}
    with practice(folder, worker=f"{oauth_section()}\n{more}", opened_by=OPENED_BY, **given) as the:
        if connected:
            connect(the)
            the.sandbox.calls.reset()
        yield the


def connect(the: Practice) -> None:
    """Install the app into the first portal, as the page Connect does."""
    app, sealer = app_of(the.config, the.config.portals[0]), sealer_of(the.config)
    assert app is not None
    assert sealer is not None
    granted = app.exchange(the.sandbox.portal.tokens.install(REDIRECT, ["oauth"]), the.time)
    pair = TokenPair(access=granted.access_token, refresh=granted.refresh_token or "")
    kept(the).keep(
        portal=the.portal, client_id=CLIENT_ID, sealed=sealer.seal(the.portal, pair), scopes=granted.scopes,
        expires_at=granted.expires_at,
    )  # fmt: skip


def kept(the: Practice) -> Grants:
    """The grants in the database."""
    return Grants(the.services.engine, the.time)


def tokens_kept(the: Practice) -> TokenPair:
    """The tokens that are kept, decrypted."""
    grant, sealer = kept(the).find(the.portal), sealer_of(the.config)
    assert grant is not None
    assert sealer is not None
    return sealer.open(the.portal, grant.sealed)
