"""A store filled as years of work would have left it: many contacts, their records, the events that are still kept.

Rows are made by the database itself, a few hundred thousand in a transaction, so that ten million take minutes. A
contact's records lie as far apart as they would: every contact has had one before any has the next.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from connector.moments import DAY, WEEK
from connector.store.engine import is_sqlite, writing
from connector.store.months import make_months, parts
from connector.store.tables import contacts, effects, events, looks, records

PORTAL = 4242
FIRST_ID = 97_000_000_000
YEARS = 730 * DAY
_AT_ONCE = 250_000
_STEP = 7_919  # prime, so that contacts come in an order of their own and each once in a round


@dataclass(frozen=True, kw_only=True, slots=True)
class Amounts:
    """How much is in a store."""

    contacts: int
    records: int
    events: int

    @classmethod
    def for_contacts(cls, number: int) -> "Amounts":
        """Give each contact ten records and two events that are still kept, as in a store of a million."""
        return cls(contacts=number, records=10 * number, events=2 * number)


Progress = Callable[[str, int, int], None]


def fill(engine: sa.Engine, amounts: Amounts, *, now: int, progress: Progress) -> None:
    """Fill an empty store; indexes by chance order are made afterwards, which is quicker."""
    if not is_sqlite(engine):
        _lay_out(engine, now)
    text = _texts()
    made: dict[sa.Table, tuple[int, Mapping[str, str]]] = {
        contacts: (amounts.contacts, _contact(amounts, now, text)),
        looks: (amounts.contacts, _look(amounts, now)),
        effects: (amounts.contacts, _effect(now, text)),
        events: (amounts.events, _event(amounts, now, text)),
        records: (amounts.records, _record(amounts, now, text)),
    }
    for table, (number, values) in made.items():
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        with engine.begin() as connection:
            for index in indexes:
                index.drop(connection)
        for first in range(0, number, _AT_ONCE):
            last = min(first + _AT_ONCE, number)
            _insert(engine, table, values, first=first, last=last)
            progress(table.name, last, number)
        for index in indexes:
            with engine.begin() as connection:
                index.create(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not is_sqlite(engine):
            connection.exec_driver_sql("VACUUM (ANALYZE)")  # as its own vacuum would have, by then
    if is_sqlite(engine):
        with engine.connect() as connection:
            connection.exec_driver_sql("ROLLBACK")  # the checkpoint wants no transaction around it
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _lay_out(engine: sa.Engine, now: int) -> None:
    """Have a table for each month of the years, as there would be by then."""
    with writing(engine) as connection:
        for part in parts(connection):
            if part.until is not None:
                connection.exec_driver_sql(f"DROP TABLE {part.name}")
        make_months(connection, now - YEARS, number=YEARS // (30 * DAY) + 3)


def contact_id(number: int) -> str:
    """Give the id of a contact by its number."""
    return str(FIRST_ID + number)


def size_of(engine: sa.Engine) -> int:
    """Give the bytes that the database takes on the disk."""
    with engine.connect() as connection:
        if is_sqlite(engine):
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            return int(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def _insert(engine: sa.Engine, table: sa.Table, values: Mapping[str, str], *, first: int, last: int) -> None:
    columns = ", ".join(values)
    with engine.begin() as connection:
        if is_sqlite(engine):
            counted = f"SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {last}"  # noqa: S608
            given = ", ".join(values.values())
            filling = f"INSERT INTO {table.name} ({columns}) SELECT {given} FROM numbers"  # noqa: S608 - all of it is ours
            connection.exec_driver_sql(f"WITH RECURSIVE numbers(n) AS ({counted}) {filling}")
            return
        typed = ", ".join(
            f"CAST({value} AS JSON)" if isinstance(table.c[name].type, sa.JSON) else value
            for name, value in values.items()
        )
        numbers = f"generate_series({first}::bigint, {last - 1}::bigint) AS numbers(n)"
        text = f"INSERT INTO {table.name} ({columns}) SELECT {typed} FROM {numbers}"  # noqa: S608 - all of it is ours
        connection.exec_driver_sql(text.replace("%", "%%"))  # the driver would look for parameters


def _contact_of(number: str, amounts: Amounts) -> str:
    return f"CAST({FIRST_ID} + ({number} * {_STEP}) % {amounts.contacts} AS TEXT)"


def _contact(amounts: Amounts, now: int, text: Mapping[str, str]) -> Mapping[str, str]:
    """Let each contact's row say what its last record does."""
    back = pow(_STEP, -1, amounts.contacts)
    last = f"({amounts.records - amounts.contacts} + (n * {back}) % {amounts.contacts})"
    at = f"({now - YEARS} + {last} * {YEARS // amounts.records})"
    looked_at = _looked_at(f"((n * {back}) % {amounts.contacts})", amounts, now)
    return {
        "portal": str(PORTAL), "contact": f"CAST({FIRST_ID} + n AS TEXT)", "stage": _one_of("lead", "prospect"),
        "status": "'warm'", "since": at, "rule": "'engaged'", "because": text["because"], "marks": text["marks"],
        "pack_hash": text["hash"], "fingerprint": text["hash"], "snapshot": text["read"], "unwritten": "'{}'",
        "decided_at": at, "next_look_at": looked_at, "heir_waits": "0", "stage_seen": "'lead'",
        "bouts": "'{}'",
    }  # fmt: skip


