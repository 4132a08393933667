"""Where traces are posted to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_PATH: Final = "/v1/traces"


def traces_url(endpoint: str) -> str:
    """The collector's usual path for traces, where the setting names none."""
    return endpoint if urlsplit(endpoint).path not in {"", "/"} else endpoint.rstrip("/") + _PATH
