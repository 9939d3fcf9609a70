"""Who may call: the private app's token, tokens got by OAuth for half an hour, and tokens taken away."""

from collections.abc import Mapping

from connector.moments import MINUTE
from connector.sandbox.options import SandboxOptions
from connector.sandbox.refusals import JsonObject, Refusal, error_body, not_found

_CODE_LIFETIME = 10 * MINUTE
_USER = 98_499_705


class Tokens:
    """The tokens of one portal."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._granted: dict[str, int] = {}
        self._codes: dict[str, tuple[str, int]] = {}
        self._issued = 0
        self._refresh_tokens = {options.refresh_token}
        self._newest = options.refresh_token
        self._scopes = ["oauth"]
        self.is_revoked = False
        self.is_uninstalled = False

    def check(self, authorization: str) -> None:
        """Refuse with 401 unless the header carries a living token."""
        token = authorization.removeprefix("Bearer ").strip() if authorization.startswith("Bearer ") else ""
        if token == self._options.access_token and not self.is_revoked:
            return
        expires = self._granted.get(token)
        if expires is None or self.is_revoked or self.is_uninstalled:
            raise Refusal(401, error_body("INVALID_AUTHENTICATION", "Authentication credentials not found or revoked."))
        if expires <= self._options.clock():
            raise Refusal(401, error_body("EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired."))

    def is_granted(self, authorization: str) -> bool:
        """Ask whether the header carries a token that OAuth gave out; such calls have no daily limit."""
        return authorization.removeprefix("Bearer ").strip() in self._granted

    def expire(self) -> None:
        """Let every token that OAuth gave out come to its end now."""
        self._granted = dict.fromkeys(self._granted, 0)

    def take_back(self) -> None:
        """Forget every access token that OAuth gave out, before its time; the refresh tokens stay."""
        self._granted.clear()

    def uninstall(self) -> None:
        """Take everything away that OAuth gave out, as when an admin uninstalls the app."""
        self.is_uninstalled = True
        self._granted.clear()
        self._refresh_tokens.clear()

    def install(self, redirect_uri: str, scopes: list[str]) -> str:
        """Install the app, as an admin does who consents, and give the code that the app is sent."""
        self.is_uninstalled = False
        self._scopes = scopes
        self._issued += 1
        self._newest = f"refresh-{self._options.portal}-{self._issued}"
        self._refresh_tokens.add(self._newest)
        code = f"code-{self._options.portal}-{self._issued}"
        self._codes[code] = (redirect_uri, self._options.clock() + _CODE_LIFETIME)
        return code

    def grant(self, form: Mapping[str, str]) -> JsonObject:
        """Trade a refresh token or a code for an access token of thirty minutes."""
        kind = form.get("grant_type")
        if kind not in ("refresh_token", "authorization_code"):
            raise _bad_grant("unsupported_grant_type", "BAD_GRANT_TYPE", f"grant_type {kind!r} is not supported")
        if self._options.client_id not in (None, form.get("client_id")):
            raise _bad_grant("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id")
        if form.get("client_secret") != self._options.client_secret:
            raise _bad_grant("invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret")
        if kind == "authorization_code":
            self._take_code(form)
        elif self.is_uninstalled or form.get("refresh_token") not in self._refresh_tokens:
            raise _bad_grant("invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        return self._issue(form.get("refresh_token") or self._newest)

    def about_access(self, token: str) -> JsonObject:
        """Tell what an access token is, or refuse with 404."""
        left = self._granted.get(token, 0) - self._options.clock()
        if left <= 0:
            raise not_found("access token does not exist")
        return {"token": token, "token_type": "access", "expires_in": left // 1000, **self._whose()}

    def about_refresh(self, token: str) -> JsonObject:
        """Tell what a refresh token is, or refuse with 404."""
        if token not in self._refresh_tokens or self.is_uninstalled:
            raise not_found("refresh token does not exist")
        return {"token": token, "token_type": "refresh", **self._whose()}

    def revoke(self, token: str) -> None:
        """Forget a refresh token; the app stays installed, and access tokens live on."""
        self._refresh_tokens.discard(token)

    def _take_code(self, form: Mapping[str, str]) -> None:
        redirect_uri, until = self._codes.pop(form.get("code", ""), ("", 0))
        if until <= self._options.clock():
            raise _bad_grant("invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code")
        if form.get("redirect_uri") != redirect_uri:
            raise _bad_grant("invalid_grant", "MISMATCH_REDIRECT_URI_AUTH_CODE", "redirect_uri is not the code's")

    def _issue(self, refresh_token: str) -> JsonObject:
        self._issued += 1
        token = f"oauth-sandbox-{self._options.portal}-{self._issued}"
        self._granted[token] = self._options.clock() + self._options.token_lifetime_ms
        body: JsonObject = {
            "access_token": token, "expires_in": self._options.token_lifetime_ms // 1000, "token_type": "bearer",
        }  # fmt: skip
        if self._options.rotates_refresh_tokens:
            self._refresh_tokens.discard(refresh_token)
            refresh_token = f"refresh-{self._options.portal}-{self._issued}"
            self._refresh_tokens.add(refresh_token)
        if not self._options.keeps_refresh_token_silent:
            body["refresh_token"] = refresh_token
        return {**body, **self._whose()} if self._options.tells_whose_token else body

    def _whose(self) -> JsonObject:
        return {"hub_id": self._options.portal, "user_id": _USER, "scopes": self._scopes}


def _bad_grant(error: str, status: str, message: str) -> Refusal:
    return Refusal(400, {"error": error, "error_description": message, "status": status, "message": message})
