"""Next looks leave the waiting line: they stand in a table in the order of time, and of each contact one holds."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Waits for nothing but its next look: nothing has come, nobody holds it, nothing went wrong. What was deleted or merged
# meanwhile, or was never judged, stays where it is and is looked at from there.
_NOTHING_ELSE = (
    "waiting.claim IS NULL AND waiting.dead_at IS NULL AND waiting.attempts = 0 AND waiting.last_error IS NULL "
    "AND waiting.since = waiting.due"
)
_THEIRS = "waiting.portal = contacts.portal AND waiting.contact = contacts.contact"
_LOOK = "looks.portal = waiting.portal AND looks.due = waiting.due AND looks.contact = waiting.contact"
_STORAGE = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02"
_SAYS = {
    "waiting.due": "not looked at before; also retries",
    "contacts.next_look_at": "by itself; null: when an event comes",
}


def upgrade() -> None:
    """Make the table and move what is nothing but a next look."""
    op.create_table(
        "looks",
        sa.Column("portal", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False, comment="when the contact begins to wait"),
        sa.Column("contact", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("portal", "due", "contact"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO looks (portal, due, contact) SELECT waiting.portal, waiting.due, waiting.contact "  # noqa: S608
        f"FROM waiting JOIN contacts ON {_THEIRS} WHERE {_NOTHING_ELSE} AND contacts.gone IS NULL "
        "ORDER BY waiting.portal, waiting.due, waiting.contact"
    )
    due = f"(SELECT waiting.due FROM waiting WHERE {_THEIRS})"  # noqa: S608 - all of it is ours, here and below
    other = f"{_THEIRS} AND {_NOTHING_ELSE} AND waiting.due <> coalesce(contacts.next_look_at, -1)"
    op.execute(
        f"UPDATE contacts SET next_look_at = {due} "  # noqa: S608
        f"WHERE gone IS NULL AND EXISTS (SELECT 1 FROM waiting WHERE {other})"
    )
    # The column may tell of a look that was never to be: of those who do not wait at all.
    op.execute(
        "UPDATE contacts SET next_look_at = NULL WHERE next_look_at IS NOT NULL "  # noqa: S608
        f"AND NOT EXISTS (SELECT 1 FROM waiting WHERE {_THEIRS})"
    )
    op.execute(f"DELETE FROM waiting WHERE {_NOTHING_ELSE} AND EXISTS (SELECT 1 FROM looks WHERE {_LOOK})")  # noqa: S608
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE looks SET ({_STORAGE})")
        for column, says in _SAYS.items():
            op.execute(f"COMMENT ON COLUMN {column} IS '{says}'")
        op.execute("ANALYZE looks, waiting, contacts")
