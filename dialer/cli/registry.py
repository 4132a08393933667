"""`cadencia registry`: do-not-call registries that others keep, as versioned files (docs/registries.md)."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dialer.cli.client import ConfigOption
from dialer.cli.screen import JsonOption, err, fail, out, print_json, print_rows
from dialer.errors import ConfigError, DialerError, InputError, QueueError

if TYPE_CHECKING:
    from dialer.compliance.registry import Registries
    from dialer.compliance.registry_store import RegistryStore
    from dialer.intake.jobs import Job
    from dialer.settings import Settings

app = typer.Typer(help="Do-not-call registries that others keep.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the registry, such as us-national.", show_default=False)]
Version = Annotated[str, typer.Argument(help="As cadencia registry list shows it.", show_default=False)]

_POLL_S = 0.3
_ENDED = frozenset({"finished", "failed", "stopped", "canceled"})


@app.command()
def build(
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(help="Text or CSV, plain or gzip; one number a line.", dir_okay=False, show_default=False),
    ],
    source_date: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"], help="Day on which the source was published or fetched; its age counts from here."
        ),
    ],
    source: Annotated[str, typer.Option(help="Where it came from, for the record; default: the file's name.")] = "",
    column: Annotated[str, typer.Option(help="Title or place (from 1) of the number; 1+2: two that are one.")] = "",
    region: Annotated[
        str, typer.Option(help="Two letters: numbers without plus sign are national ones of this region.")
    ] = "",
    max_bad: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of lines that may be no numbers.")] = 0.01,
    max_shrink: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the numbers in force that may be missing.")
    ] = 0.1,
    use: Annotated[bool, typer.Option("--use/--keep", help="Put it in force, or only keep it.")] = True,
    worker: Annotated[
        bool, typer.Option("--worker", help="Let a worker build it; it must be able to read FILE.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a version from a source and put it in force on all nodes; exit code 1 where it was held back."""
    from dialer.settings import load  # noqa: PLC0415

    settings = load(config, secrets=worker)
    known = next((registry for registry in settings.registries.lists if registry.name == name), None)
    if known is not None:
        column, region = column or known.column, region or known.region
    arguments: dict[str, Any] = {
        "name": name,
        "path": str(file.absolute()),
        "source_date": source_date.date().isoformat(),
        "source": source,
        "column": column,
        "region": region,
        "max_bad_share": max_bad,
        "max_shrink": max_shrink,
        "use": use,
    }
    with _progress(f"building {name}", quiet=as_json) as tell:
        report = _by_worker(settings, arguments, tell) if worker else _here(settings, arguments, tell)
    if as_json:
        print_json(report)
    elif "error" not in report:
        _print_report(report)
    if "error" in report:
        fail(str(report["error"]))
    if report["held_back"]:
        fail(f"version {report['version']} was built and is not in force: {report['held_back']}")


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="Only this one, with all its versions.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """All registries with their versions: age, numbers, which is in force, and whether campaigns may dial by it."""
    from dialer.compliance.registry_report import status_as_json  # noqa: PLC0415
    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415

    settings = load(config, secrets=False)
    store = _store(settings)
    now = Clock().now()
    shown = _registries_of(settings, store).status(now)
    rows = [
        status_as_json(status) | {"versions": _versions(store, status.name, now)}
        for status in shown
        if name is None or status.name == name
    ]
    wanted = {registry.name for registry in settings.registries.lists}
    if name is not None and not rows:
        fail(f"there is no registry {name!r}; build it with cadencia registry build")
    if as_json:
        print_json(rows)
        return
    lines = [line for row in rows for line in _lines(row)]
    if lines:
        print_rows(lines, ["registry", "version", "days", "numbers", "rules", "in_force"])
    for row in rows:
        for note in _notes(row, wanted):
            out.print(f"{row['registry']}: {note}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def check(
    phones: Annotated[list[str], typer.Argument(help="Numbers in E.164, such as +34600111222.", show_default=False)],
    campaign: Annotated[str, typer.Option(help="Ask what this campaign must ask; *: every registry.")] = "*",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether numbers are listed, by which version of which registry; exit code 1 where one could not be asked."""
    from dialer.compliance.registry import Clear, Listed  # noqa: PLC0415
    from dialer.compliance.registry_report import verdict_as_json  # noqa: PLC0415
    from dialer.core.ids import CampaignId, Phone, valid_phone  # noqa: PLC0415
    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415

    wrong = [phone for phone in phones if not valid_phone(phone)]
    if wrong:
        fail(f"{wrong[0]!r} is not a number in E.164, such as +34600111222", code=2)
    settings = load(config, secrets=False)
    registries = _registries_of(settings, _store(settings), every=campaign == "*")
    if not registries.asked_by(CampaignId(campaign)):
        fail("there is no registry to ask; build one with cadencia registry build")
    now = Clock().now()
    verdicts = [registries.check(Phone(phone), CampaignId(campaign), now) for phone in phones]
    found = [{"phone": phone, **verdict_as_json(verdict)} for phone, verdict in zip(phones, verdicts, strict=True)]
    if as_json:
        print_json(found)
    else:
        print_rows([row | {"why": _why(row)} for row in found], ["phone", "verdict", "registry", "version", "why"])
    if not all(isinstance(verdict, Clear | Listed) for verdict in verdicts):
        sys.exit(1)


