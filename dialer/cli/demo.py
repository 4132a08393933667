"""`cadencia demo`: the whole product on one machine, with people who exist only in here."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dialer.cli.screen import JsonOption, err, out, percent, print_json, print_rows


def demo(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long it runs.")] = 2.0,
    agents: Annotated[int, typer.Option(min=1, max=500, help="Simulated agents.")] = 20,
    contacts: Annotated[int, typer.Option(min=1, max=1_000_000, help="Contacts that the stub CRM pushes.")] = 5_000,
    method: Annotated[str, typer.Option(help="Pacing method.")] = "predictive",
    profile: Annotated[str, typer.Option(help="World: demo, realistic, fast.")] = "demo",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where its state lives; default: the user's state folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Dial a list of 5,000 with simulated agents and callees: nothing to install, nobody is really called."""
    from dialer.demo import DemoPlan, run_demo  # noqa: PLC0415
    from dialer.runtime import logs  # noqa: PLC0415
    from dialer.settings import Log  # noqa: PLC0415

    logs.configure(Log(level="warning"))
    plan = DemoPlan(
        directory=directory or _state_folder(),
        minutes=minutes,
        agents=agents,
        contacts=contacts,
        method=method,
        profile=profile,
        seed=seed,
    )
    live = sys.stdout.isatty() and not as_json
    summary = asyncio.run(run_demo(plan, _Screen(live=live)))
    if as_json:
        print_json(summary)
        return
    print_rows([{"outcome": k, "calls": v} for k, v in summary["outcomes"].items()], ["outcome", "calls"])
    out.print(
        f"{summary['dialed']:,} dialed, {summary['answered']:,} live answers, {summary['connected']:,} connected, "
        f"{summary['abandoned']} abandoned ({percent(summary['abandonment'])}); occupancy "
        f"{percent(summary['occupancy'])}, {summary['contacts_per_agent_hour']:.1f} contacts per agent and hour."
    )


class _Screen:
    """Shows what goes on: a wallboard on a terminal, a line now and then elsewhere."""

    def __init__(self, *, live: bool) -> None:
        self._live = live

    async def show(self, running: object, stop: asyncio.Event) -> None:
        """Until `stop`."""
        from dialer.demo import RunningDemo  # noqa: PLC0415

        assert isinstance(running, RunningDemo)
        if self._live:
            await self._wallboard(running, stop)
        else:
            await self._lines(running, stop)

    async def _wallboard(self, running: object, stop: asyncio.Event) -> None:
        from rich.live import Live  # noqa: PLC0415

        from dialer.cli.wallboard import wallboard  # noqa: PLC0415
        from dialer.demo import RunningDemo  # noqa: PLC0415

        assert isinstance(running, RunningDemo)
        footer = f"console {running.console_url}   details {running.details}   Ctrl-C stops"
        with Live(console=out, screen=True, auto_refresh=False) as live:
            while not stop.is_set():
                title = f"Cadencia demo · {running.left_s():.0f} s left"
                live.update(wallboard(running.snapshot(), title, footer), refresh=True)
                await _pause(stop, 0.25)

    async def _lines(self, running: object, stop: asyncio.Event) -> None:
        from dialer.demo import RunningDemo  # noqa: PLC0415

        assert isinstance(running, RunningDemo)
        err.print(
            f"demo is up: API {running.api_url}, console {running.console_url} (its key is in {running.details}), "
            f"metrics {running.metrics_url}",
            markup=False,
            soft_wrap=True,
        )
        while not stop.is_set():
            await _pause(stop, 10.0)
            for row in running.snapshot().campaigns:
                err.print(
                    f"{running.left_s():.0f} s left: {row.today.started:,} dialed, {row.today.connected} connected, "
                    f"{row.today.abandoned} abandoned, occupancy {percent(row.occupancy)}"
                )


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "cadencia" / "demo"
