"""By which other a key was replaced; none there is has been."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("replaced_by", sa.Text()))


def downgrade() -> None:
    with op.batch_alter_table("api_keys") as table:
        table.drop_column("replaced_by")
