"""Reconciliation: how far it is with each kind of record, when it last was whole, and who is at it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENTS = {
    "unsettled_since": "ours; search may still show more up to it; null: no",
    "company_watermark": "likewise for companies that the rules read",
    "company_unsettled_since": None,
    "deal_watermark": "likewise for deals",
    "deal_unsettled_since": None,
    "reconciled_at": "when the last whole reconciliation began, our clock",
}


def upgrade() -> None:
    """Let the portals' rows tell of it; each portal begins anew from the watermark that it has, if any."""
    for name, comment in _MOMENTS.items():
        op.add_column("portals", sa.Column(name, sa.BigInteger(), nullable=True, comment=comment))
    fence = "the fencing token of the one under way"
    op.add_column("portals", sa.Column("reconciling", sa.String(length=40), nullable=True, comment=fence))
    until = sa.Column(
        "reconciling_until", sa.BigInteger(), nullable=True, comment="until when nobody else begins one"
    )
    op.add_column("portals", until)
