"""`cadencia dnc`: do-not-call entries; they take effect before the command returns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from dialer.cli.client import Api, ApiKeyOption, ApiUrlOption, ConfigOption
from dialer.cli.screen import JsonOption, out, print_json, print_rows

app = typer.Typer(help="Do-not-call entries.", no_args_is_help=True)

Phones = Annotated[list[str], typer.Argument(help="Numbers in E.164, such as +34600111222.", show_default=False)]
Scope = Annotated[str, typer.Option(help="A campaign, or * for all.")]
_BATCH = 1_000


def _write(api: Api, phones: list[str], op: str, scope: str, reason: str) -> int:
    for start in range(0, len(phones), _BATCH):
        entries = [{"phone": p, "op": op, "scope": scope, "reason": reason} for p in phones[start : start + _BATCH]]
        api.post("/dnc", {"entries": entries})
    return len(phones)


@app.command()
def add(
    phones: Phones,
    scope: Scope = "*",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    config: ConfigOption = None,
    api_url: ApiUrlOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Numbers that must not be called any more."""
    count = _write(Api.connect(config, api_url, api_key), phones, "add", scope, reason)
    out.print(f"{count} entered; no call to them starts from now on.")


@app.command()
def remove(
    phones: Phones,
    scope: Scope = "*",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    config: ConfigOption = None,
    api_url: ApiUrlOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Numbers that may be called again."""
    out.print(f"{_write(Api.connect(config, api_url, api_key), phones, 'remove', scope, reason)} taken off.")


@app.command()
def check(
    phones: Phones,
    config: ConfigOption = None,
    api_url: ApiUrlOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether numbers are on a do-not-call list, and on which."""
    api = Api.connect(config, api_url, api_key)
    found = [
        {"phone": phone, **entry}
        for phone in phones
        for entry in api.post("/dnc/check", {"phone": phone})["entries"] or [{"scope": "not listed"}]
    ]
    if as_json:
        print_json(found)
    else:
        print_rows(found, ["phone", "scope", "reason", "expires"])


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="One number a line.", exists=True, dir_okay=False)],
    scope: Scope = "*",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "import",
    config: ConfigOption = None,
    api_url: ApiUrlOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """A file of numbers that must not be called any more."""
    phones = list(_numbers(file))
    count = _write(Api.connect(config, api_url, api_key), phones, "add", scope, reason)
    out.print(f"{count:,} entered; no call to them starts from now on.")


def _numbers(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8-sig") as lines:
        for line in lines:
            number = line.split(",")[0].strip().strip('"')
            if number and (number[0] == "+" or number[0].isdigit()):
                yield number