@app.command()
def use(name: Name, version: Version, config: ConfigOption = None) -> None:
    """Put a version in force that is there already: an older one, or one that was held back."""
    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415

    settings = load(config, secrets=False)
    _store(settings).use(name, version, Clock().now())
    out.print(f"Version {version} of {name} is in force; nodes take it up within {settings.registries.poll_s:g} s.")


@app.command()
def remove(name: Name, version: Version, config: ConfigOption = None) -> None:
    """Delete a version that is not in force; nodes that still have it open go on with it."""
    from dialer.settings import load  # noqa: PLC0415

    _store(load(config, secrets=False)).remove(name, version)
    out.print(f"Version {version} of {name} is gone.")


def _store(settings: Settings) -> RegistryStore:
    from dialer.compliance.registry_store import RegistryStore  # noqa: PLC0415

    return RegistryStore(settings.registries_folder, settings.registries.keep)


def _registries_of(settings: Settings, store: RegistryStore, *, every: bool = True) -> Registries:
    """What a node would have in force; `every`: also registries that no campaign must ask."""
    from dialer.compliance.registry_watch import look  # noqa: PLC0415
    from dialer.settings import Registry  # noqa: PLC0415

    listed = list(settings.registries.lists)
    if every:
        named = {registry.name for registry in listed}
        # To look something up by hand, everything there is counts.
        listed = [Registry(name=registry.name, max_age_days=registry.max_age_days) for registry in listed]
        listed += [Registry(name=name) for name in store.names() if name not in named]
    return look(store, listed)


