"""Merges and privacy deletions: who waits for an heir, and indexes for what is often looked for and rarely there."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column to the contacts, and three small indexes."""
    comment = "1: what is known waits for the contact that it was merged into"
    heir_waits = sa.Column("heir_waits", sa.SmallInteger(), server_default="0", nullable=False, comment=comment)
    op.add_column("contacts", heir_waits)
    gone = sa.text("gone IS NOT NULL")
    op.create_index("ix_contacts_portal_gone", "contacts", ["portal", "gone"], sqlite_where=gone, postgresql_where=gone)
    told = sa.text("type = 'contact.privacyDeletion'")
    op.create_index(
        "ix_events_privacy_deletion", "events", ["portal", "contact"], sqlite_where=told, postgresql_where=told
    )
    op.create_index("ix_receipts_portal_erased_at", "receipts", ["portal", "erased_at"])
