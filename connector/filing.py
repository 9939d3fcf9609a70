"""How the events of a contact are found: by the period of time in which they came, and within it by contact.

One index of all events by contact would have a place of its own for nearly every event that comes, so that letting a
hundred contacts wait wrote to as many pages; and the more is kept, the more pages there are. By periods an event stands
among those that have come in the last hours, however many are kept. The price: whoever asks for a contact's events
looks into each period in which any came, 28 times for the week that they are kept by default.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from connector.events import MERGE
from connector.store.tables import PERIOD, events, period_of

_MERGE: sa.ColumnElement[str] = sa.literal_column(f"'{MERGE}'")  # written out: the condition of an index
_filed = events.alias("filed")


def events_about(portal: int, contacts: Collection[str], *, since: int = 0) -> sa.ColumnElement[bool]:
    """Tell the events about some contacts that have come in since a moment."""
    periods = _periods(since)
    these = (
        period_of(_filed) == periods.c.period, _filed.c.portal == portal, _filed.c.contact.in_(contacts),
        _filed.c.received_at >= since,
    )  # fmt: skip
    # An outer join, which SQLite begins with the periods: without statistics, it would begin with the portal.
    return events.c.id.in_(sa.select(_filed.c.id).select_from(periods.outerjoin(_filed, sa.and_(*these))))


def merges_about(portal: int, contacts: Collection[str]) -> sa.ColumnElement[bool]:
    """Tell the events by which some contacts were merged, or others into them; an index of their own, for few are."""
    return sa.and_(events.c.portal == portal, events.c.contact.in_(contacts), events.c.type == _MERGE)


def _periods(since: int) -> sa.CTE:
    """List the periods in which events have come in, each found from the one before.

    It stands within the statement: of one that begins with WITH SQLite's driver does not say how many rows it changed.
    """
    periods = sa.select(_first_period(since).label("period")).cte("periods", recursive=True, nesting=True)
    later = _first_period((periods.c.period + 1) * PERIOD).correlate(periods)
    return periods.union_all(sa.select(later).where(periods.c.period.is_not(None)))


def _first_period(since: int | sa.ColumnElement[int]) -> sa.ScalarSelect[Any]:
    first = sa.select(period_of(events)).where(events.c.received_at >= since).order_by(events.c.received_at)
    return first.limit(1).scalar_subquery()
