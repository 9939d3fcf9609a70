"""The web page for ops and admins: one look at what waits, who is in trouble and what was decided last.

It works without JavaScript, shows no personal data and is open to the ops token only (as bearer, or as the password
of the browser's own dialogue), or to this machine when no token is configured.
"""

import base64
import binascii
import hmac

import flask
import sqlalchemy as sa

from connector.config import Config
from connector.inbox import Inbox
from connector.portals import Portals
from connector.receiver import may_operate
from connector.rulebook.pack import Pack
from connector.web.now import latest_decisions, portals_now, stage_counts

_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def make_page(
    *, config: Config, packs: dict[int, Pack], engine: sa.Engine, inbox: Inbox, troubles: Portals
) -> flask.Blueprint:
    """Make the page's routes."""
    page = flask.Blueprint(
        "page", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
    )
    token = config.server.ops_token.get_secret_value() if config.server.ops_token else None
    named = [(one.id, one.name, packs[one.id].name, one.mode) for one in config.portals]
    ids = [one.id for one in config.portals]

    def now() -> flask.Response:
        text = flask.render_template(
            "now.html",
            portals=portals_now(named, inbox.counts(), troubles.troubles()),
            stages=stage_counts(engine, ids),
            decisions=latest_decisions(engine, ids),
        )
        return flask.Response(text, content_type="text/html; charset=utf-8")

    def admit() -> flask.Response | None:
        return None if may_operate(flask.request, token) or _has_password(flask.request, token) else _ask(token)

    def secure(response: flask.Response) -> flask.Response:
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    page.add_url_rule("/", view_func=now, endpoint="now")
    page.before_request(admit)
    page.after_request(secure)
    return page


def _has_password(request: flask.Request, token: str | None) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if token is None or scheme.lower() != "basic":
        return False
    try:
        _, _, password = base64.b64decode(given, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(password, token.encode())


def _ask(token: str | None) -> flask.Response:
    if token is None:
        text = "This page answers on this machine only. Set server.ops_token in the configuration to open it elsewhere."
        return flask.Response(text, status=403, content_type="text/plain; charset=utf-8")
    headers = {"WWW-Authenticate": 'Basic realm="Stagekeeper: any name, the ops token as password"'}
    text = "Give the ops token as the password."
    return flask.Response(text, status=401, headers=headers, content_type="text/plain; charset=utf-8")
