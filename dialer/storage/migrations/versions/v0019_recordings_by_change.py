"""Recordings by the moment of their last change, so that what became of them is counted without reading them all."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_recordings_updated_at", "recordings", ["updated_at"])


def downgrade() -> None:
    op.drop_index("ix_recordings_updated_at", table_name="recordings")
