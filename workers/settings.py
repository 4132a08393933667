"""The settings of a job: those of the worker that runs it, read from the same file."""

from __future__ import annotations

import os
from pathlib import Path

from dialer.errors import ConfigError
from dialer.settings import Settings, load

#: Environment variable with the path of the settings file; set by ``cadencia worker``.
CONFIG: str = "CADENCIA_CONFIG"


def load_settings() -> Settings:
    """The settings of this worker. Nothing of them, and no secret, ever stands in a job.

    Raises:
        ConfigError: they are wrong, or name no Redis that this process can reach.
    """
    path = os.environ.get(CONFIG)
    settings = load(Path(path) if path else None)
    if settings.redis.url == "embedded":
        raise ConfigError(
            'redis.url is "embedded": that server belongs to one node, which does the jobs itself; '
            "set redis.url to a Redis of its own to run workers"
        )
    return settings
