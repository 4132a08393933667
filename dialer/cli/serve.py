"""`cadencia serve`: one node, until it is told to stop."""

from __future__ import annotations

import os
from pathlib import Path

from dialer.cli.client import ConfigOption
from dialer.cli.screen import err
from dialer.settings import Settings, load


def serve(config: ConfigOption = None) -> None:
    """Run a node: dial, take messages, answer the API. Stop it with Ctrl-C or SIGTERM; talks go on in Asterisk."""
    from dialer.runtime import event_loop, logs  # noqa: PLC0415

    settings = load(config)
    if config is not None:
        # The worker that the node starts beside itself reads the same file: region of numbers, webhooks and their keys.
        os.environ["CADENCIA_CONFIG"] = str(config.absolute())
    logs.configure(settings.log, logs.kept_log(Path(settings.data_dir), settings.node))
    event_loop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from dialer.runtime.local_access import local_access  # noqa: PLC0415
    from dialer.runtime.node import Node  # noqa: PLC0415
    from dialer.runtime.signals import stop_on_signals, until_stopped  # noqa: PLC0415

    stop = stop_on_signals()
    async with Node(settings) as node:
        path = await local_access(node, Path(settings.data_dir))
        if not settings.asterisk:
            err.print(
                "No [[asterisk]] server is configured: contacts are taken in, nobody is dialed.",
                style="yellow",
                markup=False,
            )
        err.print(
            f"Cadencia is up: {node.api_url} (key for this machine in {path}). Ctrl-C stops it.",
            markup=False,
            soft_wrap=True,
        )
        await until_stopped(node, stop)
        err.print("Stopping: no more calls; what rings is hung up, talks go on.")
