"""`cadencia worker`: runs jobs (list imports, webhook deliveries, reports) beside the nodes."""

from __future__ import annotations

from dialer.cli.client import ConfigOption


def worker(config: ConfigOption = None) -> None:
    """Run jobs until stopped: list imports, webhook deliveries, reports."""
    import importlib  # noqa: PLC0415
    import os  # noqa: PLC0415

    from dialer.settings import load  # noqa: PLC0415

    if config is not None:
        os.environ["CADENCIA_CONFIG"] = str(config.absolute())
    # By name: the workers are above the dialer, and nothing below may import them.
    importlib.import_module("workers.app").run(load(config))
