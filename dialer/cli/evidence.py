"""`cadencia evidence`: verify the chain of evidence, export parts of it, erase a person from it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.screen import JsonOption, err, fail, out, print_json

if TYPE_CHECKING:
    from dialer.compliance.evidence import Link
    from dialer.storage.evidence import EvidenceStore

app = typer.Typer(help="The chain of evidence.", no_args_is_help=True)

T = TypeVar("T")


class Format(StrEnum):
    """How records are written out."""

    NDJSON = "ndjson"
    CSV = "csv"


@app.command()
def head(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Where the chain ends, as number:hash. Keep it elsewhere: with it, a chain that was cut short is found out."""
    found = _with_store(config, lambda store: store.head())
    if as_json:
        print_json({"number": found.number, "hash": found.hash})
    else:
        out.print(str(found), highlight=False, soft_wrap=True)


@app.command()
def verify(
    since: Annotated[
        str, typer.Option("--from", help="A head that was kept, number:hash: it must be in the chain.")
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify that no record was changed, added, or left out."""
    from dialer.compliance.evidence import GENESIS, Head  # noqa: PLC0415

    start = GENESIS
    if since:
        number, _, digits = since.partition(":")
        if not number.isdigit() or len(digits) != 64 or set(digits) - set("0123456789abcdef"):
            fail("--from must be what `cadencia evidence head` printed: number:hash", code=2)
        start = Head(number=int(number), hash=digits)

    async def checked(store: EvidenceStore) -> tuple[Any, bool]:
        # From the beginning, so that what comes before a kept head is verified too; then whether that head is in it.
        whole = await store.verify()
        return whole, start is GENESIS or await store.has(start)

    found, known = _with_store(config, checked)
    problem = found.problem or ("" if known else f"the head {start.number} that was kept is not in this chain")
    if as_json:
        print_json(
            {"intact": found.intact, "erased": found.erased, "head": str(found.head), "problem": problem or None}
        )
        sys.exit(1 if problem else 0)
    if problem:
        fail(f"{problem}; {found.intact} records before it are intact")
    out.print(
        f"{found.intact} records intact, {found.erased} of them with the person erased; head {found.head}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def export(
    phone: Annotated[str, typer.Option(help="One number, in E.164.")] = "",
    contact: Annotated[str, typer.Option(help="One contact; name the campaign too.")] = "",
    campaign: Annotated[str, typer.Option(help="One campaign.")] = "",
    since: Annotated[datetime | None, typer.Option(help="From this moment on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this moment, UTC.")] = None,
    form: Annotated[Format, typer.Option("--format", help="One JSON document a line, or CSV.")] = Format.NDJSON,
    file: Annotated[Path | None, typer.Option("--out", help="Into a file, instead of standard output.")] = None,
    config: ConfigOption = None,
) -> None:
    """Write out records: of a number, a contact, a campaign, a period."""
    from dialer.core.ids import CampaignId, ContactId, Phone  # noqa: PLC0415
    from dialer.storage.evidence import EvidenceFilter  # noqa: PLC0415

    if contact and not campaign:
        fail("--contact needs --campaign: the same id may be another person's elsewhere", code=2)
    wanted = EvidenceFilter(
        phone=Phone(phone) if phone else None,
        contact=ContactId(contact) if contact else None,
        campaign=CampaignId(campaign) if campaign else None,
        since=None if since is None else since.replace(tzinfo=UTC).timestamp(),
        until=None if until is None else until.replace(tzinfo=UTC).timestamp(),
    )
    with _opened(file) as target:
        write = _writer(form, target)
        count = _with_store(config, lambda store: _write_all(store.find(wanted), write))
    err.print(f"{count} records")


@app.command()
def erase(
    phone: Annotated[str, typer.Argument(help="Number in E.164.")],
    who: Annotated[str, typer.Option(help="By whose order; it goes on record.")],
    config: ConfigOption = None,
) -> None:
    """Erase whoever has a number from the database, beside the nodes; `cadencia erase` does it through one.

    The chain stays valid, and a keyed hash of the number stays: nodes refuse it from some seconds later on.
    """
    from dialer.core.ids import Phone, valid_phone  # noqa: PLC0415
    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.runtime.erasing import NO_KEY  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415
    from dialer.storage.erasure import Erasure  # noqa: PLC0415
    from dialer.storage.opening import open_database  # noqa: PLC0415

    if not valid_phone(phone):
        fail("the number must be in E.164, such as +34600111222", code=2)
    settings = load(config)
    key = settings.compliance.suppression_key
    if not key:
        fail(NO_KEY)

    async def run() -> int:
        database = open_database(settings)
        try:
            erasure = Erasure(database, key)
            erased = await erasure.erase(await erasure.find([Phone(phone)]), at=Clock().now(), who=who)
            return sum(erased.rows.values())
        finally:
            await database.close()

    out.print(f"{asyncio.run(run())} records erased of their person.")


def _with_store(config: Path | None, call: Callable[[EvidenceStore], Coroutine[Any, Any, T]]) -> T:
    from dialer.settings import load  # noqa: PLC0415
    from dialer.storage.evidence import EvidenceStore  # noqa: PLC0415
    from dialer.storage.opening import open_database  # noqa: PLC0415

    async def run() -> T:
        database = open_database(load(config))
        try:
            return await call(EvidenceStore(database))
        finally:
            await database.close()

    return asyncio.run(run())


async def _write_all(links: AsyncIterator[Link], write: Callable[[Link], None]) -> int:
    count = 0
    async for link in links:
        write(link)
        count += 1
    return count


@contextmanager
def _opened(file: Path | None) -> Iterator[IO[str]]:
    if file is None:
        yield sys.stdout
        return
    with file.open("w", encoding="utf-8", newline="") as target:
        yield target


def _writer(form: Format, target: IO[str]) -> Callable[[Link], None]:
    from dialer.compliance.evidence_export import csv_header, csv_line, ndjson_line  # noqa: PLC0415

    if form is Format.NDJSON:
        return lambda link: print(ndjson_line(link), end="", file=target)
    print(csv_header(), end="", file=target)
    return lambda link: print(csv_line(link), end="", file=target)
