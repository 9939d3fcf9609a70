"""What the pages look at: a book of days, and one index by which contacts are counted by stage and by rule."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of days and the index."""
    op.create_table(
        "days",
        sa.Column("portal", sa.BigInteger, nullable=False),
        sa.Column("begins", sa.BigInteger, nullable=False, comment="midnight where the portal is"),
        sa.Column("ends", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False, comment="counted up to here"),
        sa.Column("turns", sa.JSON, nullable=False, comment="decisions by where from, where to and which rule"),
        sa.Column("gone", sa.JSON, nullable=False, comment="where those stood who were deleted or merged"),
        sa.Column("stays", sa.JSON, nullable=False, comment="how long stages had lasted for those who left them"),
        sa.PrimaryKeyConstraint("portal", "begins", "ends"),
    )
    op.drop_index("ix_contacts_portal_stage_status", table_name="contacts")
    op.create_index(
        "ix_contacts_portal_stage_status_rule", "contacts", ["portal", "stage", "status", "rule", "pack_hash"]
    )
