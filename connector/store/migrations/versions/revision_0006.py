"""The account's time zone: a worker born after the day's calls are used up knows when HubSpot begins to count anew."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what HubSpot has named of the account."""
    named = "as HubSpot named it"
    op.add_column("portals", sa.Column("time_zone", sa.String(80), nullable=False, server_default="", comment=named))
