"""Dispositions tell who gave them, in which currency, and what their code meant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dispositions", sa.Column("currency", sa.Text(), nullable=True))
    op.add_column("dispositions", sa.Column("by", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("dispositions", sa.Column("category", sa.Text(), nullable=True))
    op.add_column("dispositions", sa.Column("is_sale", sa.Boolean(), nullable=True))
    op.add_column("dispositions", sa.Column("is_contact", sa.Boolean(), nullable=True))


def downgrade() -> None:
    for name in ("is_contact", "is_sale", "category", "by", "currency"):
        op.drop_column("dispositions", name)
