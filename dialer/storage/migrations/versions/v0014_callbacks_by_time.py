"""Callbacks by their time, and whether somebody was reminded of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("promises", sa.Column("agreed", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("promises", sa.Column("reminded_at", sa.Double(), nullable=True))
    op.create_index("ix_promises_at", "promises", ["at"])


def downgrade() -> None:
    op.drop_index("ix_promises_at", table_name="promises")
    with op.batch_alter_table("promises") as table:
        table.drop_column("reminded_at")
        table.drop_column("agreed")
