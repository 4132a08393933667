"""`cadencia dnc`: do-not-call entries; they take effect before the command returns."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dialer.cli.client import Api, ApiError, with_api
from dialer.cli.screen import JsonOption, fail, out, print_json, print_rows

app = typer.Typer(help="Do-not-call entries.", no_args_is_help=True)

Phones = Annotated[list[str], typer.Argument(help="Numbers in E.164, such as +34600111222.", show_default=False)]
Listed = Annotated[
    list[str],
    typer.Argument(help='Numbers in E.164, or beginnings of numbers and a *, such as "+34 91*".', show_default=False),
]
Scope = Annotated[str, typer.Option(help="A campaign, account: and the name of an account, or * for all.")]
Expires = Annotated[
    str, typer.Option(help="Until when, as 2030-01-31T12:00:00Z; for good where left out.", show_default=False)
]
By = Annotated[str, typer.Option(help="Who said so; your API key where left out.", show_default=False)]
_BATCH = 1_000
#: No number has fewer digits, national ones included; a header row has hardly any.
_MIN_DIGITS = 4
_SHOWN = 20


def _write(
    api: Api,
    phones: list[str],
    op: str,
    scope: str,
    reason: str,
    *,
    source: str = "cli",
    expires: str = "",
    by: str = "",
) -> int:
    said = {"op": op, "scope": scope, "reason": reason, "source": source}
    said |= {key: value for key, value in (("expires", expires), ("by", by)) if value}
    for start in range(0, len(phones), _BATCH):
        entries = [{"phone": p, **said} for p in phones[start : start + _BATCH]]
        api.post("/dnc", {"entries": entries})
    return len(phones)


@app.command()
@with_api
def add(
    api: Api,
    phones: Listed,
    scope: Scope = "*",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    expires: Expires = "",
    by: By = "",
) -> None:
    """Numbers that must not be called any more, by anybody, a campaign, or about an account."""
    count = _write(api, phones, "add", scope, reason, expires=expires, by=by)
    out.print(f"{count} entered; no call to them starts from now on.")


@app.command()
@with_api
def remove(
    api: Api,
    phones: Listed,
    scope: Scope = "*",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    by: By = "",
) -> None:
    """Numbers that may be called again."""
    out.print(f"{_write(api, phones, 'remove', scope, reason, by=by)} taken off.")


@app.command("list")
@with_api
def list_(
    api: Api,
    scope: Annotated[str, typer.Option(help="Of this list alone.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(help="So many at most.", min=1)] = 100,
    as_json: JsonOption = False,
) -> None:
    """Do-not-call entries: reason, where they come from, by whose word, and until when."""
    found: list[dict[str, Any]] = []
    cursor = None
    while len(found) < limit:
        query = {"limit": min(_BATCH, limit - len(found)), "cursor": cursor, "scope": scope or None}
        page = api.post("/dnc/list", query)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if as_json:
        print_json(found)
    else:
        print_rows(found, ["scope", "phone", "reason", "source", "by", "at", "expires"])


@app.command()
@with_api
def check(
    api: Api,
    phones: Phones,
    as_json: JsonOption = False,
) -> None:
    """Whether numbers are on a do-not-call list, and on which."""
    found = [
        {"phone": phone, **entry}
        for phone in phones
        for entry in api.post("/dnc/check", {"phone": phone})["entries"] or [{"scope": "not listed"}]
    ]
    if as_json:
        print_json(found)
    else:
        print_rows(found, ["phone", "scope", "reason", "source", "by", "expires"])


@app.command("import")
@with_api
def import_(
    api: Api,
    file: Annotated[
        Path, typer.Argument(help="One number a line; in a CSV the first column.", exists=True, dir_okay=False)
    ],
    scope: Scope = "*",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "import",
) -> None:
    """A file of numbers that must not be called any more; lines that are no numbers are named, the others entered."""
    rows, bad = _read(file)
    if not rows and not bad:
        fail(f"{file}: no number in it; it must have one a line, such as +34600111222")
    count = 0
    for start in range(0, len(rows), _BATCH):
        refused = _enter(api, rows[start : start + _BATCH], scope, reason)
        count += len(rows[start : start + _BATCH]) - len(refused)
        bad += refused
    out.print(f"{count:,} entered; no call to them starts from now on.")
    if bad:
        shown = "\n".join(f"  line {line}: {problem}" for line, problem in sorted(bad)[:_SHOWN])
        more = f"\n  and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        fail(f"{file}: {len(bad):,} lines were not entered; correct them and import the file again:\n{shown}{more}")


def _read(file: Path) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(line, number) of a file, and (line, problem) of what can be none."""
    rows: list[tuple[int, str]] = []
    bad: list[tuple[int, str]] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text)
            for row in reader:
                number = row[0].strip() if row else ""
                digits = sum(character.isdigit() for character in number)
                if digits >= _MIN_DIGITS or (digits and number.endswith("*")):
                    rows.append((reader.line_num, number))
                elif number and reader.line_num > 1:
                    # The first line may be a header; any other that is passed over could be somebody who gets a call.
                    bad.append((reader.line_num, f"{number[:40]!r} is not a number"))
    except (UnicodeDecodeError, csv.Error) as error:
        fail(f"{file} is not a text file with one number a line ({error}); save it as CSV in UTF-8")
    return rows, bad


def _enter(api: Api, rows: Sequence[tuple[int, str]], scope: str, reason: str) -> list[tuple[int, str]]:
    """Enter numbers; (line, problem) of those that the node refuses. It takes all of a request, or none."""
    try:
        _write(api, [number for _, number in rows], "add", scope, reason, source="import")
    except ApiError as error:
        if error.status != 422:
            raise
        if len(rows) == 1:
            return [(rows[0][0], str(error))]
        middle = len(rows) // 2
        return [*_enter(api, rows[:middle], scope, reason), *_enter(api, rows[middle:], scope, reason)]
    return []
