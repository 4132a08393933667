"""What went wrong is on record as a code with arguments, too: whoever reads it does so in their own language."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TABLES = ("lists", "list_checks", "webhook_deliveries", "crm_sources", "crm_updates")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("error_told", sa.Text(), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "error_told")
