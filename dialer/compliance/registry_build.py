"""From a source to a version in force: read, sort, write, look through, rename. Bounded memory; an end at any point
leaves what was in force as it was.

A source that lost a part on its way is the danger: everybody in that part would be called. So a source with many bad
lines is refused, and a version that is older or much smaller than that in force is kept aside until somebody says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from dialer.compliance.registry_file import Header, RegistryFile
from dialer.compliance.registry_prefixes import PrefixRules
from dialer.compliance.registry_sort import PIECE, NumberSort
from dialer.compliance.registry_source import BadLine, SourceReader
from dialer.compliance.registry_store import RegistryStore
from dialer.compliance.registry_writer import RegistryWriter
from dialer.errors import DialerError, InputError

#: Bad lines are shown in an error up to here.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """What to build."""

    registry: str
    path: Path
    #: Of the day on which the source was published or fetched; its age counts from here.
    source_date: date
    #: Where it came from, for people; empty: the name of the file.
    source: str = ""
    #: See `SourceReader`.
    column: str = ""
    region: str = ""
    #: Share of bad lines above which the source is refused.
    max_bad_share: float = 0.01
    #: Share of the numbers in force that may be missing in the new version.
    max_shrink: float = 0.1
    #: Put it in force; else it is only kept.
    use: bool = True
    piece: int = PIECE


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildProgress:
    """How far a build is."""

    #: ``reading``, ``writing`` or ``checking``.
    stage: str
    #: Bytes of the source while it is read, then numbers.
    done: int
    total: int
    numbers: int
    bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What became of a source."""

    header: Header
    lines: int
    duplicates: int
    rules: int
    blank: int
    comments: int
    bad: int
    #: The first bad lines, and how many there are for each reason.
    shown: tuple[BadLine, ...]
    problems: Mapping[str, int]
    bytes: int
    in_force: bool
    #: Why it is not, where it was to be.
    held_back: str
    removed: tuple[str, ...]


Tell = Callable[[BuildProgress], None]


def build_registry(
    store: RegistryStore, order: BuildOrder, now: Callable[[], float], tell: Tell = lambda _: None
) -> BuildReport:
    """Build a version and put it in force. Building the same source again gives the same version.

    Args:
        store: where it goes.
        order: what to build.
        now: unix seconds.
        tell: called often, to show progress; an error of it ends the build.

    Raises:
        InputError: the source cannot be used; says where and what to correct. What is in force stays.
        ConfigError: no such region.
        DialerError: the disk is full or not ours to write to.
    """
    today = datetime.fromtimestamp(now(), UTC).date()
    if not date(1990, 1, 1) <= order.source_date <= today + timedelta(days=1):
        raise InputError(
            f"source date {order.source_date} cannot be; give the day on which the source was published or fetched"
        )
    with store.building(order.registry) as folder:
        reader = SourceReader(order.path, column=order.column, region=order.region)
        try:
            return _build(store, order, reader, folder, now(), tell)
        except OSError as error:
            raise DialerError(
                f"registry {order.registry} cannot be built in {store.folder}: {error.strerror or error}; while it is "
                "built it needs about 12 bytes a number there; nothing was changed"
            ) from error
        finally:
            reader.close()


def _build(
    store: RegistryStore, order: BuildOrder, reader: SourceReader, folder: Path, now: float, tell: Tell
) -> BuildReport:
    counts = reader.counts
    sort = NumberSort(folder, order.piece)
    for numbers in reader.numbers():
        sort.add(numbers)
        tell(
            BuildProgress(
                stage="reading",
                done=reader.bytes_read,
                total=reader.bytes_total,
                numbers=counts.numbers,
                bad=counts.bad,
            )
        )
    _refuse_bad(order, reader)
    prefixes = PrefixRules.of(reader.rules)
    path = folder / "built"
    writer = RegistryWriter(path)
    try:
        written, total = 0, sort.upper_bound
        for numbers in sort.merged():
            writer.write(numbers)
            written += len(numbers)
            tell(BuildProgress(stage="writing", done=written, total=total, numbers=counts.numbers, bad=counts.bad))
        header = writer.finish(
            registry=order.registry,
            source=(order.source or order.path.name)[:500],
            source_date=order.source_date,
            built_at=now,
            prefixes=prefixes,
        )
    finally:
        writer.close()
    tell(BuildProgress(stage="checking", done=0, total=header.count, numbers=counts.numbers, bad=counts.bad))
    RegistryFile(path).verify()
    tell(BuildProgress(stage="checking", done=header.count, total=header.count, numbers=counts.numbers, bad=counts.bad))
    size = path.stat().st_size
    store.adopt(path, header)
    held_back = _held_back(store, order, header) if order.use else ""
    in_force = store.current(order.registry) == header.version
    removed: list[str] = []
    if order.use and not held_back:
        store.use(order.registry, header.version, now)
        in_force = True
        removed = store.prune(order.registry)
    return BuildReport(
        header=header,
        lines=counts.lines,
        duplicates=counts.numbers - header.count,
        rules=header.prefixes,
        blank=counts.blank,
        comments=counts.comments,
        bad=counts.bad,
        shown=tuple(counts.shown),
        problems=dict(counts.problems),
        bytes=size,
        in_force=in_force,
        held_back=held_back,
        removed=tuple(removed),
    )


def _refuse_bad(order: BuildOrder, reader: SourceReader) -> None:
    counts = reader.counts
    rows = counts.numbers + counts.rules + counts.bad
    named = "".join(f"\n  line {bad.line}: {bad.shape}: {bad.problem}" for bad in counts.shown[:_NAMED])
    if rows == counts.bad:
        raise InputError(f"{order.path.name} has no number in it; one a line, such as +34600111222, is wanted{named}")
    if counts.bad > order.max_bad_share * rows:
        raise InputError(
            f"{counts.bad:,} of {rows:,} lines of {order.path.name} are no numbers, more than "
            f"{100 * order.max_bad_share:g} %; correct the source, its column or region, or allow more; what is in "
            f"force stays{named}"
        )


def _held_back(store: RegistryStore, order: BuildOrder, header: Header) -> str:
    """Why a new version must not come into force by itself; empty where it may."""
    version = store.current(order.registry)
    if version is None or version == header.version:
        return ""
    try:
        old = store.open(order.registry, version).header
    except InputError:
        return ""  # worse than anything new
    put = f"put it in force with cadencia registry use {order.registry} {header.version} if it is right"
    if header.source_date < old.source_date:
        return f"its source is of {header.source_date}, older than that in force ({old.source_date}); {put}"
    lost = old.count - header.count
    if lost > order.max_shrink * old.count:
        return (
            f"it has {header.count:,} numbers, {lost:,} fewer than that in force, as if a part of the source were "
            f"missing; {put}"
        )
    if old.prefixes and not header.prefixes:
        return f"it has no prefix rules, that in force has {old.prefixes}; {put}"
    return ""