def _here(settings: Settings, arguments: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from datetime import date  # noqa: PLC0415

    from dialer.compliance.registry_build import BuildOrder, build_registry  # noqa: PLC0415
    from dialer.compliance.registry_report import progress_as_json, report_as_json  # noqa: PLC0415
    from dialer.runtime.clock import Clock  # noqa: PLC0415

    given = dict(arguments)
    order = BuildOrder(
        registry=given.pop("name"),
        path=Path(given.pop("path")),
        source_date=date.fromisoformat(given.pop("source_date")),
        **given,
    )
    try:
        return report_as_json(
            build_registry(_store(settings), order, Clock().now, lambda progress: tell(progress_as_json(progress)))
        )
    except (InputError, ConfigError) as error:
        return {"error": str(error)}


def _by_worker(settings: Settings, arguments: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    import redis  # noqa: PLC0415
    from rq.job import Job as RqJob  # noqa: PLC0415
    from rq.serializers import JSONSerializer  # noqa: PLC0415

    from dialer.intake import jobs  # noqa: PLC0415
    from dialer.queues.connection import connect_blocking  # noqa: PLC0415

    if settings.redis.url == "embedded":
        raise ConfigError(
            'redis.url is "embedded": there is no worker that others can reach; leave --worker out, or set redis.url'
        )
    job: Job = jobs.build_registry(job_id=f"registry-{arguments['name']}-{secrets.token_hex(4)}", **arguments)
    try:
        client = connect_blocking(settings.redis.url, protocol=2, socket_timeout=5.0, socket_connect_timeout=3.0)
        try:
            jobs.enqueue(client, [job])
            watched = RqJob.fetch(job.id, connection=client, serializer=JSONSerializer)
            while watched.get_status(refresh=True) not in _ENDED:
                tell(watched.get_meta(refresh=True).get("progress", {}))
                time.sleep(_POLL_S)
            result = watched.latest_result()
        finally:
            client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        raise QueueError(f"Redis is out of reach: start it, or correct redis.url ({error})") from error
    if result is None or not isinstance(result.return_value, dict):
        raise DialerError(f"job {job.id} failed on its worker; its log says why. What was in force stays")
    return result.return_value


@contextmanager
def _progress(title: str, *, quiet: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=quiet) as progress:
        task = progress.add_task(title, total=None, counts="")

        def tell(told: dict[str, Any]) -> None:
            if told:
                counts = f"{told['stage']}, {told['numbers']:,} numbers, {told['bad']:,} bad lines"
                progress.update(task, completed=told["done"], total=told["total"] or None, counts=counts)

        yield tell


def _print_report(report: dict[str, Any]) -> None:
    out.print(
        f"{report['registry']} {report['version']}: {report['count']:,} numbers and {report['rules']:,} prefix rules "
        f"of {report['lines']:,} lines ({report['duplicates']:,} repeated, {report['bad']:,} bad, "
        f"{report['blank']:,} blank, {report['comments']:,} comments), {report['bytes'] / 1e6:,.1f} MB.",
        highlight=False,
        soft_wrap=True,
    )
    for bad in report["bad_lines"]:
        text = f"  line {bad['line']}: {bad['shape']}: {bad['problem']}"
        out.print(text, markup=False, highlight=False, soft_wrap=True)
    if report["in_force"]:
        out.print("It is in force.")


def _why(row: Mapping[str, Any]) -> str:
    if "age_days" in row:
        return f"{int(row['age_days'])} days old"
    return " ".join(text for text in (row.get("rule"), row.get("reason"), row.get("problem")) if text)


def _versions(store: RegistryStore, name: str, now: float) -> list[dict[str, Any]]:
    found = []
    for stored in store.versions(name):
        header = stored.header
        found.append(
            {
                "version": stored.version,
                "in_force": stored.in_force,
                "bytes": stored.bytes,
                "problem": stored.problem,
                "source": None if header is None else header.source,
                "source_date": None if header is None else header.source_date.isoformat(),
                "built_at": None if header is None else header.built_at,
                "count": None if header is None else header.count,
                "rules": None if header is None else header.prefixes,
            }
        )
    return found


def _lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row of the table for each version."""
    return [
        {
            "registry": row["registry"],
            "version": version["version"],
            "days": f"{row['age_days']:.1f}" if version["in_force"] and row["age_days"] is not None else None,
            "numbers": None if version["count"] is None else f"{version['count']:,}",
            "rules": version["rules"],
            "in_force": "yes" if version["in_force"] else "",
        }
        for version in row["versions"]
    ]


def _notes(row: dict[str, Any], wanted: set[str]) -> list[str]:
    """What somebody must know of a registry besides its versions."""
    notes = [row["refuses"], "" if row["problem"] in row["refuses"] else row["problem"]]
    notes += [version["problem"] for version in row["versions"] if version["problem"] not in row["problem"]]
    if row["registry"] not in wanted:
        notes.append("no campaign must ask it; name it in [[registries.lists]] of the settings")
    return [note for note in notes if note]
