"""The web page for ops and admins: login, roles, forms that only our own pages can send, strict headers.

It works without JavaScript and shows no personal data. A page is a module of its own; it is added to `PAGES`.
"""

from collections.abc import Mapping

import flask
import sqlalchemy as sa
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import Forbidden, HTTPException

from connector.config import Config
from connector.days import Stand
from connector.errors import StagekeeperError
from connector.inbox import Inbox
from connector.moments import Clock
from connector.portals import Portals
from connector.receiver import answer_error, answer_failure
from connector.rulebook.pack import Pack
from connector.telemetry import Metrics
from connector.web import connect, contact, funnel, now, rules, trouble
from connector.web.admission import Admission, Visitor, came_safely, cookie_name
from connector.web.asking import Asking
from connector.web.days import Days
from connector.web.forms import own_path
from connector.web.layout import Page, Site, masked, render_message, secured, send_on, span, told
from connector.web.signin import CHALLENGE, add_signin, login_form
from connector.web.stands import mark_of
from connector.web.zones import Zones

PAGES = (now.PAGE, funnel.PAGE, contact.PAGE, rules.PAGE, trouble.PAGE)
"""The navigation, in its order."""
_FOR_ALL = frozenset({"page.login", "page.log_in", "page.static", connect.CALLBACK})
_NO_DEED = frozenset({"page.log_out", "page.search"})
"""Forms that change nothing: who may only look sends them, too."""
_WORDS = {
    400: "The request is not one that this page makes.",
    404: "There is no such page.",
    405: "This address takes no such request.",
}


def make_page(  # noqa: PLR0913 - what all pages are made from
    *,
    config: Config,
    packs: Mapping[int, Pack],
    engine: sa.Engine,
    inbox: Inbox,
    troubles: Portals,
    clock: Clock,
    admission: Admission,
    metrics: Metrics | None = None,
) -> flask.Blueprint:
    """Make the routes of all pages."""
    site = Site(
        config=config, packs=packs, engine=engine, inbox=inbox, troubles=troubles, clock=clock, admission=admission,
        zones=Zones(config, engine, clock), hubspot=Asking(config, engine, clock, metrics),
        days=Days(engine, clock),
    )  # fmt: skip
    blueprint = flask.Blueprint(
        "page", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
    )
    blueprint.before_request(lambda: _admit(admission))
    add_signin(blueprint, site)
    for page in pages_of(config):
        page.add(blueprint, site)
    blueprint.after_request(_finish)
    blueprint.record_once(lambda state: _prepare(state, site))
    for kind in (HTTPException, 404, 405):
        blueprint.register_error_handler(kind, answer_in_words)
    blueprint.register_error_handler(StagekeeperError, _answer_trouble)
    return blueprint


def pages_of(config: Config) -> tuple[Page, ...]:
    """Give the pages that this configuration has."""
    return PAGES if config.oauth is None else (*PAGES, connect.PAGE)


def _prepare(state: BlueprintSetupState, site: Site) -> None:
    app = state.app
    config = site.config
    app.jinja_env.globals.update(pages=pages_of(config), moment=site.zones.moment, portals=config.portals)
    app.jinja_env.globals["mark"] = lambda stage, status, portal: _mark(site, stage, status, portal)
    app.jinja_env.filters.update({"span": span, "masked": masked, "told": told, "number": "{:,}".format})
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    for code in (404, 405):  # addresses that belong to no page
        app.register_error_handler(code, _answer_stray)


def _mark(site: Site, stage: str | None, status: str | None, portal: int) -> str:
    """Name the classes of a stand's colour in a portal."""
    return mark_of(Stand(stage or "", status or ""), site.packs[portal].ladder)


def _admit(admission: Admission) -> flask.typing.ResponseReturnValue | None:
    """Let in who may look; who may not is shown the login, and comes back to where they were."""
    flask.g.admission = admission
    if flask.request.endpoint == "page.static":
        return None
    visitor: Visitor = admission.visitor(flask.request)
    flask.g.visitor = visitor
    if flask.request.endpoint in _FOR_ALL:
        return None
    if not visitor.may_look:
        return send_on(_back()) if _is_led_here() else login_form(_back(), 401)
    is_deed = flask.request.method not in ("GET", "HEAD") and flask.request.endpoint not in _NO_DEED
    if is_deed and not visitor.may_act:
        raise Forbidden("You may look, but not act. Log in with the ops token to act; nothing was changed.")
    return None


def _is_led_here() -> bool:
    """Ask whether another site's link led here: browsers then keep back the cookie of whoever is logged in."""
    asked = flask.request
    is_link = asked.method == "GET" and asked.headers.get("Sec-Fetch-Site") == "cross-site"
    return is_link and cookie_name(asked) not in asked.cookies


def _back() -> str:
    """Say where to go on after the login; what was sent meanwhile is lost, so back to the page that it stood on."""
    if flask.request.method in ("GET", "HEAD"):
        return own_path(flask.request.full_path.rstrip("?"))
    page = "/" + flask.request.path.strip("/").partition("/")[0]
    return page if page in {one.path for one in PAGES} else "/"


def _finish(response: flask.Response) -> flask.Response:
    visitor: Visitor | None = flask.g.get("visitor")
    if visitor is not None and visitor.session is not None:
        _send_cookie(response, visitor)
    return secured(response)


def _send_cookie(response: flask.Response, visitor: Visitor) -> None:
    name, safely = cookie_name(flask.request), came_safely(flask.request)
    if flask.g.get("ends_session"):
        response.delete_cookie(name, secure=safely, httponly=True, samesite="Strict")
        return
    if "X-Live" not in flask.request.headers:  # what refreshes by itself is nobody's presence
        visitor = flask.g.admission.renewed(visitor)
    text = flask.g.admission.sessions.write(visitor.session)
    if text != flask.request.cookies.get(name):
        response.set_cookie(name, text, secure=safely, httponly=True, samesite="Strict")


def answer_in_words(error: HTTPException) -> flask.Response:
    """Answer what is not to be had, as a page."""
    if error.response is not None:
        return secured(flask.Response(status=error.code, headers=error.response.headers))
    code = error.code or 500
    own_words = error.description if type(error).description != error.description else None
    answer = render_message(code, error.name, own_words or _WORDS.get(code, error.name))
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            answer.headers[name] = value
    if code == 401:
        answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer


def _answer_stray(error: HTTPException) -> flask.Response:
    is_browser = flask.request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    return answer_in_words(error) if is_browser else answer_error(error)


def _answer_trouble(error: StagekeeperError) -> flask.Response:
    answer = answer_failure(error)
    page = render_message(answer.status_code, "Not now", f"{masked(str(error))}. Then load the page again.")
    page.headers["Retry-After"] = answer.headers.get("Retry-After", "")
    return page
