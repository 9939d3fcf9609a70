"""Owners: the people to whom HubSpot gives contacts and tasks, found by their address.

https://developers.hubspot.com/docs/api-reference/crm-owners-v3/guide
"""

import threading
from collections.abc import Iterator

from connector.hubspot.batch import Record
from connector.hubspot.official import Official
from connector.moments import MINUTE, Clock

_REMEMBERED_MS = 10 * MINUTE
_MOST_REMEMBERED = 2_000
_PAGE = 100


class Owners:
    """The owners of one portal; who was asked for is remembered for ten minutes, found or not."""

    def __init__(self, official: Official, clock: Clock) -> None:
        self._official = official
        self._clock = clock
        self._remembered: dict[str, tuple[int, str | None]] = {}
        self._lock = threading.Lock()

    def by_email(self, address: str) -> str | None:
        """Give the id of the owner with this address; None when there is none."""
        address = address.strip().lower()
        now = self._clock()
        with self._lock:
            moment, owner = self._remembered.get(address, (now - _REMEMBERED_MS, None))
        if 0 <= now - moment < _REMEMBERED_MS:
            return owner
        owner = next((str(each["id"]) for each in self._pages(email=address) if _is_owner(each, address)), None)
        with self._lock:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[address] = (now, owner)
        return owner

    def all(self) -> tuple[Record, ...]:
        """List the owners."""
        return tuple(self._pages())

    def _pages(self, **options: str) -> Iterator[Record]:
        after = ""
        while True:
            cursor = {"after": after} if after else {}
            body = self._official.call("crm.owners.owners_api.get_page", limit=_PAGE, **options, **cursor).body
            fields = body if isinstance(body, dict) else {}
            results = fields.get("results")
            yield from (each for each in (results if isinstance(results, list) else ()) if isinstance(each, dict))
            paging = fields.get("paging")
            coming = paging.get("next") if isinstance(paging, dict) else None
            following = str(coming.get("after") or "") if isinstance(coming, dict) else ""
            if not following or following == after:
                return
            after = following


def _is_owner(record: Record, address: str) -> bool:
    is_person = record.get("id") and record.get("type") in (None, "PERSON") and not record.get("archived")
    return bool(is_person) and str(record.get("email") or "").strip().lower() == address
