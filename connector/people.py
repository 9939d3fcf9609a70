"""A person's move of the stage wins over the rules for a time.

Who moved it stands in the history of the property, which is read only where it matters: the rules want another stage,
and the one in HubSpot is not the one that was there after the last look.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from connector.hubspot.client import HubSpotPortal
from connector.hubspot.meaning import Meaning
from connector.moments import read_moment
from connector.plan import STAGE
from connector.record import Judged

_BY_HAND = frozenset({"CRM_UI", "CRM_UI_BULK_ACTION", "CONTACTS_WEB", "CONTACTS", "MOBILE_IOS", "MOBILE_ANDROID"})
"""Sources of property history that are people. https://developers.hubspot.com/docs/api/webhooks"""


def contested(judged: Iterable[Judged]) -> list[str]:
    """Name the contacts whose stage the plan changes although somebody else has changed it since the last look."""
    return [
        one.snapshot.contact
        for one in judged
        if STAGE in one.plan.properties and one.held.stage_seen is not None
        and (one.snapshot.properties.get(STAGE) or "") != one.held.stage_seen
    ]  # fmt: skip


def last_moves(hubspot: HubSpotPortal, contacts: list[str]) -> tuple[dict[str, int], dict[str, Meaning]]:
    """Read when a person last moved the stage, where the last move was a person's; and what could not be read."""
    answer = hubspot.contacts.read(contacts, [STAGE], history=[STAGE])
    moves = {contact: moment for contact, record in answer.found.items() if (moment := _moved_by_hand(record))}
    return moves, dict(answer.failed)


def _moved_by_hand(record: Mapping[str, Any]) -> int | None:
    """Give the moment of the newest entry of the stage's history when a person made it."""
    histories = record.get("propertiesWithHistory")
    entries = histories.get(STAGE) if isinstance(histories, Mapping) else None
    read = [(_moment(entry), entry) for entry in entries or () if isinstance(entry, Mapping)]
    if not read:
        return None
    moment, newest = max(read, key=lambda pair: pair[0])
    by_hand = newest.get("sourceType") in _BY_HAND or str(newest.get("sourceId") or "").startswith("userId:")
    return moment if by_hand else None


def _moment(entry: Mapping[str, Any]) -> int:
    found = read_moment(str(entry.get("timestamp") or ""))
    return found[0] if found else 0
