"""A person's move of the stage wins over the rules for a time.

Who moved it stands in the history of the property, which is read only where it matters: the rules want another stage,
and the one in HubSpot is not the one that was there after the last look.
"""

from collections.abc import Iterable

from connector.hubspot.client import HubSpotPortal
from connector.hubspot.meaning import Meaning
from connector.plan import STAGE
from connector.record import Judged
from connector.rivals.history import versions_of


def contested(judged: Iterable[Judged]) -> list[str]:
    """Name the contacts whose stage the plan changes although somebody else has changed it since the last look."""
    return [
        one.snapshot.contact
        for one in judged
        if STAGE in {*one.plan.properties, *one.plan.withheld} and one.held.stage_seen is not None
        and (one.snapshot.properties.get(STAGE) or "") != one.held.stage_seen
    ]  # fmt: skip


def last_moves(hubspot: HubSpotPortal, contacts: list[str]) -> tuple[dict[str, int], dict[str, Meaning]]:
    """Read when a person last moved the stage, where the last move was a person's; and what could not be read."""
    answer = hubspot.contacts.read(contacts, [STAGE], history=[STAGE])
    newest = {contact: versions_of(record, STAGE)[-1:] for contact, record in answer.found.items()}
    moves = {contact: version.moment for contact, last in newest.items() for version in last if version.by_hand}
    return moves, dict(answer.failed)
