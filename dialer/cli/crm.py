"""`cadencia crm`: CRMs that are asked for their pending calls: trying a mapping, and how the exchange fares."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialer.cli.client import Api, ConfigOption, with_api
from dialer.cli.screen import JsonOption, fail, out, print_json, print_rows
from dialer.errors import ConfigError

if TYPE_CHECKING:
    from dialer.crm.mapping import CrmMapping
    from dialer.settings import CrmPull, Settings

app = typer.Typer(help="CRMs that are asked for their pending calls.", no_args_is_help=True)


@app.command("test")
def try_mapping(
    mapping: Annotated[
        str, typer.Argument(help="Name of a [[crm.pull]], or a mapping file.", show_default=False, metavar="MAPPING")
    ],
    sample: Annotated[
        Path | None,
        typer.Option(help="An answer of the CRM, saved in a file, instead of asking it.", exists=True, dir_okay=False),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=100, help="Calls that are shown.")] = 5,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Dry run: the first page of pending calls as contacts, numbers masked, and what would be written of their results.

    Asks the CRM once, and changes nothing, neither there nor here. Exit code 1 where its answer cannot be used.
    """
    from dialer.crm.trial import trial  # noqa: PLC0415
    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415

    settings = load(config)
    pull, made = _chosen(settings, mapping, offline=sample is not None)
    answer = None if sample is None else sample.read_bytes()
    shown = asyncio.run(trial(settings, pull, made, answer, rows, Clock().now))
    if as_json:
        print_json(shown)
        return
    out.print(f"{shown['title']}: {shown['rows']} calls on the first page, {shown['more']}", markup=False)
    for call in shown["calls"]:
        out.print_json(data=call)
    for problem in shown["problems"]:
        out.print(f"  not taken: {problem}", markup=False, style="yellow", soft_wrap=True)
    for update in shown["updates"]:
        out.print(f"\nwould be written of {update['of']}:", markup=False)
        if "skipped" in update:
            out.print(f"  nothing: {update['skipped']}", markup=False)
            continue
        out.print(f"  {update['method']} {update['target']}", markup=False, soft_wrap=True)
        for name, value in update["headers"].items():
            out.print(f"  {name}: {value}", markup=False, soft_wrap=True)
        out.print(update["body"], markup=False, soft_wrap=True)


@app.command()
@with_api
def status(api: Api, as_json: JsonOption = False) -> None:
    """How the exchange with each CRM fares."""
    items: list[dict[str, Any]] = api.get("/crms")["items"]
    if as_json:
        print_json(items)
        return
    columns = ["name", "completed", "next_turn", "failures", "updates_waiting", "updates_failed", "last_error"]
    print_rows(items, columns)


def _chosen(settings: Settings, name: str, *, offline: bool) -> tuple[CrmPull, CrmMapping]:
    """The `[[crm.pull]]` that is meant, by its name or its mapping, with its mapping."""
    from dialer.crm.mapping import load_mapping, mapping_path  # noqa: PLC0415
    from dialer.settings import CrmPull  # noqa: PLC0415

    def path_of(pull: CrmPull) -> Path:
        return mapping_path(settings.crm, pull.mapping)

    named = [pull for pull in settings.crm.pull if pull.name == name]
    if not named:
        path = Path(name) if Path(name).exists() else mapping_path(settings.crm, name)
        named = [pull for pull in settings.crm.pull if path_of(pull).absolute() == path.absolute()]
        if not named and offline and path.exists():
            return CrmPull(
                name="sample", campaign="campaign", mapping=str(path), url="http://crm.example"
            ), load_mapping(path)
    if len(named) > 1:
        raise ConfigError(f"{len(named)} [[crm.pull]] have this mapping; say which by its name")
    if not named:
        known = ", ".join(pull.name for pull in settings.crm.pull) or "none"
        fail(
            f"there is no [[crm.pull]] {name!r} in the settings, nor one with such a mapping (there are: {known}); "
            "a mapping alone can be tried on a saved answer: --sample FILE"
        )
    return named[0], load_mapping(path_of(named[0]))
