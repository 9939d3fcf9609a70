"""The access token of a portal: the one that is kept, refreshed ahead of its end by one process among all.

Whose turn a refresh is stands in the database. Whoever has not the turn goes on with the token that is kept while it
is good, and otherwise waits for the new one. A refresh that HubSpot refuses for good is remembered: the portal is in
trouble until somebody connects it anew, and nobody goes on asking.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.grants import Granted, GrantRefused, OAuthApp
from connector.hubspot.meaning import Kind, Meaning
from connector.moments import HOUR, MINUTE, SECOND, Clock
from connector.oauth.sealing import SealBroken, Sealer, TokenPair
from connector.store.grants import Grant, Grants, Turn

_AHEAD = 5 * MINUTE
_SLACK = 10 * SECOND
"""A token that ends sooner than that is not sent any more: the call takes its time."""
_LEASE = 45 * SECOND
_LONGEST_WAIT = 20 * SECOND
_POLL_S = 0.2
_AGAIN = 15 * SECOND
_CONNECT = "connect it on the page /connect; its events are kept, and work then goes on by itself"
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """The token as this process knows it."""

    token: str = field(repr=False)
    refresh_at: int
    expires_at: int


class AccessTokens:
    """Gives the access token of one portal at any time; thread-safe."""

    def __init__(
        self, *, portal: int, app: OAuthApp, grants: Callable[[], Grants], sealer: Sealer, clock: Clock,
        sleep: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        self._portal = portal
        self._app = app
        self._open_grants = grants
        self._sealer = sealer
        self._clock = clock
        self._sleep = sleep or time.sleep
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._refused = ""
        self._again_at = 0

    def __call__(self) -> str:
        """Give a token that is good now; raises PortalTrouble when only a person can help, and HubSpotError."""
        held = self._held
        if held is not None and self._is_fresh(held):
            return held.token
        can_wait = held is not None and self._is_usable(held)
        if not self._lock.acquire(blocking=not can_wait):
            assert held is not None  # noqa: S101 - only then it can wait
            return held.token
        try:
            return self._obtained()
        finally:
            self._lock.release()

    def refused(self, token: str) -> None:
        """Say that HubSpot did not take a token, whatever its time: the next call of this asks for another."""
        self._refused = token

    def _is_fresh(self, held: _Held) -> bool:
        return held.token != self._refused and self._clock() < held.refresh_at

    def _is_usable(self, held: _Held) -> bool:
        return held.token != self._refused and self._clock() < held.expires_at - _SLACK

    def _obtained(self) -> str:
        grants, deadline = self._open_grants(), self._clock() + _LONGEST_WAIT
        while True:
            grant, pair = self._known(grants)
            held = self._held = _held_of(grant, pair)
            is_usable = self._is_usable(held)
            if self._is_fresh(held) or (is_usable and self._clock() < self._again_at):
                return held.token
            turn = grants.begin_refresh(grant, lease_ms=_LEASE)
            if turn is not None:
                self._refresh(grants, grant, pair, turn, is_usable=is_usable)
            elif is_usable:
                return held.token
            elif self._clock() > deadline:
                text = f"HubSpot portal {self._portal}: another process has been refreshing its access for too long"
                raise HubSpotError(f"{text}; it is tried again", meaning=Meaning(kind="unavailable", message=text))
            else:
                self._sleep(_POLL_S)

    def _known(self, grants: Grants) -> tuple[Grant, TokenPair]:
        """Read what is kept; raises PortalTrouble when it is of no use."""
        grant = grants.find(self._portal)
        if grant is None:
            self._trouble("nobody has connected it yet", cure=_CONNECT)
        if grant.client_id != self._app.client_id:
            self._trouble("it was connected by another app than `client_id` names", cure=_CONNECT)
        if grant.refused is not None and self._clock() - (grant.refused_at or 0) < HOUR:
            self._trouble(f"HubSpot refuses to renew its access ({grant.refused})", cure=_CONNECT)
        try:
            return grant, self._sealer.open(self._portal, grant.sealed)
        except SealBroken:
            cure = "add the key that they were encrypted with to `oauth.keys`, and start again; or " + _CONNECT
            self._trouble("its tokens cannot be decrypted", cure=cure)

    def _refresh(self, grants: Grants, grant: Grant, pair: TokenPair, turn: Turn, *, is_usable: bool) -> None:
        """Take the turn to its end; raises what went wrong, unless the token that is kept will do for now."""
        try:
            granted = self._app.refresh(pair.refresh, self._clock)
        except GrantRefused as error:
            self._be_refused(grants, turn, error)
        except HubSpotError as error:
            grants.leave(turn)
            self._again_at = self._clock() + _AGAIN
            _log.warning("grant.refresh_failed", portal=self._portal, outcome=error.meaning.kind)
            if not is_usable:
                text = f"HubSpot portal {self._portal}: its access could not be renewed: {error.meaning.traced()}"
                raise HubSpotError(f"{text}; it is tried again", meaning=error.meaning) from error
        else:
            self._keep(grants, grant, pair, turn, granted)

    def _keep(self, grants: Grants, grant: Grant, pair: TokenPair, turn: Turn, granted: Granted) -> None:
        if granted.portal not in (None, self._portal):
            grants.leave(turn)
            self._trouble(f"what was renewed opens portal {granted.portal}", cure=_CONNECT)
        fresh = TokenPair(access=granted.access_token, refresh=granted.refresh_token or pair.refresh)
        sealed = self._sealer.seal(self._portal, fresh)
        if grants.end_refresh(turn, sealed=sealed, expires_at=granted.expires_at):
            _log.info(
                "grant.refreshed", portal=self._portal, expires_in_ms=granted.expires_at - self._clock(),
                ahead_ms=grant.expires_at - self._clock(), rotated=fresh.refresh != pair.refresh,
            )  # fmt: skip
        else:
            _log.warning("grant.turn_lost", portal=self._portal)

    def _be_refused(self, grants: Grants, turn: Turn, error: GrantRefused) -> NoReturn:
        _log.error("grant.refused", portal=self._portal, reason=error.reason)
        if error.is_final:
            grants.refuse(turn, error.reason)
            self._trouble(f"HubSpot refuses to renew its access: {error}", cure=_CONNECT)
        grants.leave(turn)
        cure = "write `client_id`, `client_secret` and `redirect_url` as the app has them in HubSpot, then start again"
        self._trouble(f"HubSpot refuses to renew its access: {error}", cure=cure)

    def _trouble(self, found: str, *, cure: str, kind: Kind = "unauthorised") -> NoReturn:
        text = f"HubSpot portal {self._portal}: {found}; {cure}"
        raise PortalTrouble(text, meaning=Meaning(kind=kind, message=found), cure=cure)


def _held_of(grant: Grant, pair: TokenPair) -> _Held:
    """Say when to refresh: five minutes ahead of the half hour, and of any other time a sixth."""
    ahead = min(_AHEAD, (grant.expires_at - grant.refreshed_at) // 6)
    return _Held(token=pair.access, refresh_at=grant.expires_at - ahead, expires_at=grant.expires_at)
