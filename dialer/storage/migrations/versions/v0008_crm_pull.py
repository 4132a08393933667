"""The pull model: how far each CRM has been read, what came from it, what is to be written to it; webhooks in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "crm_sources",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("completed_at", sa.Double(), nullable=True),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_crm_sources")),
    )
    op.create_table(
        "crm_contacts",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("source", "contact", name=op.f("pk_crm_contacts")),
    )
    op.create_index(op.f("ix_crm_contacts_source_round"), "crm_contacts", ["source", "round"])
    op.create_table(
        "crm_updates",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crm_updates")),
    )
    op.create_index(op.f("ix_crm_updates_state_next_at"), "crm_updates", ["state", "next_at"])
    op.create_index(op.f("ix_crm_updates_source_contact_position"), "crm_updates", ["source", "contact", "position"])
    op.add_column("webhook_deliveries", sa.Column("subject", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("webhook_deliveries", sa.Column("position", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_index(
        op.f("ix_webhook_deliveries_url_subject_position"), "webhook_deliveries", ["url", "subject", "position"]
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_webhook_deliveries_url_subject_position"), table_name="webhook_deliveries")
    op.drop_column("webhook_deliveries", "position")
    op.drop_column("webhook_deliveries", "subject")
    op.drop_table("crm_updates")
    op.drop_table("crm_contacts")
    op.drop_table("crm_sources")
