"""Logging in by a token, and out again. Whoever is sent here comes back to where they were."""

import flask
import structlog
from werkzeug.exceptions import TooManyRequests

from connector.web.forms import own_path, read_form
from connector.web.layout import Site, render

CHALLENGE = 'Bearer realm="stagekeeper"'
"""A scheme of which browsers make no dialogue of their own, so that they show our form."""
_log = structlog.get_logger()


def add_signin(blueprint: flask.Blueprint, site: Site) -> None:
    """Add the routes."""

    def ask() -> flask.typing.ResponseReturnValue:
        back = own_path(flask.request.args.get("next"))
        return flask.redirect(back, 303) if flask.g.visitor.may_look else login_form(back)

    def log_in() -> flask.typing.ResponseReturnValue:
        form = read_form(flask.request, site.admission.sessions, flask.g.visitor)
        back = own_path(form.get("next"))
        try:
            visitor = site.admission.log_in(flask.request, form.get("token", ""))
        except TooManyRequests as error:
            answer = login_form(back, 429, error.description or "")
            answer.headers["Retry-After"] = str(error.retry_after)
            return answer
        if visitor is None:
            return login_form(back, 401, "This token is not the right one.")
        flask.g.visitor, flask.g.is_new_session = visitor, True
        _log.info("page.login_succeeded", role=visitor.role)
        return flask.redirect(back, 303)

    def log_out() -> flask.typing.ResponseReturnValue:
        read_form(flask.request, site.admission.sessions, flask.g.visitor)
        site.admission.sessions.end(flask.g.visitor.session)
        flask.g.ends_session = True
        return flask.redirect(flask.url_for("page.login"), 303)

    blueprint.add_url_rule("/login", view_func=ask, endpoint="login", methods=["GET"])
    blueprint.add_url_rule("/login", view_func=log_in, endpoint="log_in", methods=["POST"])
    blueprint.add_url_rule("/logout", view_func=log_out, endpoint="log_out", methods=["POST"])


def login_form(back: str, status: int = 200, fault: str = "") -> flask.Response:
    """Show the form."""
    answer = render("login.html", status, back=back, fault=fault)
    if status == 401:
        answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer
