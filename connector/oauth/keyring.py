"""From a configuration to what opens its OAuth portals; and whether its keys open what is kept."""

from collections.abc import Callable
from functools import cache
from typing import ClassVar

import sqlalchemy as sa
import structlog

from connector.config import Config, Portal
from connector.errors import StagekeeperError
from connector.hubspot.grants import OAuthApp
from connector.moments import Clock
from connector.oauth.access import AccessTokens
from connector.oauth.sealing import SealBroken, Sealer
from connector.store.engine import clock_of, open_database
from connector.store.grants import Grants

_log = structlog.get_logger()


class KeyWrong(StagekeeperError):
    """Tokens that are kept cannot be decrypted by the keys of the configuration."""

    code: ClassVar[str] = "oauth-key-wrong"
    exit_code: ClassVar[int] = 3


def app_of(config: Config, portal: Portal) -> OAuthApp | None:
    """Give the app that is installed into a portal; None where a token of its own opens it."""
    if portal.oauth is None or config.oauth is None:
        return None
    return OAuthApp(
        client_id=portal.oauth.client_id, client_secret=portal.client_secret.get_secret_value(),
        redirect_url=config.oauth.redirect_url, api_url=portal.api_url, api_version=portal.api_version,
    )  # fmt: skip


def sealer_of(config: Config) -> Sealer | None:
    """Give what encrypts and decrypts tokens; None where none are kept."""
    return None if config.oauth is None else Sealer([key.get_secret_value() for key in config.oauth.keys])


def access_of(
    config: Config, portal: Portal, *, clock: Clock, engine: sa.Engine | None = None,
    sleep: Callable[[float], None] | None = None,
) -> AccessTokens | None:  # fmt: skip
    """Give a portal's access; None where a token of its own opens it. Without an engine the database is opened late."""
    app, sealer = app_of(config, portal), sealer_of(config)
    if app is None or sealer is None:
        return None

    @cache
    def grants() -> Grants:
        opened = engine or open_database(config.database)
        return Grants(opened, clock if engine is not None else clock_of(opened))

    return AccessTokens(portal=portal.id, app=app, grants=grants, sealer=sealer, clock=clock, sleep=sleep)


def check_grants(config: Config, engine: sa.Engine, clock: Clock, *, forget: bool = False) -> None:
    """Put every grant under the first key, whichever opens it; raises KeyWrong when none does.

    With `forget` such a grant is removed instead: its portal must be connected anew.
    """
    sealer = sealer_of(config)
    if sealer is None:
        return
    grants, locked = Grants(engine, clock), list[int]()
    for grant in grants.all():
        try:
            sealed = sealer.resealed(grant.portal, grant.sealed)
        except SealBroken:
            locked.append(grant.portal)
            continue
        if sealed is not None and grants.reseal(grant, sealed):
            _log.info("grant.resealed", portal=grant.portal)
    if locked and not forget:
        found = f"the tokens of portal {', '.join(map(str, locked))} can be decrypted by none of `oauth.keys`"
        cure = (
            "add the key that they were encrypted with as a further one of `oauth.keys`; if it is lost, start once "
            "with `stagekeeper serve --forget-grants`, and connect these portals anew"
        )
        raise KeyWrong(f"{found}; expected the key that was there before; {cure}")
    for portal in locked:
        grants.remove(portal)
        _log.warning("grant.forgotten", portal=portal)
