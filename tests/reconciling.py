"""What tests of reconciliation share: packs, people, lost webhooks, and what a report found."""

import sqlalchemy as sa

from connector.reconciliation.reconciliation import Report, Scope
from connector.reconciliation.watermarks import Mark
from connector.sandbox.kinds import CONTACT
from connector.sandbox.records import Author
from connector.store.tables import records
from tests.practice import INBOUND, Practice

SEARCHES = {kind: f"/crm/objects/{kind}/search" for kind in ("contacts", "companies", "deals")}
PACK = """
version: 1
pack: missed
ladder: [contact, lead, prospect]
facts:
  asked: {sk_source: {is: inbound}}
  large: {company.numberofemployees: {at_least: 50}}
  bidding: {any_deal: {dealstage: {is: contractsent}}}
stages:
  - {id: ready, when: {all: [asked, any: [large, bidding]]}, stage: prospect, because: They asked and are worth it.}
  - {id: asked, when: asked, stage: lead, because: They asked.}
  - {id: rest, stage: contact, because: Nothing is known.}
"""
PLAIN = """
version: 1
pack: plain
ladder: [contact, lead]
stages:
  - {id: asked, when: {sk_source: {is: inbound}}, stage: lead, because: They asked.}
  - {id: rest, stage: contact, because: Nothing is known.}
values:
  - {id: drip, when: {sk_drip: {known: false}}, set: {sk_drip: "true"}}
"""
AN_IMPORT = Author("IMPORT", "1")


def reconcile(the: Practice, scope: Scope | None = None) -> Report:
    """Reconcile as the command does, after search has caught up."""
    the.move(seconds=2)
    reconciliation = the.services.portals[the.portal].reconciliation
    turn = reconciliation.watermarks.begin(the.portal)
    assert turn is not None
    report = reconciliation.run(scope or Scope(), turn)
    reconciliation.watermarks.end(turn)
    return report


def by_itself(the: Practice, *, minutes: int = 15) -> Report:
    the.move(minutes=minutes)
    report = the.worker.reconciler.run_due(the.portal)
    assert report is not None
    return report


def leads(the: Practice, number: int) -> list[str]:
    """People who asked, each with an address of their own."""
    first = len(the.sandbox.portal.records[CONTACT].live)
    people = ({"email": f"p{first + n}@example.com", **INBOUND} for n in range(number))
    return [the.sandbox.create_contact(person) for person in people]


def miss(the: Practice) -> None:
    """Lose every webhook of what has happened so far."""
    the.heard[the.portal] = len(the.sandbox.webhooks.events)


def found(report: Report) -> tuple[int, int, int, int]:
    return report.changed, report.unknown, report.gone, report.placed


def marks(the: Practice) -> dict[str, Mark]:
    watermarks = the.services.portals[the.portal].reconciliation.watermarks
    return {str(kind): mark for kind, mark in watermarks.marks(the.portal).items()}


def looks(the: Practice) -> int:
    return int(the.rows(sa.select(sa.func.count()).select_from(records))[0][0])


def settled(the: Practice) -> None:
    """Have contacts judged and reconciled until nothing is left to find."""
    the.catch_up()
    for _ in range(3):
        by_itself(the)
        the.catch_up()
