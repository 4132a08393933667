"""Looking through the contacts of a list: counts, and a warning for each number that deserves one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "list_checks",
        sa.Column("list", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.ForeignKeyConstraint(["list"], ["lists.id"], name=op.f("fk_list_checks_list_lists"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("list", name=op.f("pk_list_checks")),
    )
    op.create_table(
        "list_warnings",
        sa.Column("list", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["list"], ["lists.id"], name=op.f("fk_list_warnings_list_lists"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("list", "contact", "phone", "kind", name=op.f("pk_list_warnings")),
    )


def downgrade() -> None:
    op.drop_table("list_warnings")
    op.drop_table("list_checks")
