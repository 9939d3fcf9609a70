"""Installing an OAuth app into a portal: which apps there are, whom HubSpot sends back, and what is kept of it.

Who comes back must be who went: the state that travels along is signed for one session, and soon too old.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from itsdangerous import BadData, URLSafeSerializer

from connector.config import Config
from connector.errors import StagekeeperError
from connector.hubspot.budget import MemoryBudgetStore
from connector.hubspot.failure import HubSpotError
from connector.hubspot.grants import Granted, OAuthApp
from connector.hubspot.meaning import Meaning
from connector.moments import MINUTE
from connector.needs import scopes
from connector.oauth.keyring import app_of, sealer_of
from connector.oauth.sealing import TokenPair
from connector.rulebook.pack import Pack
from connector.services import open_hubspot
from connector.store.grants import Grants
from connector.web.layout import Site

_LONGEST = 15 * MINUTE
_log = structlog.get_logger()


class NotInstalled(StagekeeperError):
    """The app was not installed."""

    code = "not-installed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Installable:
    """An app of the configuration, with what its portals' rules need, and those portals."""

    app: OAuthApp
    scopes: tuple[str, ...]
    portals: tuple[int, ...]


def installables(config: Config, packs: Mapping[int, Pack]) -> Mapping[str, Installable]:
    """Give every OAuth app by its client id."""
    found: dict[str, Installable] = {}
    for portal in config.portals:
        app = app_of(config, portal)
        if app is None:
            continue
        known = found.get(app.client_id)
        needed = {scope.name for scope in scopes(portal, packs[portal.id])}
        found[app.client_id] = Installable(
            app=known.app if known else app,
            scopes=tuple(sorted({"oauth", *needed, *(known.scopes if known else ())})),
            portals=(*(known.portals if known else ()), portal.id),
        )
    return found


def state_for(form_key: str, client_id: str, now: int) -> str:
    """Write the state that HubSpot gives back, for one session."""
    return _signer(form_key).dumps([client_id, now])


def client_id_in(state: str, form_key: str, now: int) -> str:
    """Read which app somebody went to install; raises NotInstalled when it was not in this session, or too long ago."""
    try:
        client_id, began = _signer(form_key).loads(state)
    except (BadData, ValueError, TypeError) as error:
        raise NotInstalled("This answer of HubSpot's belongs to another session. Nothing was changed.") from error
    if not 0 <= now - int(began) < _LONGEST:
        raise NotInstalled("This took longer than a quarter of an hour. Nothing was changed; begin again.")
    return str(client_id)


def install(site: Site, one: Installable, code: str) -> int:
    """Trade the code for tokens and keep them; give the portal. Raises HubSpotError or NotInstalled."""
    granted = one.app.exchange(code, site.clock)
    portal = granted.portal or _portal_of(site, one, granted)
    configured = site.config.portal(portal)
    if configured is not None and configured.oauth and configured.oauth.client_id != one.app.client_id:
        text = f"The configuration opens portal {portal} by another app; correct its `client_id`, then connect again."
        raise NotInstalled(text)
    sealer = sealer_of(site.config)
    assert sealer is not None  # noqa: S101 - there are apps only where there are keys
    pair = TokenPair(access=granted.access_token, refresh=granted.refresh_token or "")
    Grants(site.engine, site.clock).keep(
        portal=portal, client_id=one.app.client_id, sealed=sealer.seal(portal, pair), scopes=granted.scopes,
        expires_at=granted.expires_at,
    )  # fmt: skip
    _log.warning("grant.kept", portal=portal, scopes=len(granted.scopes), configured=configured is not None)
    _try_at_once(site, portal)
    return portal


def _portal_of(site: Site, one: Installable, granted: Granted) -> int:
    """Ask whose portal the new tokens open, where HubSpot did not say it with them."""
    known = next(portal for portal in site.config.portals if portal.id == one.portals[0])
    hubspot, _ = open_hubspot(known, store=MemoryBudgetStore(), access=lambda: granted.access_token)
    try:
        told = str(hubspot.account().get("portalId"))
    finally:
        hubspot.close()
    if not told.isdecimal():
        raise HubSpotError(meaning=Meaning(kind="unclear", message="HubSpot does not say whose portal this is"))
    return int(told)


def _try_at_once(site: Site, portal: int) -> None:
    """Let a portal that waited for this be tried now."""
    trouble = site.troubles.troubles().get(portal)
    if trouble is not None and trouble.code == "unauthorised":
        site.troubles.begin_trouble(portal, code=trouble.code, text=trouble.text, until=site.clock())


def _signer(form_key: str) -> URLSafeSerializer:
    return URLSafeSerializer(form_key, salt="stagekeeper connect")
