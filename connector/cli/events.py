"""`stagekeeper events`: what waits in the inbox, and its dead letters."""

from dataclasses import asdict
from typing import Any

import click

from connector.cli.options import common, output, portal_id, read_config, tell
from connector.cli.render import print_json, print_table
from connector.errors import UsageError
from connector.following import Look, follow
from connector.inbox import Inbox
from connector.moments import write_moment
from connector.portals import Portals
from connector.store.engine import clock_of, open_database
from connector.waitinglist import WaitingRow

_COLUMNS = ("portal", "contact", "due", "attempts", "dead_at", "last_error")


@click.group("events")
@common
def command() -> None:
    """Look at the contacts that wait and at those that were given up (dead letters), retry or drop them."""


@command.command("list")
@click.option("--portal", type=int, metavar="ID", help="Only this portal.")
@click.option("--dead", is_flag=True, help="Dead letters only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@output()
@common
def list_(portal: int | None, dead: bool, limit: int, format_: str) -> None:
    """List the contacts that wait, dead letters among them, and say of portals in trouble why theirs do."""
    engine = open_database(read_config().database)
    rows = Inbox(engine, clock_of(engine)).listing(portal=portal, dead=True if dead else None, limit=limit)
    if format_ == "json":
        print_json({"version": 1, "waiting": [_as_data(row) for row in rows]})
        return
    print_table(_COLUMNS, [[_as_data(row)[name] for name in _COLUMNS] for row in rows])
    tell(f"{len(rows)} shown")
    for trouble in Portals(engine, clock_of(engine)).troubles().values():
        if portal in (None, trouble.portal) and not trouble.hinders:
            tell(f"portal {trouble.portal} waits as a whole: {trouble.text}")


@command.command("show")
@click.argument("contact")
@click.option("--portal", type=int, metavar="ID", help="The portal; not needed when only one is configured.")
@output()
@common
def show(contact: str, portal: int | None, format_: str) -> None:
    """Show one contact's place in the inbox, and its newest events with the look that each led to."""
    engine = open_database(read_config().database)
    portal = portal_id(read_config(), portal)
    shown = Inbox(engine, clock_of(engine)).show(portal, contact)
    looks = follow(engine, portal, contact, shown.events)
    data = {
        "version": 1,
        "waiting": None if shown.waiting is None else _as_data(shown.waiting),
        "next_look_at": _moment(shown.next_look_at),
        "events": [
            {
                "id": event.id, "key": event.key, "type": event.type, "occurred_at": _moment(event.occurred_at),
                "malformed": event.malformed, "received_at": _moment(event.received_at), "body": dict(event.body),
                "look": None if look is None else {**asdict(look), "decided_at": _moment(look.decided_at)},
            }
            for event, look in zip(shown.events, looks, strict=True)
        ],
    }  # fmt: skip
    if format_ == "json":
        print_json(data)
        return
    if shown.waiting is None:
        by_itself = "" if shown.next_look_at is None else f"; looked at by itself at {write_moment(shown.next_look_at)}"
        click.echo(f"does not wait{by_itself}")
    else:
        print_table(_COLUMNS, [[_as_data(shown.waiting)[name] for name in _COLUMNS]])
    rows = [
        (e.id, _moment(e.received_at), e.type, e.body.get("propertyName"), e.malformed, *_told(look))
        for e, look in zip(shown.events, looks, strict=True)
    ]
    print_table(("event", "received", "type", "property", "malformed", "looked at", "claim", "written"), rows)


@command.command("retry")
@click.argument("contact", required=False)
@click.option("--portal", type=int, metavar="ID", help="Only this portal.")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@output()
@common
def retry(contact: str | None, portal: int | None, everything: bool, format_: str) -> None:
    """Try a contact again now with all its attempts, or all dead letters."""
    portal = _chosen(contact, portal, everything)
    _tell("retried", _inbox().retry(portal=portal, contact=contact), format_)


@command.command("drop")
@click.argument("contact", required=False)
@click.option("--portal", type=int, metavar="ID", help="Only this portal.")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@output()
@common
def drop(contact: str | None, portal: int | None, everything: bool, format_: str) -> None:
    """Let a contact, or all dead letters, go for good; a later event brings a contact back."""
    portal = _chosen(contact, portal, everything)
    _tell("dropped", _inbox().drop(portal=portal, contact=contact), format_)


def _told(look: Look | None) -> tuple[str | None, str | None, str]:
    """Say of a look when it was, in which claim, and what was written."""
    if look is None:
        return None, None, "not looked at yet"
    done = [*look.written, *look.effects]
    return _moment(look.decided_at), look.claim, look.error or (", ".join(done) if done else "nothing differed")


def _inbox() -> Inbox:
    engine = open_database(read_config().database)
    return Inbox(engine, clock_of(engine))


def _chosen(contact: str | None, portal: int | None, everything: bool) -> int | None:
    """Make sure that a contact is meant, or all; a contact's portal must be clear."""
    if (contact is None) == (not everything):
        raise UsageError("name a contact, or say --all for all dead letters")
    return portal if everything else portal_id(read_config(), portal)


def _tell(done: str, number: int, format_: str) -> None:
    print_json({"version": 1, done: number}) if format_ == "json" else click.echo(f"{number} {done}")


def _as_data(row: WaitingRow) -> dict[str, Any]:
    data = {name: getattr(row, name) for name in WaitingRow.__slots__}
    return {name: _moment(value) if name in _MOMENTS else value for name, value in data.items()}


_MOMENTS = frozenset({"due", "since", "claimed_until", "dead_at"})


def _moment(value: int | None) -> str | None:
    return None if value is None else write_moment(value)
