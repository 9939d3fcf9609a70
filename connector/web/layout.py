"""What all pages share: what they are made from, the frame around them, the headers that go with them.

A page is a module with a `PAGE`; `page.py` lists them, and the navigation follows that list.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import flask
import sqlalchemy as sa
from markupsafe import Markup, escape
from werkzeug.exceptions import BadRequest, NotFound

from connector.config import Config, Portal
from connector.inbox import Inbox
from connector.moments import DAY, HOUR, MINUTE, SECOND, Clock
from connector.portals import Portals
from connector.rulebook.pack import Pack
from connector.telemetry import mask
from connector.web.admission import Admission, Visitor
from connector.web.asking import Asking
from connector.web.days import Days
from connector.web.zones import Zones

# Referrer-Policy: with `no-referrer` browsers send our own forms as from nowhere (`Origin: null`).
# https://fetch.spec.whatwg.org/#append-a-request-origin-header
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NUMBER = re.compile(r"[1-9]\d{0,15}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """Something that a person should look at, beside dead letters and portals in trouble; no personal data."""

    portal: int
    subject: str
    text: str
    since: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What pages are made from."""

    config: Config
    packs: Mapping[int, Pack]
    engine: sa.Engine
    inbox: Inbox
    troubles: Portals
    clock: Clock
    admission: Admission
    zones: Zones
    hubspot: Asking
    days: Days

    @property
    def portals(self) -> list[int]:
        """Give the ids of the configured portals, in their order."""
        return [portal.id for portal in self.config.portals]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page: its name in addresses, its place in the navigation, and the function that adds its routes."""

    name: str
    path: str
    title: str
    add: Callable[[flask.Blueprint, Site], None]


@dataclass(frozen=True, slots=True)
class Counted:
    """A number that was counted no further than it costs little."""

    number: int
    most: int

    def __str__(self) -> str:
        return f"{self.most:,} or more" if self.number > self.most else f"{self.number:,}"


def total(counts: Iterable[Counted]) -> Counted:
    """Add up numbers, some of which may have been counted no further."""
    ones = list(counts)
    number = sum(min(one.number, one.most) for one in ones)
    is_more = any(one.number > one.most for one in ones)
    return Counted(number + is_more, number)


def render(template: str, status: int = 200, **values: object) -> flask.Response:
    """Fill in a template for whoever asks."""
    visitor: Visitor | None = flask.g.get("visitor")
    text = flask.render_template(template, visitor=visitor, form_key=_form_key(visitor), **values)
    return secured(flask.Response(text, status=status, content_type="text/html; charset=utf-8"))


def send_on(address: str) -> flask.Response:
    """Let our own page ask for an address, with the cookie that a browser keeps back when another site leads to us.

    No cookie is set meanwhile: it would replace the one that was kept back.
    """
    flask.g.visitor = Visitor(role=None, session=None)
    return render("sent_on.html", address=address)


def render_message(status: int, title: str, text: str) -> flask.Response:
    """Say in plain words what is the matter."""
    return render("message.html", status, title=title, text=text)


def secured(response: flask.Response) -> flask.Response:
    """Put the strict headers on an answer; nothing with data in it is kept by a browser or a proxy."""
    response.headers.update(_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def span(milliseconds: int) -> str:
    """Write a length of time for people: the largest unit, and what is over in the next one."""
    units = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))
    first = next((place for place, (size, _) in enumerate(units) if milliseconds >= size), 3)
    rest, said = max(milliseconds, 0), list[str]()
    for size, name in units[first : first + 2]:
        number, rest = divmod(rest, size)
        said += [f"{number} {name}"] if number or not said else []
    return " ".join(said)


def masked(text: str | None) -> str:
    """Leave out of an error what may be personal or secret, as in the log."""
    return str(mask(None, "", {"text": text or ""})["text"])


def told(text: str | None) -> Markup:
    """Write an error for people: masked, and what stands between backticks as code."""
    plain, *coded = re.split(r"`([^`]*)`", masked(text))
    code = Markup("<code>{}</code>")
    parts = [escape(one) if place % 2 else code.format(one) for place, one in enumerate(coded)]
    return Markup("").join([escape(plain), *parts])


def chosen_portal(site: Site, text: str | None) -> Portal:
    """Give the portal that an address or a form names, the first one without; raises BadRequest or NotFound."""
    if not text:
        return site.config.portals[0]
    if not _NUMBER.fullmatch(text):
        raise BadRequest("The id of a portal is a number. Nothing was changed.")
    portal = site.config.portal(int(text))
    if portal is None:
        raise NotFound("No such portal is configured. Nothing was changed.")
    return portal


def _form_key(visitor: Visitor | None) -> str:
    if visitor is None or visitor.session is None:
        return ""
    admission: Admission = flask.g.admission
    return admission.sessions.form_key(visitor.session)
