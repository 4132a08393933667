"""What an earlier release asks of its tables has the same answers on this one's: nodes of both may use them at once.

Every table of that release is read and written by its own columns alone, as it knew them, once on its own tables and
once on those of this release. Whatever was taken there must be taken here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command, op
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from dialer.storage.database import Database
from dialer.storage.schema import MIGRATIONS, head, line
from tests.every_table import value_of
from tests.releases import RELEASES

#: What became of a statement: the rows that it gave, or the kind of refusal.
Answers = dict[str, Any]


def config_for(connection: Connection) -> Config:
    """Of alembic, for migrations on a connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def tables_of(connection: Connection) -> sa.MetaData:
    """The tables as they are now, which is all that a release of now knows of."""
    found = sa.MetaData()
    found.reflect(connection)
    found.remove(found.tables["alembic_version"])
    return found


def rows(table: sa.Table) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of every form that a release may write: full, with what must be given, alike but for what is their own."""
    own = {column.name for column in table.primary_key}
    own |= {column.name for one in table.constraints if isinstance(one, sa.UniqueConstraint) for column in one.columns}
    own |= {column.name for index in table.indexes if index.unique for column in index.columns}
    yield "full", {column.name: value_of(table, column, 1) for column in table.columns}
    yield "full again", {column.name: value_of(table, column, 2) for column in table.columns}
    must = [column for column in table.columns if not column.nullable and column.server_default is None]
    yield "least", {column.name: value_of(table, column, 3) for column in {*must, *table.primary_key}}
    alike = {column.name: value_of(table, column, 4 if column.name in own else 1) for column in table.columns}
    yield "alike", alike
    # Whatever is referred to by nobody may refer to nobody, unless the tables say so.
    yield "dangling", {**alike, **{name: value_of(table, table.c[name], 5) for name in own}}


def ask(connection: Connection, known: sa.MetaData) -> Answers:
    """Everything that a release may ask of the tables that it knows; nothing is left of it."""
    found: Answers = {}

    def tell(what: str, statement: sa.Executable) -> None:
        try:
            with connection.begin_nested():
                answer = connection.execute(statement)
                found[what] = sorted(map(repr, answer.all())) if answer.returns_rows else answer.rowcount
        except DBAPIError as error:
            found[what] = type(error).__name__

    everything = connection.begin_nested()
    for table in known.sorted_tables:
        for form, row in rows(table):
            tell(f"{table.name}: insert {form}", sa.insert(table).values(row))
        tell(f"{table.name}: select", sa.select(table))
        tell(f"{table.name}: update", sa.update(table).values({column: column for column in table.columns}))
    for table in reversed(known.sorted_tables):
        tell(f"{table.name}: delete", sa.delete(table))
    everything.rollback()
    return found


def other_answers(before: Answers, after: Answers) -> list[str]:
    """What an earlier release is answered otherwise than on its own tables."""
    return [f"{what}: {answer}, now {after[what]}" for what, answer in before.items() if after[what] != answer]


def walk(connection: Connection) -> None:
    """Up from the oldest, and what each release was answered on its own tables asked again on the last."""
    config = config_for(connection)
    asked: dict[str, tuple[sa.MetaData, Answers]] = {}
    for version in RELEASES:
        command.upgrade(config, version)
        known = tables_of(connection)
        asked[version] = known, ask(connection, known)
        assert any(answer == 1 for answer in asked[version][1].values()), "it could write"
    command.upgrade(config, "head")
    for version, (known, answers) in asked.items():
        assert other_answers(answers, ask(connection, known)) == [], version


async def test_every_earlier_release_can_go_on(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        if database.path is not None:
            database.path.parent.mkdir(parents=True, exist_ok=True)
        async with database.write() as connection:
            await connection.run_sync(walk)
    finally:
        await database.close()


def test_what_only_adds_is_of_one_line() -> None:
    assert {line(version) for version in (*RELEASES, head())} == {line(head())}


@pytest.fixture(scope="module")
def upgraded() -> Iterator[Connection]:
    """A database of this release's tables."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            command.upgrade(config_for(connection), "head")
            yield connection
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (lambda: op.drop_column("webhooks", "types"), True),
        (lambda: op.alter_column("webhooks", "url", new_column_name="address"), True),
        (lambda: op.add_column("webhooks", sa.Column("kind", sa.Text(), nullable=False)), True),
        (lambda: op.create_index("uq", "webhooks", ["tenant"], unique=True), True),
        (lambda: op.rename_table("webhooks", "hooks"), True),
        (lambda: op.add_column("webhooks", sa.Column("kind", sa.Text())), False),
        (lambda: op.add_column("webhooks", sa.Column("kind", sa.Text(), nullable=False, server_default="")), False),
        (lambda: op.create_table("hooks", sa.Column("id", sa.Text(), primary_key=True)), False),
    ],
)
def test_a_change_that_takes_something_away_is_noticed(
    upgraded: Connection, change: Callable[[], None], noticed: bool
) -> None:
    known = sa.MetaData()
    known.reflect(upgraded, only=["webhooks", "tenants"])
    before = ask(upgraded, known)
    with upgraded.begin_nested() as changed:
        with Operations.context(MigrationContext.configure(upgraded)):
            change()
        wrong = other_answers(before, ask(upgraded, known))
        changed.rollback()
    assert {one.partition(":")[0] for one in wrong} == ({"webhooks"} if noticed else set())
