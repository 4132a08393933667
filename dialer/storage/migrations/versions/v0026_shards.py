"""Which campaigns each Redis of the installation has, where there are several."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shards",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("campaigns", sa.JSON(), nullable=False),
        sa.Column("adopted_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_shards"),
    )


def downgrade() -> None:
    op.drop_table("shards")
