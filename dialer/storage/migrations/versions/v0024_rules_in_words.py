"""Why a rule fired, and why it could not be carried out, is on record as a code with arguments, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_COLUMNS = ("why_told", "problem_told")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("action_firings", sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("action_firings", name)
