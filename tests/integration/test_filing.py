"""The events of a contact are found wherever they lie in time, and nobody else's."""

import random
from collections.abc import Iterable

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.events import MERGE
from connector.filing import events_about, merges_about
from connector.moments import DAY
from connector.store.engine import reading, writing
from connector.store.tables import PERIOD, events
from tests.inboxes import PORTAL, START

# Also at the edges of periods, long before and long after all others, and at what a clock that went wrong has said.
_moments = st.builds(lambda period, beyond: max(START // PERIOD + period, 0) * PERIOD + beyond,
                     st.integers(-4, 4) | st.sampled_from([-3_000, 500, 900_000, -START]),
                     st.sampled_from([-1, 0, 1, PERIOD // 2])).map(lambda moment: max(moment, 0))  # fmt: skip
_told = st.lists(
    st.tuples(
        _moments, st.sampled_from([PORTAL, 1]), st.sampled_from(["1", "2", "3", None]),
        st.sampled_from(["contact.propertyChange", MERGE]),
    ),
    max_size=20,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_told, st.sets(st.sampled_from(["1", "2", "9"])), st.just(0) | _moments)
def test_events_are_those_that_reading_them_all_would_find(
    engine: sa.Engine, told: list[tuple[int, int, str | None, str]], contacts: set[str], since: int
) -> None:
    keep(engine, told)
    about = found(engine, events_about(PORTAL, contacts, since=since))
    assert about == sorted(
        place for place, (at, portal, contact, _) in enumerate(told)
        if portal == PORTAL and contact in contacts and at >= since
    )  # fmt: skip
    merges = found(engine, merges_about(PORTAL, contacts))
    assert merges == sorted(
        place for place, (_, portal, contact, kind) in enumerate(told)
        if portal == PORTAL and contact in contacts and kind == MERGE
    )  # fmt: skip


def test_the_events_of_a_year_are_found_among_those_of_others(engine: sa.Engine) -> None:
    chance = random.Random(7)
    told = [
        (START + chance.randrange(365 * DAY), PORTAL, str(chance.randrange(1, 40)), "contact.propertyChange")
        for _ in range(3_000)
    ]
    keep(engine, told)
    expected = [place for place, (_, _, contact, _) in enumerate(told) if contact in {"3", "17"}]
    assert found(engine, events_about(PORTAL, ["3", "17"])) == expected


def keep(engine: sa.Engine, told: Iterable[tuple[int, int, str | None, str]]) -> None:
    """Keep just these events, each numbered by its place."""
    columns = ("received_at", "portal", "contact", "type", "id", "key", "body")
    rows = [dict(zip(columns, (*one, place, str(place), {}), strict=True)) for place, one in enumerate(told)]
    with writing(engine) as connection:
        connection.execute(sa.delete(events))
        if rows:
            connection.execute(sa.insert(events), rows)


def found(engine: sa.Engine, these: sa.ColumnElement[bool]) -> list[int]:
    with reading(engine) as connection:
        return list(connection.scalars(sa.select(events.c.id).where(these).order_by(events.c.id)))
