"""The page Connect: which portals have the OAuth app installed, and the way to install it into further ones.

Browsers send no strict cookie along when another site sends them here, so whoever comes back from HubSpot is first sent
on by our own page, and only then known again.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

import flask
import structlog
from werkzeug.exceptions import BadRequest, Forbidden

from connector.hubspot.failure import HubSpotError
from connector.store.grants import Grants
from connector.web.admission import Visitor
from connector.web.installing import Installable, NotInstalled, client_id_in, install, installables, state_for
from connector.web.layout import Page, Site, render, render_message, send_on
from connector.web.signin import login_form

CALLBACK = "page.connected"
"""Open to everybody: it does nothing but send on who is not known."""
_PATH = "/oauth/callback"
_AGAIN = "known"
_LONGEST = 2_000
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A portal as the page shows it."""

    portal: int
    name: str
    client_id: str
    state: str
    is_well: bool
    granted_at: int | None


def _add(blueprint: flask.Blueprint, site: Site) -> None:
    def show() -> flask.Response:
        done = flask.request.args.get("portal", "")
        portal = int(done) if done.isdecimal() and done.isascii() and len(done) < 17 else None
        is_configured = portal is not None and site.config.portal(portal) is not None
        rows = _rows(site)
        return render(
            "connect.html", rows=rows, apps=list(installables(site.config, site.packs).values()), done=portal,
            is_configured=is_configured, client_id=next((row.client_id for row in rows if row.portal == portal), ""),
        )  # fmt: skip

    def go() -> flask.typing.ResponseReturnValue:
        visitor = _acting()
        one = _chosen(site, flask.request.args.get("app", ""))
        assert site.config.oauth is not None  # noqa: S101 - without it there are no apps
        state = state_for(_form_key(site, visitor), one.app.client_id, site.clock())
        base = site.config.oauth.authorize_url
        return flask.redirect(one.app.authorize_url(base, scopes=one.scopes, optional=(), state=state), 303)

    def back() -> flask.typing.ResponseReturnValue:
        fields = {name: flask.request.args.get(name, "")[:_LONGEST] for name in ("code", "state", "error")}
        if _AGAIN not in flask.request.args:
            kept = {name: value for name, value in fields.items() if value}
            return send_on(f"{_PATH}?{urlencode({**kept, _AGAIN: '1'})}")
        if not flask.g.visitor.may_look:
            return login_form("/connect", 401, "Log in, then begin again: nothing was connected.")
        try:
            return _come_back(site, _acting(), fields)
        except NotInstalled as error:
            return render_message(400, "Not connected", str(error))
        except HubSpotError as error:
            _log.warning("grant.exchange_failed", outcome=error.meaning.kind)
            return render_message(502, "Not connected", f"HubSpot gave no access: {error.meaning}. Begin again.")

    blueprint.add_url_rule("/connect", view_func=show, endpoint="connect", methods=["GET"])
    blueprint.add_url_rule("/connect/go", view_func=go, endpoint="connect_go", methods=["GET"])
    blueprint.add_url_rule(_PATH, view_func=back, endpoint="connected", methods=["GET"])


PAGE = Page(name="connect", path="/connect", title="Connect", add=_add)


def _come_back(site: Site, visitor: Visitor, fields: dict[str, str]) -> flask.typing.ResponseReturnValue:
    client_id = client_id_in(fields["state"], _form_key(site, visitor), site.clock())
    if fields["error"] or not fields["code"]:
        is_denied = fields["error"] == "access_denied"
        raise NotInstalled("The app was not installed: " + ("it was declined in HubSpot." if is_denied else
                           "HubSpot sent no code back. Begin again."))  # fmt: skip
    portal = install(site, _chosen(site, client_id), fields["code"])
    return flask.redirect(flask.url_for("page.connect", portal=portal), 303)


def _acting() -> Visitor:
    visitor: Visitor = flask.g.visitor
    if not visitor.may_act:
        raise Forbidden("You may look, but not act. Log in with the ops token to connect portals; nothing was changed.")
    return visitor


def _chosen(site: Site, client_id: str) -> Installable:
    one = installables(site.config, site.packs).get(client_id)
    if one is None:
        raise BadRequest("No such app is configured. Nothing was changed.")
    return one


def _form_key(site: Site, visitor: Visitor) -> str:
    assert visitor.session is not None  # noqa: S101 - who may act has one
    return site.admission.sessions.form_key(visitor.session)


def _rows(site: Site) -> list[Row]:
    """List the portals of OAuth apps, and those that are connected but not configured."""
    kept = {grant.portal: grant for grant in Grants(site.engine, site.clock).all()}
    rows = []
    for portal in site.config.portals:
        if portal.oauth is None:
            continue
        grant = kept.pop(portal.id, None)
        if grant is None:
            state = "not connected yet; its events are kept"
        elif grant.client_id != portal.oauth.client_id:
            state = "connected by another app; connect it again"
        elif grant.refused:
            state = f"HubSpot refuses to renew its access ({grant.refused}); connect it again"
        else:
            state = "connected"
        rows.append(
            Row(portal=portal.id, name=portal.name, client_id=portal.oauth.client_id, state=state,
                is_well=state == "connected", granted_at=grant.granted_at if grant else None)
        )  # fmt: skip
    others = [
        Row(portal=grant.portal, name="", client_id=grant.client_id, is_well=False, granted_at=grant.granted_at,
            state="connected, but not in the configuration: nothing is done with it")
        for grant in kept.values()
    ]  # fmt: skip
    return rows + others
