"""The page Trouble: portals in trouble, alerts, dead letters with what to do about each.

Dead letters are shown fifty at a time, the newest first. What acts goes to the same functions as `stagekeeper events`,
but concerns dead letters only: what came alive since the page was shown is left as it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import flask
import sqlalchemy as sa
import structlog
from werkzeug.exceptions import BadRequest

from connector.store.engine import reading
from connector.store.tables import records, waiting
from connector.web.fights import fight_alerts
from connector.web.forms import read_form
from connector.web.layout import Page, Site, chosen_portal, masked, render
from connector.web.now import dead_of

_AT_ONCE = 50
_CORRELATION = re.compile(r"\(correlation id ([^()\s]{1,100})\)")
_NUMBER = re.compile(r"[1-9]\d{0,15}", re.ASCII)
_CONTACT = re.compile(r"[!-~]{1,40}")
_DONE = ("retried", "dropped")
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A contact that was given up; `correlation` is HubSpot's id of the answer, `claim` ours of the last decision."""

    portal: int
    contact: str
    dead_at: int
    attempts: int
    error: str
    correlation: str
    claim: str

    @property
    def mark(self) -> str:
        """Give its place in the list, for an address."""
        return f"{self.dead_at}-{self.portal}-{self.contact}"


def _add(blueprint: flask.Blueprint, site: Site) -> None:
    def show() -> flask.Response:
        portal = _portal(site, flask.request.args.get("portal"))
        after = _place(flask.request.args.get("after"))
        only = site.portals if portal is None else [portal]
        with reading(site.engine) as connection:
            letters = dead_letters(connection, only, after=after)
            counts = {id_: dead_of(connection, id_) for id_ in site.portals}
        return render(
            "trouble.html", letters=letters[:_AT_ONCE], more=len(letters) > _AT_ONCE, counts=counts, portal=portal,
            after=after, troubles=site.troubles.troubles(), names={one.id: one.name for one in site.config.portals},
            alerts=fight_alerts(site.engine, site.portals, site.clock()), done=_told(flask.request.args),
        )  # fmt: skip

    def ask() -> flask.Response:
        portal, contact = _named(site, flask.request.args)
        return render("drop.html", portal=portal, contact=contact)

    def change(verb: Literal["retried", "dropped"]) -> flask.typing.ResponseReturnValue:
        form = read_form(flask.request, site.admission.sessions, flask.g.visitor)
        portal, contact = _named(site, form)
        act = site.inbox.retry if verb == "retried" else site.inbox.drop
        ids = site.portals if portal is None else [portal]
        number = sum(act(portal=id_, contact=contact, only_dead=True) for id_ in ids)
        _log.warning(f"dead_letters.{verb}", portals=ids, contact=contact, contacts=number)
        stays = portal if contact is None else None
        return flask.redirect(flask.url_for("page.trouble", done=verb, number=number, portal=stays), 303)

    def rule(path: str, view: object, name: str, method: str) -> None:
        blueprint.add_url_rule(path, view_func=view, endpoint=name, methods=[method])  # type: ignore[arg-type]

    rule("/trouble", show, "trouble", "GET")
    rule("/trouble/retry", lambda: change("retried"), "retry", "POST")
    rule("/trouble/drop", ask, "ask_drop", "GET")
    rule("/trouble/drop", lambda: change("dropped"), "drop", "POST")


PAGE = Page(name="trouble", path="/trouble", title="Trouble", add=_add)


def dead_letters(
    connection: sa.Connection, ids: Sequence[int], *, after: tuple[int, int, str] | None = None
) -> list[DeadLetter]:
    """List dead letters, the newest first, from behind a place on; one more than a page has, if there is."""
    columns = (waiting.c[name] for name in ("portal", "contact", "dead_at", "attempts", "last_error"))
    query = sa.select(*columns).order_by(waiting.c.dead_at.desc(), waiting.c.contact).limit(_AT_ONCE + 1)
    rows = [row for id_ in ids for row in connection.execute(query.where(*_behind(id_, after)))]
    rows = sorted(rows, key=lambda row: (-row.dead_at, row.portal, row.contact))[: _AT_ONCE + 1]
    claims = _claims(connection, [(row.portal, row.contact) for row in rows])
    return [
        DeadLetter(
            portal=row.portal, contact=row.contact, dead_at=row.dead_at, attempts=row.attempts,
            error=masked(_CORRELATION.sub("", row.last_error or "").strip()),
            correlation=", ".join(_CORRELATION.findall(row.last_error or "")),
            claim=claims.get((row.portal, row.contact), ""),
        )
        for row in rows
    ]  # fmt: skip


def _behind(portal: int, after: tuple[int, int, str] | None) -> list[sa.ColumnElement[bool]]:
    """Narrow to the dead letters of a portal that come behind a place in the list of all portals."""
    theirs = [waiting.c.portal == portal, waiting.c.dead_at.is_not(None)]
    if after is None:
        return theirs
    dead_at, last_portal, contact = after
    if portal != last_portal:
        return [*theirs, waiting.c.dead_at <= dead_at if portal > last_portal else waiting.c.dead_at < dead_at]
    later = (waiting.c.dead_at < dead_at) | (waiting.c.contact > contact)
    return [*theirs, waiting.c.dead_at <= dead_at, later]


def _claims(connection: sa.Connection, named: Sequence[tuple[int, str]]) -> Mapping[tuple[int, str], str]:
    """Give the claim of each contact's newest record: the id on the log lines of that unit of work."""
    newest = [
        sa.select(sa.func.max(records.c.id).label("id"))
        .where(records.c.portal == portal, records.c.contact.in_([c for id_, c in named if id_ == portal]))
        .group_by(records.c.contact)
        for portal in sorted({id_ for id_, _ in named})
    ]
    if not newest:
        return {}
    ids = sorted(row.id for query in newest for row in connection.execute(query))
    query = sa.select(records.c.portal, records.c.contact, records.c.claim).where(records.c.id.in_(ids))
    return {(row.portal, row.contact): row.claim for row in connection.execute(query)}


def _named(site: Site, fields: Mapping[str, str]) -> tuple[int | None, str | None]:
    """Read which dead letters are meant: one, those of a portal, or all; raises BadRequest or NotFound."""
    portal, contact = _portal(site, fields.get("portal") or None), fields.get("contact") or None
    if contact is not None and (portal is None or not _CONTACT.fullmatch(contact)):
        raise BadRequest("This names no contact of a portal. Nothing was changed.")
    return portal, contact


def _portal(site: Site, text: str | None) -> int | None:
    return None if text is None else chosen_portal(site, text or "-").id


def _place(text: str | None) -> tuple[int, int, str] | None:
    if text is None:
        return None
    dead_at, _, rest = text.partition("-")
    portal, _, contact = rest.partition("-")
    if not (_NUMBER.fullmatch(dead_at) and _NUMBER.fullmatch(portal) and _CONTACT.fullmatch(contact)):
        raise BadRequest("This is no place in the list of dead letters.")
    return int(dead_at), int(portal), contact


def _told(fields: Mapping[str, str]) -> tuple[str, int] | None:
    """Read what the address says was done; only words of our own are shown."""
    done, number = fields.get("done", ""), fields.get("number", "")
    return (done, int(number)) if done in _DONE and re.fullmatch(r"\d{1,9}", number, re.ASCII) else None
