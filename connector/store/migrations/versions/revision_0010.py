"""Requests are stored as they came, in one row, and become events when they are placed.

Events that were not placed yet let their contacts wait here and now, as placing them would have. `events.due` and
`events.placed` go: a receiver of an older release that still runs cannot store events that nobody would place; it
answers 503 then, and HubSpot delivers again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_UNPLACED = "placed = 0 AND contact IS NOT NULL AND due IS NOT NULL"
_NEW_PORTALS = f"""
    SELECT DISTINCT portal FROM events WHERE {_UNPLACED} AND portal NOT IN (SELECT portal FROM portals)
"""  # noqa: S608 - our own text
_WAIT = f"""
    INSERT INTO waiting (portal, contact, due, since, generation, attempts)
    SELECT portal, contact, min(due), min(received_at), 1, 0 FROM events WHERE {_UNPLACED} GROUP BY portal, contact
    ON CONFLICT (portal, contact) DO UPDATE SET
        due = CASE WHEN waiting.dead_at IS NOT NULL OR waiting.due > excluded.due
              THEN excluded.due ELSE waiting.due END,
        since = CASE WHEN waiting.dead_at IS NOT NULL OR waiting.since > excluded.since
                THEN excluded.since ELSE waiting.since END,
        generation = waiting.generation + 1,
        attempts = CASE WHEN waiting.dead_at IS NOT NULL THEN 0 ELSE waiting.attempts END,
        dead_at = NULL
"""  # noqa: S608
_INDEXES = ("portal_contact", "received_at", "unplaced", "privacy_deletion")


def upgrade() -> None:
    """Add the table of deliveries, place what is not placed, and drop what only placing needed."""
    _create_deliveries()
    _know_portals()
    op.execute(_WAIT)
    for name in _INDEXES:
        op.drop_index(f"ix_events_{name}", table_name="events")
    with op.batch_alter_table("events") as events:
        events.drop_column("due")
        events.drop_column("placed")
    op.create_index("ix_events_portal_contact", "events", ["portal", "contact"])
    op.create_index("ix_events_received_at", "events", ["received_at"])
    of_privacy = sa.text("type = 'contact.privacyDeletion'")
    op.create_index(
        "ix_events_privacy_deletion", "events", ["portal", "contact"],
        sqlite_where=of_privacy, postgresql_where=of_privacy,
    )  # fmt: skip


def _know_portals() -> None:
    """Give every portal of whom something waits the row that its turns are counted in."""
    numbers = ("portal", "served_at", "trouble_until", "blocked_until", "calls_today")
    lists = (sa.column(name, sa.JSON) for name in ("calls", "searches"))
    portals = sa.table("portals", *map(sa.column, numbers), *lists, sa.column("day"))
    found = op.get_bind().scalars(sa.text(_NEW_PORTALS)).all()
    rows = [{**dict.fromkeys(numbers, 0), "portal": one, "calls": [], "searches": [], "day": ""} for one in found]
    if rows:
        op.bulk_insert(portals, rows)


def _create_deliveries() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "deliveries",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False, comment="when to look at its contacts"),
        sa.Column("number", sa.Integer, nullable=False, comment="of events in it"),
        sa.Column("apps", sa.JSON, nullable=False, comment="the portals that it speaks for, each with our app's id"),
        sa.Column("nameless", sa.BigInteger, nullable=False, comment="the portal of events that name none; 0: any"),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="as HubSpot sent it"),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        # Rows live for moments: compressing what is thrown away at once costs more than the disk it spares.
        op.execute("ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL")
