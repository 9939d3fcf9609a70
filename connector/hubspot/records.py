"""Reading, changing and creating records of any type, in batches.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connector.hubspot.batch import BatchAnswer, Job, Record, run_batch
from connector.hubspot.meaning import Meaning, unclear
from connector.hubspot.official import Official

MARKER = "sk_key"
"""The property on tasks and deals that makes them recognisable after a crash: HubSpot knows no idempotency key."""

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
    associations: Sequence[tuple[str, int]] = ()
    """(id of the other record, HubSpot's association type id in this direction)"""


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
    official: Official, kind: str, ids: Iterable[str], properties: Iterable[str], history: Iterable[str] = ()
) -> BatchAnswer:
    """Read records by id, with these properties and the history of those."""
    wanted = list(dict.fromkeys(ids))
    request: dict[str, object] = {"properties": sorted(set(properties))}
    histories = sorted(set(history))
    # The API wants the key even when nothing is asked for.
    request["propertiesWithHistory"] = histories

    def send(chunk: Sequence[str]) -> object:
        return official.call(f"{_BATCH_APIS[kind]}.read", {**request, "inputs": [{"id": each} for each in chunk]})

    job = Job(send=send, name_of=_id)  # type: ignore[arg-type]
    settled = run_batch((each for each in wanted if is_id(each)), job, size=50 if histories else 100)
    strangers = {each for each in wanted if not is_id(each)}
    missing = frozenset({*settled.gone, *settled.silent, *strangers} - settled.found.keys())
    return BatchAnswer(found=settled.found, missing=missing, failed=settled.failed)
