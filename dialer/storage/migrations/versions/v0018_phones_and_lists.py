"""What contacts say of their numbers one by one; filter and priority of lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contacts", sa.Column("phone_terms", sa.JSON(), nullable=True))
    op.add_column("lists", sa.Column("filter", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("lists", sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    op.drop_column("lists", "priority")
    op.drop_column("lists", "filter")
    op.drop_column("contacts", "phone_terms")
