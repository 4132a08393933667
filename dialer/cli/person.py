"""`cadencia person export`: what is held about somebody, as a file for them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import fail, out

app = typer.Typer(help="What is held about a person.", no_args_is_help=True)


@app.callback()
def person() -> None:
    """What is held about a person."""


@app.command("export")
@with_api
def export(
    api: Api,
    phones: Annotated[list[str], typer.Argument(help="Their numbers, in E.164.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; one that exists is left alone.")],
    all_numbers: Annotated[
        bool, typer.Option("--all-numbers", help="Also the other numbers of the contacts that have these.")
    ] = False,
) -> None:
    """Write everything that is on record of whoever has these numbers into one JSON file.

    Attempts, evidence, recordings, consents, callbacks, codes with their notes, removals, do-not-call entries, updates
    of CRMs. Names of agents are left out, and so is what is about other people as well. The sound of recordings is not
    in it: `cadencia recording` fetches it by the ids that are.
    """
    found = api.post("/persons/export", {"numbers": phones, "all_numbers": all_numbers})
    try:
        # For its owner alone: it is all about one person.
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        fail(f"{output} exists already; name another file")
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(found, file, ensure_ascii=False, indent=2)
        file.write("\n")
    rows = ", ".join(f"{len(rows):,} in {table}" for table, rows in found["tables"].items()) or "nothing is on record"
    out.print(f"{output}: {rows}.", highlight=False, soft_wrap=True)
    if found["other_numbers"]:
        out.print(
            f"The contacts have {len(found['other_numbers'])} other numbers: --all-numbers goes by them, too.",
            highlight=False,
            soft_wrap=True,
        )
