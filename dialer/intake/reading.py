"""Reading a list in a process of its own, so that parsing has one core and storing the other.

``python -m dialer.intake.reading`` takes one JSON argument (`ReadOrder`) and writes frames to its standard output: four
bytes of length, big-endian, then MessagePack of a `ReadBatch` or, at the end, a `ReadEnd`. A pipe that is full holds it
back; a pipe whose other end is gone ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from dialer.compliance.suppression import Suppressions
from dialer.core.contact import Contact
from dialer.core.ids import CampaignId
from dialer.core.saying import of_error, plain
from dialer.errors import DialerError, InputError
from dialer.intake.phones import PhoneReader
from dialer.intake.rows import KnownNumbers, ListFormat, ListReader, RejectedRow, Row
from dialer.queues.port import PackedOffer
from dialer.queues.wire import OFFER_AT_ONCE, pack
from dialer.storage.contact_rows import ContactColumns, columns_of

#: Rows in one batch.
BATCH: Final = 1_000
_MAX_FRAME: Final = 256 * 1024 * 1024


class ReadOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to read."""

    path: str
    campaign: str
    region: str
    list_id: str | None = None
    form: ListFormat | None = None
    #: File of `dialer.intake.known_numbers`: rows with numbers of others are rejected; empty: they are taken.
    known: str = ""
    #: File with the hashes of numbers that were erased, one a line; their key is in the environment (`ERASED_KEY`).
    erased: str = ""


class ReadBatch(msgspec.Struct, tag=True, kw_only=True):
    """Some rows, in the order of the file; the contacts as they go on from here, to the record and to the hopper."""

    contacts: ContactColumns
    offers: list[PackedOffer]
    rejected: list[RejectedRow]
    #: Bytes of the file that have been read.
    bytes_read: int


class ReadEnd(msgspec.Struct, tag=True, kw_only=True):
    """The file has been read, or (`error`) cannot be."""

    error: str = ""
    #: The same for a catalogue; empty: there is none.
    code: str = ""
    arguments: dict[str, Any] = {}  # msgspec makes a new one for each
    #: How the file was understood.
    encoding: str = ""


#: Not an argument of the reading process, which everybody on the machine could see.
ERASED_KEY: Final = "CADENCIA_COMPLIANCE__SUPPRESSION_KEY"
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(ReadBatch | ReadEnd)


async def read_apart(order: ReadOrder, erased_key: str = "") -> AsyncIterator[ReadBatch]:
    """The batches of a file, read by another process that never is more than some batches ahead.

    `erased_key`: that of the hashes in `order.erased`.

    Raises:
        InputError: the file cannot be used; says why and what to do.
        DialerError: the reading process ended without a word.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dialer.intake.reading",
        msgspec.json.encode(order).decode(),
        env={**os.environ, ERASED_KEY: erased_key},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        limit=1024 * 1024,
    )
    assert process.stdout is not None, "asked for as a pipe"
    try:
        while True:
            try:
                size = int.from_bytes(await process.stdout.readexactly(4))
                frame = _decoder.decode(await process.stdout.readexactly(min(size, _MAX_FRAME)))
            except (asyncio.IncompleteReadError, msgspec.DecodeError) as error:
                code = await process.wait()
                raise DialerError(
                    f"the process that read {order.path} ended early (exit code {code}); load the list again: "
                    "what was stored stays, and nothing is stored twice"
                ) from error
            if isinstance(frame, ReadEnd):
                if frame.error:
                    raise InputError(frame.error, code=frame.code, **frame.arguments)
                return
            yield frame
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        # The transport of a process whose pipe was not read to its end is not closed by itself.
        process._transport.close()  # type: ignore[attr-defined]  # asyncio has no public way


def reading_without(erased: Path, key: str) -> Callable[[ReadOrder], AsyncIterator[ReadBatch]]:
    """`read_apart` that refuses numbers which were erased.

    Args:
        erased: file of their hashes, one a line.
        key: with which they were made.
    """

    def read(order: ReadOrder) -> AsyncIterator[ReadBatch]:
        return read_apart(msgspec.structs.replace(order, erased=str(erased)), key)

    return read


def read_here(order: ReadOrder, out: BinaryIO) -> None:
    """Read the file and write its frames to `out`."""
    try:
        with open(order.path, "rb") as source:
            known = _known(Path(order.known)) if order.known else None
            erased = _erased(Path(order.erased)) if order.erased else None
            phones = PhoneReader(order.region, erased=erased)
            reader = ListReader(source, CampaignId(order.campaign), phones, order.form, known, order.list_id)
            rows = iter(reader)
            while batch := list(islice(rows, BATCH)):
                _write(out, _batch(batch, reader.bytes_read))
            _write(out, ReadEnd(encoding=reader.encoding.verdict))
    except DialerError as error:
        saying = of_error(error)
        _write(out, ReadEnd(error=saying.says, code=saying.code, arguments=plain(saying.arguments)))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        says, system = f"cannot read {order.path}: {error.strerror}", error.strerror or ""
        _write(out, ReadEnd(error=says, code="list_unreadable", arguments={"path": order.path, "problem": system}))


def _erased(path: Path) -> Callable[[str], bool]:
    return Suppressions(path.read_text("ascii").split(), os.environ.get(ERASED_KEY, "")).cover


def _known(path: Path) -> KnownNumbers:
    # numpy takes longer to load than the first rows of a list to read, and hardly any list needs it.
    from dialer.intake.known_numbers import KnownNumbers  # noqa: PLC0415

    return KnownNumbers.load(path)


def _batch(rows: list[Row], bytes_read: int) -> ReadBatch:
    # No contact comes twice in a list: rows and offers need not be looked through for that.
    contacts = [row for row in rows if isinstance(row, Contact)]
    return ReadBatch(
        contacts=columns_of(contacts),
        offers=[pack(contacts[at : at + OFFER_AT_ONCE]) for at in range(0, len(contacts), OFFER_AT_ONCE)],
        rejected=[row for row in rows if isinstance(row, RejectedRow)] if len(contacts) < len(rows) else [],
        bytes_read=bytes_read,
    )


def reasons_of(rejected: list[RejectedRow]) -> Counter[str]:
    """How many rows were rejected for which reason, those not counted of which only a number was left out."""
    return Counter(str(row.reason) for row in rejected if not row.partial)


def _write(out: BinaryIO, frame: ReadBatch | ReadEnd) -> None:
    data = _encoder.encode(frame)
    out.write(len(data).to_bytes(4))
    out.write(data)
    out.flush()


def main() -> None:
    """Entry of the reading process."""
    # Ctrl-C in a terminal reaches the whole group; the importer decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nothing here makes cycles; the collector would only look at the million entries that find duplicates.
    gc.disable()
    with contextlib.suppress(BrokenPipeError):
        read_here(msgspec.json.decode(sys.argv[1], type=ReadOrder), sys.stdout.buffer)
    # Whoever read the pipe is gone: the interpreter must not complain about what it could not flush.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
