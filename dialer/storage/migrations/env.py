"""Run by alembic on the connection that `dialer.storage.schema` hands over; there is no way to run it without one."""

from __future__ import annotations

from alembic import context

from dialer.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # All or nothing, in SQLite too: its DDL is transactional once the driver leaves transactions to us.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
