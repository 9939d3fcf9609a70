"""The page of one contact: where it stands and why, condition by condition; why nowhere else; what was done before.

All of it comes from Stagekeeper's own tables: the newest record holds what was read and what was known then, and the
live pack judges that anew, as it judged it then. It costs no call to HubSpot. It is the one page that shows what a
contact's properties hold, so that who looked is logged.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import flask
import sqlalchemy as sa
import structlog
from werkzeug.exceptions import NotFound

from connector.config import Portal
from connector.decision import Memory, decide
from connector.explanation import Explanation, explain
from connector.moments import read_moment
from connector.recall import Recalled, recall
from connector.rulebook.judging import Known, Rulebook
from connector.rulebook.pack import Pack
from connector.snapshot import Snapshot
from connector.store.engine import reading
from connector.store.tables import contacts, effects, records, waiting
from connector.web.forms import read_form
from connector.web.layout import Page, Site, render
from connector.web.search import add_search
from connector.whynot import why_not

_CONTACT = re.compile(r"[!-~]{1,40}")
_NUMBER = re.compile(r"[1-9]\d{0,15}", re.ASCII)
_SHOWN, _MOST = 10, 100
_MOST_EFFECTS = 50
_ANSWERS = ("yes", "no", "unknown")
_TYPES: Mapping[str, str] = {"contact": "0-1", "task": "0-27", "deal": "0-3"}
_HUBSPOT = "hubapi.com"
_NOBODY = "Nothing is known here of such a contact. It has never been looked at, or it was forgotten."
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What is kept of a contact: each is None when there is nothing."""

    row: Mapping[str, Any] | None
    last: Mapping[str, Any] | None
    """The newest record that holds a decision."""
    waits: Mapping[str, Any] | None
    effects: Sequence[Mapping[str, Any]]

    @property
    def is_nothing(self) -> bool:
        """Ask whether nothing at all is kept."""
        return self.row is None and self.last is None and self.waits is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Why:
    """Why a contact is where it is, and what would bring it elsewhere."""

    explanation: Mapping[str, Any]
    elsewhere: Sequence[tuple[str, Sequence[str]]]
    is_by_another: bool
    """The record was made by another version of the rules; this is what the live one says of what was read then."""


def _add(blueprint: flask.Blueprint, site: Site) -> None:
    rulebooks = Rulebooks(site.packs)

    def show(portal: str, id_: str) -> flask.Response:
        settings = _named(site, portal, id_)
        kept = read_kept(site.engine, settings.id, id_)
        if kept.is_nothing:
            raise NotFound(_NOBODY)
        _log.info("page.contact_viewed", portal=settings.id, contact=id_, role=flask.g.visitor.role)
        most = _MOST if flask.request.args.get("all") == "1" else _SHOWN
        history = recall(site.engine, settings.id, id_, most=most)
        return render(
            "contact.html", portal=settings, contact=id_, kept=kept, row=kept.row, now=site.clock(),
            why=reasons(rulebooks.of(settings.id), kept, site.clock()), history=history, entries=_dated(history),
            link=lambda kind, record: hubspot_link(settings, kind, record), most=_MOST,
            has_more=history.total > len(history.entries), looked="looked" in flask.request.args,
        )  # fmt: skip

    def look(portal: str, id_: str) -> flask.typing.ResponseReturnValue:
        read_form(flask.request, site.admission.sessions, flask.g.visitor)
        settings = _named(site, portal, id_)
        if read_kept(site.engine, settings.id, id_).is_nothing:
            raise NotFound(_NOBODY)
        site.inbox.look_at(settings.id, [id_], due=site.clock())
        _log.info("page.look_asked", portal=settings.id, contact=id_)
        return flask.redirect(flask.url_for("page.one_contact", portal=portal, id_=id_, looked=1), 303)

    add_search(blueprint, site)
    blueprint.add_url_rule("/contact/<portal>/<id_>", view_func=show, endpoint="one_contact", methods=["GET"])
    blueprint.add_url_rule("/contact/<portal>/<id_>/look", view_func=look, endpoint="look", methods=["POST"])


PAGE = Page(name="contact", path="/contact", title="Contact", add=_add)


class Rulebooks:
    """Makes the rulebook of a portal's pack when it is first needed; thread-safe."""

    def __init__(self, packs: Mapping[int, Pack]) -> None:
        self._packs = packs
        self._made: dict[str, Rulebook] = {}
        self._lock = threading.Lock()

    def of(self, portal: int) -> Rulebook:
        """Give the rulebook of a portal."""
        pack = self._packs[portal]
        with self._lock:
            if pack.hash not in self._made:
                self._made[pack.hash] = Rulebook(pack)
            return self._made[pack.hash]


