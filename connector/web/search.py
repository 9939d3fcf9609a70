"""Finding a contact: by HubSpot's id, or by an e-mail address, for which HubSpot is asked.

What was typed travels in the form's body and is kept nowhere: an address in an address bar would stand in histories and
logs. What finds nothing is told in words that do not repeat it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import flask
import sqlalchemy as sa
import structlog

from connector.config import Portal
from connector.hubspot.failure import HubSpotError
from connector.store.engine import reading
from connector.store.tables import contacts, waiting
from connector.web.forms import read_form
from connector.web.layout import Site, chosen_portal, masked, render

_ID = re.compile(r"\d{1,20}", re.ASCII)
_ADDRESS = re.compile(r"[!-?A-~]{1,64}@[!-?A-~]{1,190}")
_NEITHER = "This is neither an id, which is a number, nor an e-mail address."
_UNKNOWN_ID = "No contact with this id is known here. It has never been looked at, or it was forgotten."
_UNKNOWN_ADDRESS = "HubSpot has no contact with this e-mail address."
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A contact that was found."""

    portal: int
    name: str
    contact: str


def add_search(blueprint: flask.Blueprint, site: Site) -> None:
    """Add the routes."""

    def ask() -> flask.Response:
        return render("search.html")

    def search() -> flask.typing.ResponseReturnValue:
        form = read_form(flask.request, site.admission.sessions, flask.g.visitor)
        chosen = [chosen_portal(site, form["portal"])] if form.get("portal") else list(site.config.portals)
        text = form.get("query", "").strip()
        if not _ID.fullmatch(text) and not _ADDRESS.fullmatch(text):
            return render("search.html", 400, fault=_NEITHER)
        try:
            found = list((_by_id if _ID.fullmatch(text) else _by_address)(site, chosen, text))
        except HubSpotError as error:
            return render("search.html", 503, fault=f"HubSpot could not be asked: {masked(str(error))}")
        if len(found) == 1:
            return flask.redirect(flask.url_for("page.one_contact", portal=found[0].portal, id_=found[0].contact), 303)
        fault = "" if found else _UNKNOWN_ID if _ID.fullmatch(text) else _UNKNOWN_ADDRESS
        return render("search.html", 200 if found else 404, found=found, fault=fault)

    blueprint.add_url_rule("/contact", view_func=ask, endpoint="contact", methods=["GET"])
    blueprint.add_url_rule("/contact", view_func=search, endpoint="search", methods=["POST"])


def _by_id(site: Site, chosen: list[Portal], text: str) -> Iterator[Hit]:
    """Find the portals that know a contact of this id."""
    with reading(site.engine) as connection:
        for portal in chosen:
            for table in (contacts, waiting):
                this = (table.c.portal == portal.id, table.c.contact == text)
                if connection.scalar(sa.select(sa.literal(1)).select_from(table).where(*this)) is not None:
                    yield Hit(portal=portal.id, name=portal.name, contact=text)
                    break


def _by_address(site: Site, chosen: list[Portal], text: str) -> Iterator[Hit]:
    """Ask HubSpot for a contact of this address, a call for each portal; raises HubSpotError or CallsBusy."""
    for portal in chosen:
        _log.info("page.contact_searched", portal=portal.id, by="address")
        contact = site.hubspot.quick(portal.id).contacts.by_address(text)
        if contact is not None:
            yield Hit(portal=portal.id, name=portal.name, contact=contact)
