"""OAuth over HTTP: the page on which an app is installed, the exchange of tokens, what a token is, and its end.

https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/oauth-quickstart-guide
"""

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from connector.sandbox.exchange import Answer, Call
from connector.sandbox.portal import Portal
from connector.sandbox.refusals import invalid

AUTHORIZE = "/oauth/authorize"
OPEN = frozenset({
    AUTHORIZE, "/oauth/token", "/oauth/access-tokens/{token}", "/oauth/refresh-tokens/{token}",
})  # fmt: skip
"""What needs no token."""


def authorize(portal: Portal, call: Call) -> Answer:
    """Answer `GET /oauth/authorize`: ask for consent, or take it as given, and send the person back."""
    query = call.query
    redirect_uri = query.get("redirect_uri", "")
    if portal.options.client_id not in (None, query.get("client_id")):
        raise invalid("The client id is of no app")
    if urlsplit(redirect_uri).scheme not in ("http", "https"):
        raise invalid("redirect_uri is missing or no address")
    if portal.options.asks_consent and "consent" not in query:
        return Answer(200, _consent_form(portal, query).encode(), {"Content-Type": "text/html; charset=utf-8"})
    if query.get("consent") == "no":
        return _sent_back(query, error="access_denied", error_description="The user denied the request")
    scopes = [*query.get("scope", "").split(), *query.get("optional_scope", "").split()]
    return _sent_back(query, code=portal.tokens.install(redirect_uri, list(dict.fromkeys(scopes))))


def grant_token(portal: Portal, call: Call) -> Answer:
    """Answer `POST /oauth/token`."""
    return Answer(200, portal.tokens.grant(dict(parse_qsl(call.body.decode("utf-8", "replace")))))


def access_token(portal: Portal, call: Call) -> Answer:
    """Answer `GET /oauth/access-tokens/{token}`."""
    return Answer(200, portal.tokens.about_access(call.parts["token"]))


def refresh_token(portal: Portal, call: Call) -> Answer:
    """Answer `GET /oauth/refresh-tokens/{token}`."""
    return Answer(200, portal.tokens.about_refresh(call.parts["token"]))


def revoke_refresh_token(portal: Portal, call: Call) -> Answer:
    """Answer `DELETE /oauth/refresh-tokens/{token}`."""
    portal.tokens.revoke(call.parts["token"])
    return Answer(204)


def _sent_back(query: Mapping[str, str], **fields: str) -> Answer:
    state = {"state": query["state"]} if "state" in query else {}
    base = query["redirect_uri"]
    return Answer(302, None, {"Location": f"{base}{'&' if '?' in base else '?'}{urlencode({**fields, **state})}"})


def _consent_form(portal: Portal, query: Mapping[str, str]) -> str:
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in query.items()
    )
    return (
        f"<!doctype html><html lang=en><title>Install</title><h1>Install the app into portal {portal.options.portal}?"
        f"</h1><p>It asks for: {escape(query.get('scope', ''))} {escape(query.get('optional_scope', ''))}</p>"
        f'<form>{kept}<button name="consent" value="yes">Install</button>'
        '<button name="consent" value="no">Cancel</button></form>'
    )