def read_kept(engine: sa.Engine, portal: int, contact: str) -> Kept:
    """Read what is kept of a contact."""
    with reading(engine) as connection:

        def newest(table: sa.Table, most: int, *also: sa.ColumnElement[bool]) -> list[Mapping[str, Any]]:
            query = sa.select(table).where(table.c.portal == portal, table.c.contact == contact, *also).limit(most)
            ordered = query.order_by(table.c.id.desc()) if "id" in table.c else query
            rows = connection.execute(ordered).mappings()
            return [{str(name): value for name, value in row.items()} for row in rows]

        return Kept(
            row=next(iter(newest(contacts, 1)), None),
            last=next(iter(newest(records, 1, records.c.fingerprint != "")), None),
            waits=next(iter(newest(waiting, 1)), None),
            effects=newest(effects, _MOST_EFFECTS),
        )


def reasons(rulebook: Rulebook, kept: Kept, now: int) -> Why | None:
    """Judge anew what the newest record holds; None when that was cleared or is of a form that keeps too little."""
    last = kept.last
    if last is None or not last["read"].get("before"):
        return None
    read, at = last["read"], last["decided_at"]
    snapshot = Snapshot(
        contact=last["contact"], properties=read["properties"], company=read["company"],
        deals=None if read["deals"] is None else tuple(read["deals"]),
    )  # fmt: skip
    memory = Memory.from_data(read["before"])
    decision = decide(rulebook, snapshot, memory, at)
    found = explain(rulebook, snapshot, decision, at, known=memory.known)
    return Why(
        explanation=_shown(found), elsewhere=_elsewhere(rulebook, snapshot, kept, now),
        is_by_another=last["pack_hash"] != rulebook.pack.hash,
    )  # fmt: skip


def _elsewhere(rulebook: Rulebook, snapshot: Snapshot, kept: Kept, now: int) -> list[tuple[str, Sequence[str]]]:
    """Say for every other stage what would bring the contact there."""
    row = kept.row
    if row is None or row["gone"] is not None:
        return []
    known = Known(row["stage"], row["status"], row["since"])
    others = [stage for stage in reversed(rulebook.pack.ladder) if stage != row["stage"]]
    return [(stage, why_not(rulebook, snapshot, known, now, stage=stage).say()) for stage in others]


def _shown(found: Explanation) -> Mapping[str, Any]:
    """Give an explanation as data, what is yes first."""
    data = found.as_data()
    facts = sorted(data["facts"].items(), key=lambda one: (_ANSWERS.index(one[1]), one[0]))
    return {**data, "properties": list(_properties(data["conditions"])), "facts": facts}


def _properties(conditions: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Gather the conditions of each property, by name, those of yes first."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in sorted(conditions, key=lambda one: (_ANSWERS.index(one["result"]), one["wanted"])):
        found.setdefault((one["source"], one["actual"] or ""), []).append(one)
    for (source, actual), tests in sorted(found.items()):
        moments = [moment for one in tests if (moment := _moment_of(one.get("changes_at"))) is not None]
        yield {"name": source, "actual": actual, "tests": tests, "changes": min(moments, default=None)}


def _dated(history: Recalled) -> list[Mapping[str, Any]]:
    return [{**entry, "moment": _moment_of(entry["at"])} for entry in history.entries]


def _moment_of(text: str | None) -> int | None:
    found = read_moment(text) if text else None
    return found[0] if found else None


def hubspot_link(portal: Portal, kind: str, record: str | None) -> str | None:
    """Give the address of a record in HubSpot's own pages; None for what has none, as in a practice HubSpot."""
    if kind not in _TYPES or not record or not record.isdigit() or not _is_hubspots(portal.api_url):
        return None
    return f"https://app.hubspot.com/contacts/{portal.id}/record/{_TYPES[kind]}/{record}"


def _is_hubspots(address: str) -> bool:
    host = (urlsplit(address).hostname or "").rstrip(".")
    return host == _HUBSPOT or host.endswith(f".{_HUBSPOT}")


def _named(site: Site, portal: str, contact: str) -> Portal:
    """Give the portal of an address; raises NotFound when it names nothing that there could be."""
    settings = site.config.portal(int(portal)) if _NUMBER.fullmatch(portal) else None
    if settings is None or not _CONTACT.fullmatch(contact):
        raise NotFound(_NOBODY)
    return settings
