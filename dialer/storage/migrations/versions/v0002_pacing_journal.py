"""The pacing journal, and what each attempt's campaign allowed between the answer and the agent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pacing_journal",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("dial", sa.Integer(), nullable=False),
        sa.Column("started", sa.Integer(), nullable=False),
        sa.Column("limit", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("expected_abandonment", sa.Double(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("budget_left", sa.Double(), nullable=True),
        sa.Column("idle", sa.Integer(), nullable=False),
        sa.Column("busy", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("answer_rate", sa.Double(), nullable=True),
        sa.Column("mean_talk_s", sa.Double(), nullable=True),
        sa.Column("mean_wrapup_s", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("campaign", "at", "node", name=op.f("pk_pacing_journal")),
    )
    op.create_index(op.f("ix_pacing_journal_at"), "pacing_journal", ["at"], unique=False)
    op.add_column("attempts", sa.Column("connect_within_s", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "connect_within_s")
    op.drop_table("pacing_journal")
