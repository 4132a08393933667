"""`cadencia doctor`: what is wrong with Redis, the database or Asterisk, in words, and how to mend it."""

from __future__ import annotations

import asyncio
import sys

from dialer.cli.client import ConfigOption
from dialer.cli.screen import JsonOption, out, print_json
from dialer.settings import load


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look at everything that a node needs; exit code 1 where something is wrong."""
    from rich.markup import escape  # noqa: PLC0415

    from dialer.runtime.examination import examine  # noqa: PLC0415

    findings = asyncio.run(examine(load(config)))
    if as_json:
        print_json([{"part": f.part, "ok": f.ok, "says": f.says, "mend": f.mend} for f in findings])
    else:
        for found in findings:
            mark = "[green]ok  [/]" if found.ok else "[bold red]bad [/]"
            out.print(f"{mark} [bold]{found.part}[/]: {escape(found.says)}", highlight=False, soft_wrap=True)
            if not found.ok and found.mend:
                out.print(f"      → {escape(found.mend)}", highlight=False, soft_wrap=True)
    if not all(found.ok for found in findings):
        sys.exit(1)
