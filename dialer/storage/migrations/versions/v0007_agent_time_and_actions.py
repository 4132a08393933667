"""How agents spent their time, for reports; and which rules of the next best action have fired, for whom and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_time",
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.Column("call", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("agent", "began_at", "campaign", name=op.f("pk_agent_time")),
    )
    op.create_index(op.f("ix_agent_time_began_at"), "agent_time", ["began_at"], unique=False)
    op.create_table(
        "action_firings",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("call", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "campaign", "contact", name=op.f("pk_action_firings")),
    )
    op.create_index(op.f("ix_action_firings_campaign_contact"), "action_firings", ["campaign", "contact"], unique=False)
    op.create_index(op.f("ix_action_firings_at"), "action_firings", ["at"], unique=False)
    op.create_index(op.f("ix_action_firings_state"), "action_firings", ["state"], unique=False)


def downgrade() -> None:
    op.drop_table("action_firings")
    op.drop_table("agent_time")
