"""The audit log loses what is older than it is kept for, and nothing else: each such cut is on record, for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_SAYS = "the audit log is append-only"
#: Whatever the settings say, so much is kept: a year.
_LEAST_S = 365 * 86_400
_CUT = "coalesce((SELECT max(before) FROM audit_cuts), -1e300)"


def upgrade() -> None:
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "audit_cuts",
        sa.Column("id", serial, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("before", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_cuts"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _refuse_in_sqlite("audit_cuts_no_update", "UPDATE ON audit_cuts")
        _refuse_in_sqlite("audit_cuts_no_delete", "DELETE ON audit_cuts")
        _refuse_in_sqlite(
            "audit_cuts_old_alone",
            f"INSERT ON audit_cuts WHEN NEW.before > CAST(strftime('%s', 'now') AS REAL) - {_LEAST_S}",
        )
        op.execute("DROP TRIGGER audit_log_no_delete")
        _refuse_in_sqlite("audit_log_no_delete", f"DELETE ON audit_log WHEN OLD.at >= {_CUT}")
        return
    op.execute(
        "CREATE TRIGGER audit_cuts_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_cuts "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()"
    )
    op.execute(
        "CREATE TRIGGER audit_cuts_old_alone BEFORE INSERT ON audit_cuts FOR EACH ROW "
        f"WHEN (NEW.before > extract(epoch FROM now()) - {_LEAST_S}) EXECUTE FUNCTION audit_log_refuse()"
    )
    op.execute(
        "CREATE FUNCTION audit_log_refuse_uncut() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF OLD.at >= {_CUT} THEN RAISE EXCEPTION '{_SAYS}'; END IF; RETURN OLD; END $$"
    )
    op.execute("DROP TRIGGER audit_log_no_change ON audit_log")
    op.execute(
        "CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()"
    )
    op.execute(
        "CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION audit_log_refuse_uncut()"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_log_no_delete")
        _refuse_in_sqlite("audit_log_no_delete", "DELETE ON audit_log")
    else:
        op.execute("DROP TRIGGER audit_log_no_delete ON audit_log")
        op.execute("DROP TRIGGER audit_log_no_change ON audit_log")
        op.execute(
            "CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()"
        )
        op.execute("DROP FUNCTION audit_log_refuse_uncut()")
    op.drop_table("audit_cuts")


def _refuse_in_sqlite(name: str, what: str) -> None:
    op.execute(f"CREATE TRIGGER {name} BEFORE {what} BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END")
