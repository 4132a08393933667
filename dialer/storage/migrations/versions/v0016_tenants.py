"""Tenants, and to whom keys and users belong; all there are belong to the installation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tenants"),
    )
    for table in ("api_keys", "users"):
        op.add_column(table, sa.Column("tenant", sa.Text(), server_default=sa.text("''"), nullable=False))


def downgrade() -> None:
    for name in ("users", "api_keys"):
        with op.batch_alter_table(name) as table:
            table.drop_column("tenant")
    op.drop_table("tenants")
