"""Reading, changing and creating records of any type, in batches.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.hubspot.batch import MOST_INPUTS, BatchAnswer, Job, Record, run_batch
from connector.hubspot.meaning import Meaning, unclear
from connector.hubspot.official import Official
from connector.hubspot.transport import Answer
from connector.properties import MARKER

MOST_WITH_HISTORY = 50

_BATCH_APIS: Mapping[str, str] = {
    "contacts": "crm.contacts.batch_api",
    "companies": "crm.companies.batch_api",
    "deals": "crm.deals.batch_api",
    "tasks": "crm.objects.tasks.batch_api",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRecord:
    """A record to be made: its marker, what it holds, and what it belongs to."""

    key: str
    properties: Mapping[str, str]
    associations: Sequence[tuple[str, tuple[int, ...]]] = ()
    """(id of the other record, HubSpot's association type ids in this direction)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateAnswer:
    """What became of each record to be made, by its key."""

    created: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Meaning] = field(default_factory=dict)
    """HubSpot has not made these."""
    unclear: frozenset[str] = frozenset()
    """HubSpot may have made these: look them up by their marker before trying again."""


def is_id(text: str) -> bool:
    """Ask whether this can be the id of a record; one that cannot would spoil its whole batch."""
    return text.isascii() and text.isdigit() and len(text) <= 20


def read_records(
    official: Official, kind: str, ids: Iterable[str], properties: Iterable[str], history: Iterable[str] = (),
    *, archived: bool = False,
) -> BatchAnswer:  # fmt: skip
    """Read records by id, with these properties and the history of those; `archived`: of the recycle bin only."""
    wanted = list(dict.fromkeys(ids))
    names, histories = sorted(set(properties)), sorted(set(history))

    def send(chunk: Sequence[str]) -> Answer:
        body = {"inputs": [{"id": each} for each in chunk], "properties": names, "propertiesWithHistory": histories}
        return official.call(f"{_BATCH_APIS[kind]}.read", body, **({"archived": True} if archived else {}))

    size = MOST_WITH_HISTORY if histories else MOST_INPUTS
    settled = run_batch((each for each in wanted if is_id(each)), Job(send=send, name_of=record_id), size=size)
    strangers = {each for each in wanted if not is_id(each)}
    missing = frozenset({*settled.gone, *settled.silent, *strangers} - settled.found.keys())
    return BatchAnswer(found=settled.found, missing=missing, failed=settled.failed)


def update_records(official: Official, kind: str, changes: Mapping[str, Mapping[str, str]]) -> BatchAnswer:
    """Set properties of records; an empty text clears. What came back is the truth: HubSpot may keep its own value."""

    def send(chunk: Sequence[str]) -> Answer:
        inputs = [{"id": each, "properties": dict(changes[each]), "objectWriteTraceId": each} for each in chunk]
        return official.call(f"{_BATCH_APIS[kind]}.update", {"inputs": inputs})

    job = Job(send=send, name_of=record_id, facets=changes.__getitem__)
    settled = run_batch((each for each in changes if is_id(each)), job)
    silent = dict.fromkeys(settled.silent - settled.found.keys(), unclear("HubSpot's answer does not name this record"))
    strangers = {each for each in changes if not is_id(each)}
    return BatchAnswer(
        found=settled.found, missing=frozenset({*settled.gone, *strangers}), failed={**settled.failed, **silent}
    )


def create_records(
    official: Official, kind: str, records: Iterable[NewRecord], *, before: Callable[[], None] | None = None
) -> CreateAnswer:
    """Make records, each with its marker; what may have been made and what surely was not are kept apart.

    `before` is called ahead of every call to HubSpot; what it raises ends the making.
    """
    wanted = {record.key: record for record in records}

    def send(chunk: Sequence[str]) -> Answer:
        if before is not None:
            before()
        inputs = [_create_input(wanted[key]) for key in chunk]
        answer = official.call(f"{_BATCH_APIS[kind]}.create", {"inputs": inputs})
        return _named_alone(answer, chunk)

    job = Job(send=send, name_of=record_marker, facets=lambda key: wanted[key].properties)
    settled = run_batch(wanted, job)
    created = {key: record_id(record) for key, record in settled.found.items() if key in wanted}
    refused = {key: why for key, why in {**settled.failed, **settled.gone}.items() if key not in created}
    return CreateAnswer(
        created=created,
        failed={key: why for key, why in refused.items() if not why.may_have_happened},
        unclear=frozenset(key for key in wanted if key not in created)
        - {key for key, why in refused.items() if not why.may_have_happened},
    )


def record_id(record: Record) -> str:
    """Give the id of a record as text, whichever way it is written."""
    return str(record.get("id") or "")


def record_marker(record: Record) -> str:
    """Give the marker of a record that carries one."""
    properties = record.get("properties")
    marker = properties.get(MARKER) if isinstance(properties, dict) else None
    return str(marker or record.get("objectWriteTraceId") or "")


def _create_input(record: NewRecord) -> Mapping[str, object]:
    return {
        "objectWriteTraceId": record.key,
        "properties": {**record.properties, MARKER: record.key},
        "associations": [_association(other, type_ids) for other, type_ids in record.associations],
    }


def _association(other: str, type_ids: Iterable[int]) -> Mapping[str, object]:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id} for type_id in type_ids]
    return {"to": {"id": other}, "types": types}


def _named_alone(answer: Answer, chunk: Sequence[str]) -> Answer:
    """Give the only record of an answer to a single input its name, should it have come back without one."""
    body = answer.body
    results = body.get("results") if isinstance(body, dict) else None
    if len(chunk) != 1 or not isinstance(body, dict) or not isinstance(results, list) or len(results) != 1:
        return answer
    only = results[0]
    if not isinstance(only, dict) or record_marker(only):
        return answer
    return replace(answer, body={**body, "results": [{**only, "objectWriteTraceId": chunk[0]}]})
