"""What each attempt costs by the carrier's rate, and for how long it counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("cost_micros", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("billed_s", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("attempts") as table:
        table.drop_column("billed_s")
        table.drop_column("cost_micros")
