"""Until when results have been read, and of which loading of Redis: what it forgets is told again from the record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("gate_marks", sa.Column("results_generation", sa.Text()))
    op.add_column("gate_marks", sa.Column("results_read_until", sa.Double()))


def downgrade() -> None:
    op.drop_column("gate_marks", "results_read_until")
    op.drop_column("gate_marks", "results_generation")
