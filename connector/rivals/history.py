"""The history of a property: which values it had, since when, and who set each.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide tells of `propertiesWithHistory`; the sources
are those of https://developers.hubspot.com/docs/api/webhooks, a list that HubSpot calls open.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.moments import read_moment

_BY_HAND = frozenset({"CRM_UI", "CRM_UI_BULK_ACTION", "CONTACTS_WEB", "CONTACTS", "MOBILE_IOS", "MOBILE_ANDROID"})
_MERGE = "MERGE_OBJECTS"
_NO_AUTOMATION = _BY_HAND | {"FORM", "IMPORT", "EMAIL", _MERGE}
"""Behind these stands somebody who did something, once."""
_KINDS = {"AUTOMATION_PLATFORM": "workflow", "WORKFLOWS": "workflow", "INTEGRATION": "app", "API": "app"}
# A run of a workflow has its own id, which says nothing about who it is and differs from contact to contact.
_OF_A_RUN = re.compile(r"^(?:enrollment|actionExecution|execution|run)\w*[:=]", re.IGNORECASE)
_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A value that a property had: since when, and who set it."""

    value: str
    moment: int
    source: str
    source_id: str = ""
    label: str = ""

    @property
    def by_hand(self) -> bool:
        """Ask whether a colleague set it in HubSpot; who merged two contacts has chosen no value."""
        return self.source in _BY_HAND or (self.source_id.startswith("userId:") and self.source != _MERGE)

    @property
    def by_automation(self) -> bool:
        """Ask whether something set it that may do so again and again by itself."""
        return not self.by_hand and self.source not in _NO_AUTOMATION

    @property
    def teller(self) -> str:
        """Name who set it, person or automation, for somebody who reads it."""
        if self.by_hand:
            return f"user {self.source_id.rpartition(':')[2] or 'unknown'} ({self.source})"
        return self.author

    @property
    def author(self) -> str:
        """Name who set it, the same for all contacts: "workflow 123 (AUTOMATION_PLATFORM)"."""
        parts = [part for part in self.source_id.split(";") if part and not _OF_A_RUN.match(part.strip())]
        ids = [part.rpartition(":")[2].strip() for part in parts]
        label = f"'{self.label}'" if self.label else ""
        kind = _KINDS.get(self.source, "automation")
        return " ".join(filter(None, (kind, *ids, label, f"({self.source or 'no source'})")))[:_LONGEST_NAME]


def versions_of(record: Mapping[str, Any], name: str) -> list[Version]:
    """Read the history of a property from a record, the oldest first."""
    histories = record.get("propertiesWithHistory")
    entries = histories.get(name) if isinstance(histories, Mapping) else None
    read = [_version(entry) for entry in entries or () if isinstance(entry, Mapping)]
    # HubSpot gives the newest first; where two are of the same moment, that order is all there is.
    read.reverse()
    return sorted(read, key=lambda version: version.moment)


def _version(entry: Mapping[str, Any]) -> Version:
    found = read_moment(str(entry.get("timestamp") or ""))
    texts = {name: str(entry.get(name) or "") for name in ("value", "sourceType", "sourceId", "sourceLabel")}
    return Version(
        value=texts["value"], moment=found[0] if found else 0, source=texts["sourceType"],
        source_id=texts["sourceId"], label=texts["sourceLabel"],
    )  # fmt: skip
