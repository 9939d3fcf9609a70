"""Companies: read by the hundred.

https://developers.hubspot.com/docs/api-reference/crm-companies-v3/guide
"""

from collections.abc import Iterable, Mapping

from connector.hubspot.associations import read_associations
from connector.hubspot.batch import BatchAnswer
from connector.hubspot.official import Official
from connector.hubspot.records import read_records


class Companies:
    """The companies of one portal."""

    def __init__(self, official: Official) -> None:
        self._official = official

    def read(self, ids: Iterable[str], properties: Iterable[str]) -> BatchAnswer:
        """Read companies as they are now."""
        return read_records(self._official, "companies", ids, properties)

    def contacts_of(self, ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Give the contacts of each company; every company asked for is in the answer."""
        return read_associations(self._official, "companies", "contacts", ids)
