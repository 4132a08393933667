"""`cadencia support-bundle`: what somebody who helps needs to know, without secrets and without people."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.screen import JsonOption, out, print_json


def support_bundle(
    config: ConfigOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write (.tar.gz).", dir_okay=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Collect versions, settings, findings, metrics, queues and the last lines of the log into one archive.

    It needs no running node, but says more where one runs on this machine. No secrets and no personal data are in it.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.runtime.support_bundle import collect, pack  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415

    now = Clock().now()
    target = output or Path(f"cadencia-support-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}.tar.gz")
    files = asyncio.run(collect(load(config), now))
    pack(files, target, now)
    sizes = {name: len(text.encode("utf-8")) for name, text in files.items()}
    if as_json:
        print_json({"file": str(target), "bytes": sizes})
        return
    for name, size in sizes.items():
        out.print(f"  {name}  {size:,} bytes", highlight=False, markup=False)
    out.print(f"Written to {target}. Look through it before you send it.", highlight=False, markup=False)
