"""Replay and shadow: what each version of a pack reads, and what a candidate pack decides beside the live one."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the versions of packs, and what a candidate says of contacts and in records."""
    op.create_table(
        "packs",
        sa.Column(
            "hash", sa.String(length=64), nullable=False, comment="of a version of a pack by which records were made"
        ),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("reads", sa.JSON(), nullable=False, comment="the properties that it reads of each object"),
        sa.Column("first_at", sa.BigInteger(), nullable=False, comment="when a contact was first decided by it"),
        sa.PrimaryKeyConstraint("hash"),
    )
    beside = "what a candidate pack has decided beside the live one"
    op.add_column("contacts", sa.Column("shadow", sa.JSON(none_as_null=True), nullable=True, comment=beside))
    otherwise = "what a candidate pack decided otherwise"
    op.add_column("records", sa.Column("shadow", sa.JSON(none_as_null=True), nullable=True, comment=otherwise))
    differs = sa.text("shadow IS NOT NULL")
    op.create_index(
        "ix_records_shadow", "records", ["portal", "id"], sqlite_where=differs, postgresql_where=differs
    )