def _look(amounts: Amounts, now: int) -> Mapping[str, str]:
    """Give every contact its next look, in the order of time, none of them due within days."""
    return {"portal": str(PORTAL), "due": _looked_at("n", amounts, now), "contact": _contact_of("n", amounts)}


def _looked_at(place: str, amounts: Amounts, now: int) -> str:
    return f"{now + 3 * DAY} + {place} * {80 * DAY // amounts.contacts}"


def _effect(now: int, text: Mapping[str, str]) -> Mapping[str, str]:
    return {
        "portal": str(PORTAL), "contact": f"CAST({FIRST_ID} + n AS TEXT)",
        "key": f"'{PORTAL}:' || ({FIRST_ID} + n) || ':seek-meeting:' || ({now - YEARS} + n)", "kind": "'task'",
        "rule": _one_of("seek-meeting", "ask-missing-answer"), "state": "'confirmed'", "body": text["body"],
        "hubspot_id": "CAST(500000000 + n AS TEXT)", "intended_at": str(now - WEEK), "settled_at": str(now - WEEK),
    }  # fmt: skip


def _event(amounts: Amounts, now: int, text: Mapping[str, str]) -> Mapping[str, str]:
    """Let events have come in evenly over the week for which they are kept; all are judged."""
    at = f"({now - WEEK} + n * {(WEEK - DAY // 24) // amounts.events})"
    body = text["event"].replace("97000000000", f"' || ({FIRST_ID} + (n * {_STEP}) % {amounts.contacts}) || '")
    return {
        "portal": str(PORTAL), "key": f"{at} || '-0123456789abcdef' || n", "type": "'contact.propertyChange'",
        "contact": _contact_of("n", amounts), "occurred_at": at, "received_at": at, "body": body,
    }  # fmt: skip


def _record(amounts: Amounts, now: int, text: Mapping[str, str]) -> Mapping[str, str]:
    at = f"({now - YEARS} + n * {YEARS // amounts.records})"
    return {
        "portal": str(PORTAL), "contact": _contact_of("n", amounts), "claim": "'0123456789abcdef' || (n / 100)",
        "decided_at": at, "pack": "'default'", "pack_hash": text["hash"], "stage_before": "'lead'",
        "stage": _one_of("lead", "prospect"), "status": "'warm'", "rule": "'engaged'", "fingerprint": text["hash"],
        "read": text["read"], "decided": text["decided"], "planned": text["planned"], "done": text["done"],
    }  # fmt: skip


def _one_of(even: str, odd: str) -> str:
    return f"CASE n % 2 WHEN 0 THEN '{even}' ELSE '{odd}' END"


def _texts() -> dict[str, str]:
    """Give values of the usual length, as they stand in SQL."""
    properties = {
        "email": "somebody@example.com", "firstname": "Some", "lastname": "Body", "jobtitle": "head of something",
        "lifecyclestage": "lead", "sk_source": "inbound", "sk_target_market": "yes", "sk_need": "definite",
        "sk_engagement": "phone_call;email_reply", "sk_intent": "interested", "sk_authority": "yes",
    }  # fmt: skip
    facts = dict.fromkeys(("qualified", "has_need", "has_authority", "engaged", "replied", "customer", "closed"), "no")
    because = "They have shown interest and it is not yet known whether they fit."
    before = {"stage": "lead", "status": "warm", "since": 1_780_000_000_000, "marks": {}}
    values: dict[str, Any] = {
        "read": {"properties": properties, "company": None, "deals": None, "before": before},
        "decided": {
            "because": because, "facts": facts, "set": {}, "tasks": [], "actions": [],
            "next_look_at": 1_800_000_000_000,
        },
        "planned": {"properties": {"sk_reason": ["…", because]}, "effects": [], "held": None},
        "done": {"written": ["sk_reason"], "effects": {}, "held": None, "error": None},
        "marks": {"seek-meeting": {"count": 1, "last": 1_780_000_000_000}},
        "body": {"title": "Seek a meeting with Some Body", "type": "todo", "due": 1_780_000_000_000},
        "event": {
            "eventId": 3816279480, "subscriptionId": 7562680, "portalId": PORTAL, "appId": 50780459,
            "occurredAt": 1_790_000_000_000, "subscriptionType": "contact.propertyChange", "attemptNumber": 0,
            "objectId": 97000000000, "propertyName": "sk_intent", "propertyValue": "interested",
            "changeSource": "CRM_UI", "sourceId": "userId:98499705",
        },
    }  # fmt: skip
    # A colon would begin a parameter, a percent sign too; neither stands in a driver's own statement.
    texts = {name: f"'{orjson.dumps(value).decode()}'" for name, value in values.items()}
    return {**texts, "because": f"'{because}'", "hash": f"'{'0123456789abcdef' * 4}'"}
