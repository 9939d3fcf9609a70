"""Records changed since a moment of HubSpot's clock: none is skipped, however many there are and whatever changes.

The span from that moment to the newest change is fixed first. Within it records are asked for by id, each page beyond
the last id: ids do not move, so the cap of 10,000 results a query is never met, not even by an import that gives a
million records the same millisecond. A record that changes while pages are read leaves the span: it is newer than its
end, and so it is in the next one. A long span is halved until its parts are small, oldest first, so that whoever reads
can note how far he is. The price: a record may be given twice, in two parts.
https://developers.hubspot.com/docs/api-reference/search/guide
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson

from connector.hubspot.batch import Record
from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import unclear
from connector.hubspot.official import Official
from connector.hubspot.records import is_id, read_records, record_id
from connector.moments import read_moment

PAGE = 200
MOST_IN_SPAN = 5_000
"""A span with more is halved. Not a matter of HubSpot's cap: so much is done again at the most after a crash."""
LONGEST_BODY = 3_000

_MODIFIED: Mapping[str, str] = {
    "contacts": "lastmodifieddate", "companies": "hs_lastmodifieddate", "deals": "hs_lastmodifieddate",
}  # fmt: skip
_SEARCHES: Mapping[str, str] = {kind: f"crm.{kind}.search_api.do_search" for kind in _MODIFIED}
_ID = "hs_object_id"
_Span = tuple[int, int]
"""After the first moment, up to the second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedPage:
    """Some changed records."""

    records: tuple[Record, ...]
    reached: int | None = None
    """With this page, every record that changed up to this moment of HubSpot's clock has been given."""
    total: int = 0
    """How many had changed when the reading began, of this and of all other pages."""


@dataclass(frozen=True, slots=True)
class _Found:
    records: tuple[Record, ...]
    total: int | None

    @property
    def is_all(self) -> bool:
        return not self.records or (self.total is not None and self.total <= len(self.records))


def modified_at(kind: str, record: Record) -> int:
    """Give the moment of a record's latest change; raises HubSpotError when it cannot be read."""
    properties = record.get("properties")
    text = properties.get(_MODIFIED[kind]) if isinstance(properties, Mapping) else None
    moment = read_moment(str(text or record.get("updatedAt") or ""))
    if moment is None:
        raise HubSpotError(meaning=unclear(f"a result of the search for {kind} does not say when it was changed"))
    return moment[0]


def newest_change(official: Official, kind: str) -> int | None:
    """Give the moment of the newest change of all, by HubSpot's clock; None when there are no records."""
    found = _Search(official, kind, ()).newest(None, limit=1)
    return max((modified_at(kind, record) for record in found.records), default=None)


def changes_after(
    official: Official, kind: str, moment: int, properties: Iterable[str], *, most_in_span: int = MOST_IN_SPAN
) -> Iterator[ChangedPage]:
    """Give the records changed after a moment; two hundred a call, all in a single call when there are no more."""
    search = _Search(official, kind, properties)
    newest = search.newest(moment, limit=PAGE)
    if not newest.records:
        return
    end, total = max(modified_at(kind, record) for record in newest.records), newest.total or 0
    if newest.is_all:
        yield ChangedPage(records=search.in_full(newest.records), reached=end, total=total)
        return
    spans = [(moment, end)]
    while spans:
        start, end = span = spans.pop()
        found = search.within(span, beyond=0)
        if (found.total or 0) > most_in_span and end - start > 1:
            middle = start + (end - start) // 2
            spans += [(middle, end), (start, middle)]
            continue
        while not found.is_all:
            yield ChangedPage(records=search.in_full(found.records), total=total)
            found = search.within(span, beyond=max(int(record_id(record)) for record in found.records))
        yield ChangedPage(records=search.in_full(found.records), reached=end, total=total)


class _Search:
    """Asks for the records of one kind with the same properties again and again."""

    def __init__(self, official: Official, kind: str, properties: Iterable[str]) -> None:
        self._official = official
        self._kind = kind
        self._modified = _MODIFIED[kind]
        self._names = sorted({*properties, self._modified})
        whole = self._body(self._filters((10**13, 10**13), 10**19), _ID, PAGE, self._names)
        # HubSpot refuses a longer body; what does not fit into it is read by batch.
        self._fits = len(orjson.dumps(whole)) <= LONGEST_BODY

    def newest(self, after: int | None, *, limit: int) -> _Found:
        """Find the newest that changed after a moment, the newest of all first."""
        filters = [] if after is None else [_filter(self._modified, "GT", after)]
        return self._ask(filters, self._modified, limit, beyond=None)

    def within(self, span: _Span, *, beyond: int) -> _Found:
        """Find those with greater ids that changed within a span, in the order of their ids."""
        return self._ask(self._filters(span, beyond), _ID, PAGE, beyond=beyond)

    def in_full(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """Give found records with all that was asked for; one that cannot be read stays as it was found."""
        if self._fits or not records:
            return records
        answer = read_records(self._official, self._kind, map(record_id, records), self._names)
        for meaning in answer.failed.values():
            if meaning.retryable:
                raise HubSpotError(meaning=meaning)
        return tuple(answer.found.get(record_id(record), record) for record in records)

    def _ask(self, filters: list[dict[str, str]], sort: str, limit: int, *, beyond: int | None) -> _Found:
        names = self._names if self._fits else [self._modified]
        answer = self._official.call(_SEARCHES[self._kind], self._body(filters, sort, limit, names))
        body = answer.body if isinstance(answer.body, dict) else {}
        results, total = body.get("results"), body.get("total")
        if not isinstance(results, list):
            raise HubSpotError(meaning=unclear("the answer holds no results", status=answer.status))
        records = tuple(each for each in results if isinstance(each, dict) and is_id(record_id(each)))
        if beyond is not None:  # a search that ignores the filter would go on for ever
            records = tuple(each for each in records if int(record_id(each)) > beyond)
        return _Found(records, total if isinstance(total, int) else None)

    def _filters(self, span: _Span, beyond: int) -> list[dict[str, str]]:
        start, end = span
        return [
            _filter(self._modified, "GT", start), _filter(self._modified, "LTE", end), _filter(_ID, "GT", beyond),
        ]  # fmt: skip

    def _body(self, filters: list[dict[str, str]], sort: str, limit: int, names: list[str]) -> dict[str, object]:
        direction = "ASCENDING" if sort == _ID else "DESCENDING"
        return {
            "filterGroups": [{"filters": filters}] if filters else [],
            "sorts": [{"propertyName": sort, "direction": direction}],
            "properties": names,
            "limit": limit,
        }


def _filter(name: str, operator: str, value: int) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": str(value)}
