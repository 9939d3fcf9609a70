"""Contacts: read by the hundred, changed by the hundred, listed, forgotten.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from random import Random
from urllib.parse import quote

from connector.hubspot.batch import BatchAnswer, Record
from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import unclear
from connector.hubspot.official import Official
from connector.hubspot.paths import UNSUBSCRIBE_ALL
from connector.hubspot.records import is_id, read_records, record_id, update_records
from connector.hubspot.sampling import draw_ids
from connector.hubspot.transport import Answer, Transport

_KIND = "contacts"
_ID = "hs_object_id"
_LONGEST_QUERY = 4_000


class Contacts:
    """The contacts of one portal."""

    def __init__(self, official: Official, transport: Transport) -> None:
        self._official = official
        self._transport = transport

    def read(self, ids: Iterable[str], properties: Iterable[str], *, history: Iterable[str] = ()) -> BatchAnswer:
        """Read contacts as they are now. One that was merged into another counts as missing: ask `read_one`."""
        return read_records(self._official, _KIND, ids, properties, history)

    def read_one(self, contact: str, properties: Iterable[str], *, history: Iterable[str] = ()) -> Record | None:
        """Read one contact, by its id or by an id that was merged into it; None when there is none."""
        if not is_id(contact):
            return None
        names, histories = sorted(set(properties)), sorted(set(history))
        fits = sum(map(len, (*names, *histories))) < _LONGEST_QUERY
        options = {"properties": [",".join(names)]} if fits and names else {"properties": [_ID]}
        if fits and histories:
            options["properties_with_history"] = [",".join(histories)]
        try:
            record = _record(self._official.call("crm.contacts.basic_api.get_by_id", contact, **options))
        except HubSpotError as failure:
            if failure.meaning.kind == "gone":
                return None
            raise
        if fits:
            return record
        return self._only(record_id(record), names, histories)

    def by_address(self, address: str) -> str | None:
        """Name the contact that has an e-mail address, which travels in the body; None when there is none."""
        body = {"inputs": [{"id": address}], "idProperty": "email", "properties": [_ID]}
        try:
            answer = self._official.call("crm.contacts.batch_api.read", body)
        except HubSpotError as failure:
            if failure.meaning.kind == "gone":
                return None
            raise
        results = answer.body.get("results") if isinstance(answer.body, dict) else None
        ids = [record_id(one) for one in results or () if isinstance(one, dict)]
        return next(filter(is_id, ids), None)

    def in_bin(self, ids: Iterable[str]) -> frozenset[str]:
        """Name those that were deleted and could be restored; HubSpot keeps them for 90 days.

        https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch
        """
        answer = read_records(self._official, _KIND, ids, (_ID,), archived=True)
        return frozenset(contact for contact, record in answer.found.items() if record.get("archived") is not False)

    def update(self, changes: Mapping[str, Mapping[str, str]]) -> BatchAnswer:
        """Set properties, by contact; `found` is what HubSpot then holds, which is not always what was asked."""
        return update_records(self._official, _KIND, changes)

    def all(self, properties: Iterable[str], *, page_size: int = 100) -> Iterator[Record]:
        """List all contacts, page by page; nothing but a page is held."""
        names = sorted(set(properties))
        fits = sum(map(len, names)) < _LONGEST_QUERY
        asked = ",".join(names) if fits and names else _ID
        after: str | None = None
        while True:
            options = {"after": after} if after else {}
            answer = self._official.call(
                "crm.contacts.basic_api.get_page", limit=page_size, properties=[asked], **options
            )
            page, following = _page(answer)
            yield from page if fits else self._in_full(page, names)
            if not following or following == after:
                return
            after = following

    def some(self, number: int, properties: Iterable[str], *, dice: Random) -> Iterator[Record]:
        """Give so many contacts, drawn at random, a hundred in memory; those deleted meanwhile are left out."""
        names, drawn = sorted(set(properties)), draw_ids(self._official, number, dice)
        while ids := list(islice(drawn, 100)):
            answer = self.read(ids, names)
            for meaning in answer.failed.values():
                if meaning.retryable:
                    raise HubSpotError(meaning=meaning)
            yield from answer.found.values()

    def count(self) -> int:
        """Give about how many contacts there are: by the index, which lags behind by moments."""
        answer = self._official.call("crm.contacts.search_api.do_search", {"limit": 1, "properties": [_ID]})
        total = answer.body.get("total") if isinstance(answer.body, dict) else None
        return total if isinstance(total, int) else 0

    def gdpr_delete(self, contact: str) -> None:
        """Erase a contact for good; one that is gone already is erased."""
        try:
            self._official.call("crm.contacts.basic_api.purge", {"objectId": contact})
        except HubSpotError as failure:
            if failure.meaning.kind != "gone":
                raise

    def unsubscribe(self, email: str) -> None:
        """Unsubscribe an address from all e-mail; the way back needs the person's own consent.

        https://developers.hubspot.com/docs/api-reference/communication-preferences-subscriptions-v4/guide
        """
        path = UNSUBSCRIBE_ALL.replace("{email}", quote(email.strip(), safe=""))
        self._transport.send("POST", path, query=(("channel", "EMAIL"),))

    def _in_full(self, page: list[Record], names: list[str]) -> Iterator[Record]:
        """Read the contacts of a page again, with more properties than an address can carry."""
        answer = self.read((record_id(record) for record in page), names)
        for meaning in answer.failed.values():
            raise HubSpotError(meaning=meaning)
        yield from answer.found.values()

    def _only(self, contact: str, names: list[str], histories: list[str]) -> Record | None:
        answer = self.read((contact,), names, history=histories)
        for meaning in answer.failed.values():
            raise HubSpotError(meaning=meaning)
        return answer.found.get(contact)


def _record(answer: Answer) -> Record:
    if not isinstance(answer.body, dict) or not is_id(record_id(answer.body)):
        raise HubSpotError(meaning=unclear("the answer is no record", status=answer.status))
    return answer.body


def _page(answer: Answer) -> tuple[list[Record], str]:
    """Give the records of a page and the cursor of the next."""
    body = answer.body if isinstance(answer.body, dict) else {}
    results = body.get("results")
    if not isinstance(results, list):
        raise HubSpotError(meaning=unclear("the answer holds no results", status=answer.status))
    paging = body.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else None
    return [each for each in results if isinstance(each, dict) and is_id(record_id(each))], str(after or "")
