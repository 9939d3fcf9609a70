"""Add what is known of automations that fight over a value."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the bouts of each contact and the fights of each portal."""
    op.add_column(
        "contacts",
        sa.Column("bouts", sa.JSON(), nullable=True, comment="what was written of late, and what is left to a rival"),
    )
    op.create_table(
        "fights",
        sa.Column("portal", sa.BigInteger(), nullable=False),
        sa.Column("property", sa.String(length=120), nullable=False),
        sa.Column(
            "rival", sa.String(length=200), nullable=False, comment="who sets the value back, from its history"
        ),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="when a value was last left to the rival"),
        sa.Column("times", sa.BigInteger(), nullable=False, comment="how often one was"),
        sa.PrimaryKeyConstraint("portal", "property", "rival"),
    )
