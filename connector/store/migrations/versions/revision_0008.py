"""What portals of OAuth apps have granted: their tokens, encrypted, and who is refreshing them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of grants."""
    op.create_table(
        "grants",
        sa.Column("portal", sa.BigInteger, nullable=False),
        sa.Column("client_id", sa.String(120), nullable=False, comment="of the OAuth app that was installed"),
        sa.Column("sealed", sa.Text, nullable=False, comment="access and refresh token, encrypted"),
        sa.Column("scopes", sa.JSON, nullable=False, comment="as HubSpot named them; empty: it did not"),
        sa.Column("granted_at", sa.BigInteger, nullable=False, comment="when somebody installed the app"),
        sa.Column("refreshed_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.String(80), nullable=True, comment="why HubSpot refuses to refresh; null: it does not"),
        sa.Column("refused_at", sa.BigInteger, nullable=True),
        sa.Column("refreshing", sa.String(40), nullable=True, comment="the fencing token of the refresh under way"),
        sa.Column("refreshing_until", sa.BigInteger, nullable=True, comment="until when nobody else begins one"),
        sa.PrimaryKeyConstraint("portal"),
    )
