"""Events are filed by the period of time in which they came, then by contact; rare ones have indexes of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_RARE = {
    "ix_events_merge": (("portal", "contact"), "type = 'contact.merge'"),
    "ix_events_unfiled": (("portal",), "contact IS NULL AND malformed IS NOT NULL"),
}


def upgrade() -> None:
    """Make the indexes, and drop the one by contact alone."""
    op.drop_index("ix_events_portal_contact", table_name="events")
    period = sa.column("received_at", sa.BigInteger) // sa.literal_column("21600000", sa.BigInteger)
    op.create_index("ix_events_period_portal_contact", "events", [period, "portal", "contact"])
    for name, (columns, condition) in _RARE.items():
        where = sa.text(condition)
        op.create_index(name, "events", list(columns), sqlite_where=where, postgresql_where=where)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ANALYZE events")
