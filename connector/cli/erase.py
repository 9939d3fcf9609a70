"""`stagekeeper erase`: a person goes from Stagekeeper's own tables, and a receipt stays."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from connector.cli.options import common, output, portal_id, read_config, tell
from connector.cli.render import print_json
from connector.errors import Refused, UsageError
from connector.hubspot.records import is_id
from connector.identity.erasure import count_person, erase_when_free
from connector.identity.receipts import Receipt
from connector.inbox import Inbox, Placed
from connector.moments import write_moment
from connector.store.engine import clock_of, open_database

_ROWS = {"events": "event", "waiting": "waiting row", "contacts": "contact", "records": "record", "effects": "effect"}


@click.command("erase")
@click.argument("contact", metavar="CONTACT_ID")
@click.option("--portal", type=int, metavar="ID", help="The portal; not needed when only one is configured.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output()
@common
def command(contact: str, portal: int | None, yes: bool, format_: str) -> None:
    """Remove a person from Stagekeeper's own tables: events, waiting row, contact, records, effects, for ever.

    HubSpot itself is not touched: delete the contact there, too, or the next event about it begins its history anew.
    What was merged into the contact goes with it. The receipt that stays holds no personal data; its digest is the
    SHA-256 of "PORTAL:CONTACT_ID". A contact that a worker holds is waited for some seconds, then left alone (exit
    code 7). A contact that Stagekeeper does not know is no error: the receipt says zero.
    """
    if not is_id(contact):
        raise UsageError("expected the number that HubSpot gave the contact, as in 501; an address finds nobody here")
    contact = contact.lstrip("0") or "0"
    config = read_config()
    portal = portal_id(config, portal)
    engine = open_database(config.database)
    _place_all(Inbox(engine, clock_of(engine)))
    if not yes:
        _ask(portal, contact, count_person(engine, portal, contact))
    receipt = erase_when_free(engine, portal, contact, reason="asked", clock=clock_of(engine), sleep=time.sleep)
    if format_ == "json":
        print_json({"version": 1, "receipt": _as_data(receipt)})
        return
    click.echo(f"erased {_listed(receipt.counts)}")
    click.echo(f"receipt {receipt.id} of {write_moment(receipt.erased_at)}, digest {receipt.digest}")
    tell("HubSpot was not touched")


def _place_all(inbox: Inbox) -> None:
    """Have all that has come stand beside its contacts, so that it is found."""
    while inbox.place() != Placed():
        pass


def _ask(portal: int, contact: str, counts: Mapping[str, int]) -> None:
    """Go on only when a person at a terminal says so."""
    would = f"contact {contact} of portal {portal}: {_listed(counts)} would be removed from Stagekeeper's own tables"
    if not sys.stdin.isatty():
        raise Refused(f"{would}; nothing was erased; expected --yes, for there is no terminal to ask at")
    if not click.confirm(f"{would}, for ever. Erase?", err=True):
        raise Refused("nothing was erased, for you said no")


def _listed(counts: Mapping[str, int]) -> str:
    shown = {table: (number, _ROWS.get(table, table)) for table, number in counts.items()}
    return ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for number, name in shown.values())


def _as_data(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id, "portal": receipt.portal, "digest": receipt.digest, "reason": receipt.reason,
        "erased_at": write_moment(receipt.erased_at), "removed": dict(receipt.counts),
    }  # fmt: skip
