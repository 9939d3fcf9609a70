"""Markers: finding again, after a crash or a time-out, what was made for a contact.

By associations and a batch read, never by search: the index lags behind by seconds or minutes, and a record that is
not found would be made twice.
"""

from collections.abc import Iterable, Mapping

from connector.hubspot.associations import read_associations
from connector.hubspot.failure import HubSpotError
from connector.hubspot.official import Official
from connector.hubspot.records import read_records
from connector.properties import MARKER


def marked(official: Official, kind: str, contacts: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
    """Give for each contact the marked records of that type, as marker to id.

    Raises HubSpotError when any of them could not be read.
    """
    belonging = read_associations(official, "contacts", kind, contacts)
    answer = read_records(official, kind, (each for others in belonging.values() for each in others), (MARKER,))
    for meaning in answer.failed.values():
        raise HubSpotError(meaning=meaning)
    markers = {each: _marker(record.get("properties")) for each, record in answer.found.items()}
    return {
        contact: {markers[each]: each for each in reversed(others) if markers.get(each)}
        for contact, others in belonging.items()
    }


def _marker(properties: object) -> str:
    return str(properties.get(MARKER) or "") if isinstance(properties, dict) else ""
