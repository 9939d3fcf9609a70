"""Deals: those of contacts, read by the hundred, opened with a marker.

https://developers.hubspot.com/docs/api-reference/crm-deals-v3/guide
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from connector.hubspot.associations import read_associations
from connector.hubspot.batch import BatchAnswer, Record
from connector.hubspot.markers import marked
from connector.hubspot.official import Official
from connector.hubspot.records import CreateAnswer, NewRecord, create_records, read_records

TO_CONTACT = 3
TO_COMPANY = 341
TO_PRIMARY_COMPANY = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class DealInput:
    """A deal to be opened: its marker, its contact, the contact's company if any, and what it holds."""

    key: str
    contact: str
    properties: Mapping[str, str]
    company: str | None = None


class Deals:
    """The deals of one portal."""

    def __init__(self, official: Official) -> None:
        self._official = official

    def of_contacts(self, ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Give the deals of each contact; every contact asked for is in the answer."""
        return read_associations(self._official, "contacts", "deals", ids)

    def contacts_of(self, ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Give the contacts of each deal; every deal asked for is in the answer."""
        return read_associations(self._official, "deals", "contacts", ids)

    def read(self, ids: Iterable[str], properties: Iterable[str]) -> BatchAnswer:
        """Read deals as they are now."""
        return read_records(self._official, "deals", ids, properties)

    def create(self, inputs: Sequence[DealInput], *, before: Callable[[], None] | None = None) -> CreateAnswer:
        """Open deals; by the portal's settings HubSpot itself may then move their contacts' stage."""
        return create_records(self._official, "deals", (_new(each) for each in inputs), before=before)

    def marked(self, contacts: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        """Give for each contact the deals that Stagekeeper opened, as marker to deal id."""
        return marked(self._official, "deals", contacts)

    def pipelines(self) -> Sequence[Record]:
        """List the pipelines with their stages."""
        body = self._official.call("crm.pipelines.pipelines_api.get_all", "deals").body
        results = body.get("results") if isinstance(body, dict) else None
        return [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []


def _new(deal: DealInput) -> NewRecord:
    company = [(deal.company, (TO_PRIMARY_COMPANY, TO_COMPANY))] if deal.company else []
    return NewRecord(key=deal.key, properties=deal.properties, associations=((deal.contact, (TO_CONTACT,)), *company))
