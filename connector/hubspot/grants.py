"""HubSpot's OAuth: where people are asked to install an app, and what a code or a refresh token is traded for.

Nothing of what HubSpot answers here is repeated in a message but words that are known: a body may hold tokens.
https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/oauth-quickstart-guide
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlencode

from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import Meaning
from connector.hubspot.paths import PLAIN_VERSION
from connector.hubspot.transport import post_form
from connector.moments import MINUTE, SECOND, Clock

LIFETIME = 30 * MINUTE
"""Of an access token, where HubSpot does not say it."""
_SHORTEST = MINUTE
_LONGEST = 365 * 24 * 60 * MINUTE
_LONGEST_TOKEN = 10_000
# By what `error`, `status` or `category` say; which of them HubSpot fills differs between its versions.
_GONE = frozenset({"invalid_grant", "BAD_REFRESH_TOKEN", "BAD_AUTH_CODE", "MISMATCH_REDIRECT_URI_AUTH_CODE"})
_APP = frozenset({"invalid_client", "unauthorized_client", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET"})
_ADDRESS = frozenset({"BAD_REDIRECT_URI", "MISMATCH_REDIRECT_URI"})


class GrantRefused(HubSpotError):
    """HubSpot trades nothing for this code or refresh token; `is_final`: nor will it later."""

    code: ClassVar[str] = "grant-refused"

    def __init__(self, message: str, *, meaning: Meaning, reason: str, is_final: bool) -> None:
        super().__init__(message, meaning=meaning)
        self.reason = reason
        self.is_final = is_final


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """What HubSpot gave; None: it does not say whose portal it is, or leaves the refresh token as it was."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: int
    portal: int | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OAuthApp:
    """An app as HubSpot knows it, and where its tokens are given out."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_url: str
    api_url: str
    api_version: str = PLAIN_VERSION

    def authorize_url(self, base: str, *, scopes: Sequence[str], optional: Sequence[str], state: str) -> str:
        """Give the address at which HubSpot asks somebody to install the app."""
        fields = {"client_id": self.client_id, "redirect_uri": self.redirect_url, "scope": " ".join(scopes)}
        if optional:
            fields["optional_scope"] = " ".join(optional)
        return f"{base}{'&' if '?' in base else '?'}{urlencode({**fields, 'state': state})}"

    def exchange(self, code: str, clock: Clock) -> Granted:
        """Trade the code that HubSpot sent somebody back with; raises HubSpotError."""
        granted = self._ask({"grant_type": "authorization_code", "code": code}, clock)
        if granted.refresh_token is None:
            raise HubSpotError(meaning=Meaning(kind="invalid", message="the answer holds no refresh token"))
        return granted

    def refresh(self, refresh_token: str, clock: Clock) -> Granted:
        """Trade a refresh token for the next access token; raises HubSpotError."""
        return self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token}, clock)

    def _ask(self, fields: Mapping[str, str], clock: Clock) -> Granted:
        version = self.api_version  # "v3" is the spelling of this path, too
        url = f"{self.api_url.rstrip('/')}/oauth/{version}/token"
        mine = {"client_id": self.client_id, "client_secret": self.client_secret, "redirect_uri": self.redirect_url}
        asked_at = clock()
        meaning, body = post_form(url, {**mine, **fields}, clock)
        if meaning.kind != "done" or not isinstance(body, dict):
            raise _failure(meaning, body)
        return _granted(body, asked_at)


def _granted(body: Mapping[str, object], asked_at: int) -> Granted:
    access, refresh = _token(body.get("access_token")), _token(body.get("refresh_token"))
    if access is None:
        raise HubSpotError(meaning=Meaning(kind="invalid", message="the answer holds no access token"))
    seconds, portal, scopes = body.get("expires_in"), body.get("hub_id"), body.get("scopes")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    lifetime = round(min(max(float(str(seconds)) * SECOND, _SHORTEST), _LONGEST)) if is_number else LIFETIME
    return Granted(
        access_token=access, refresh_token=refresh, expires_at=asked_at + lifetime,
        portal=int(str(portal)) if str(portal).isdecimal() and str(portal).isascii() else None,
        scopes=tuple(str(scope)[:100] for scope in scopes[:200]) if isinstance(scopes, list) else (),
    )  # fmt: skip


def _token(value: object) -> str | None:
    """Read a token: of any form and length, for neither is promised, as long as it fits into a header."""
    text = value.strip() if isinstance(value, str) else ""
    is_one = text.isascii() and text.isprintable() and " " not in text and 0 < len(text) <= _LONGEST_TOKEN
    return text if is_one else None


def _failure(meaning: Meaning, body: object) -> HubSpotError:
    """Say what is the matter in words of our own."""
    fields = body if isinstance(body, dict) else {}
    said = {word for key in ("error", "status", "category") if isinstance(word := fields.get(key), str)}
    for known, reason, text in (
        (_GONE, "invalid_grant", "it knows this grant no more (the app was uninstalled, or the grant was used up)"),
        (_APP, "invalid_client", "it does not know the app by this client id and secret"),
        (_ADDRESS, "redirect_url", "the redirect URL is not one of the app's"),
    ):
        if said & known:
            plain = Meaning(kind="unauthorised", status=meaning.status, message=text)
            return GrantRefused(text, meaning=plain, reason=reason, is_final=reason == "invalid_grant")
    kind = meaning.kind if meaning.kind not in ("done", "partly") else "unclear"
    plain = Meaning(kind=kind, status=meaning.status, message="no token was given out", policy=meaning.policy,
                    retry_after_ms=meaning.retry_after_ms, correlation_id=meaning.correlation_id)  # fmt: skip
    return HubSpotError(meaning=plain)
