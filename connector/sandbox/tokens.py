"""Who may call: the private app's token, tokens got by OAuth for half an hour, and tokens taken away."""

from collections.abc import Mapping

from connector.moments import MINUTE
from connector.sandbox.options import SandboxOptions
from connector.sandbox.refusals import JsonObject, Refusal, error_body

LIFETIME = 30 * MINUTE


class Tokens:
    """The tokens of one portal."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._granted: dict[str, int] = {}
        self._issued = 0
        self.is_revoked = False
        self.is_uninstalled = False

    def check(self, authorization: str) -> None:
        """Refuse with 401 unless the header carries a living token."""
        token = authorization.removeprefix("Bearer ").strip() if authorization.startswith("Bearer ") else ""
        if token == self._options.access_token and not self.is_revoked:
            return
        expires = self._granted.get(token)
        if expires is None or self.is_revoked:
            raise Refusal(401, error_body("INVALID_AUTHENTICATION", "Authentication credentials not found or revoked."))
        if expires <= self._options.clock():
            raise Refusal(401, error_body("EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired."))

    def is_granted(self, authorization: str) -> bool:
        """Ask whether the header carries a token that OAuth gave out; such calls have no daily limit."""
        return authorization.removeprefix("Bearer ").strip() in self._granted

    def grant(self, form: Mapping[str, str]) -> JsonObject:
        """Trade a refresh token or a code for an access token of thirty minutes."""
        kind = form.get("grant_type")
        if kind not in ("refresh_token", "authorization_code"):
            raise _bad_grant("unsupported_grant_type", "BAD_GRANT_TYPE", f"grant_type {kind!r} is not supported")
        if form.get("client_secret") != self._options.client_secret:
            raise _bad_grant("invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret")
        wrong = kind == "refresh_token" and form.get("refresh_token") != self._options.refresh_token
        if wrong or self.is_uninstalled:
            raise _bad_grant("invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        self._issued += 1
        token = f"oauth-sandbox-{self._options.portal}-{self._issued}"
        self._granted[token] = self._options.clock() + LIFETIME
        return {
            "access_token": token, "refresh_token": self._options.refresh_token, "expires_in": LIFETIME // 1000,
            "token_type": "bearer", "hub_id": self._options.portal, "user_id": 98_499_705, "scopes": ["oauth"],
        }  # fmt: skip


def _bad_grant(error: str, status: str, message: str) -> Refusal:
    return Refusal(400, {"error": error, "error_description": message, "status": status, "message": message})
