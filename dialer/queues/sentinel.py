"""A Redis that is found through Sentinel: ``redis+sentinel://user:password@host:26379,other:26379/name/0``.

``rediss+sentinel://`` speaks TLS to all of them (``?ssl_ca_certs=/path`` as redis-py has it). The Sentinels' own user
and password are ``?sentinel_username=…&sentinel_password=…``. Every new connection asks the Sentinels who the master
is; whoever holds one for long asks again (`dialer.queues.redis_queues.RedisQueues.heartbeat`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from dialer.errors import ConfigError

SCHEMES: Final = frozenset({"redis+sentinel", "rediss+sentinel"})
_PORT: Final = 26_379
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
#: Of the query; what TLS goes by is for both kinds of servers.
_SENTINELS_OWN: Final = {"sentinel_username": "username", "sentinel_password": "password"}
_TLS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelAddress:
    """Where the Sentinels are, and whom to ask them for."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    tls: bool
    #: Options of redis-py for connections to the master, and for those to the Sentinels.
    master: dict[str, Any] = field(default_factory=dict)
    sentinels: dict[str, Any] = field(default_factory=dict)


def is_sentinel(url: str) -> bool:
    """Whether `url` names Sentinels."""
    return urlsplit(url).scheme in SCHEMES


def read_address(url: str) -> SentinelAddress:
    """What `url` says.

    Raises:
        ConfigError: it cannot be understood; the text has no part of it, which may be a password.
    """
    parts = urlsplit(url)
    login, _, places = parts.netloc.rpartition("@")
    hosts = tuple(_host(place) for place in places.split(","))
    service, _, number = parts.path.removeprefix("/").partition("/")
    if _NAME.fullmatch(service) is None or not re.fullmatch(r"[0-9]{0,3}", number, re.ASCII):
        raise ConfigError(f"redis.url: after the Sentinels must follow /NAME or /NAME/DATABASE of the master{_SUCH_AS}")
    tls = parts.scheme == "rediss+sentinel"
    both: dict[str, Any] = {"ssl": True} if tls else {}
    own: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query):
        if name in _SENTINELS_OWN:
            own[_SENTINELS_OWN[name]] = value
        elif tls and name in _TLS:
            both[name] = value
        else:
            raise ConfigError(f"redis.url: {name[:40]!r} is no option of a URL with Sentinels")
    user, _, password = login.partition(":")
    signed = {name: unquote(text) for name, text in (("username", user), ("password", password)) if text}
    return SentinelAddress(
        hosts=hosts,
        service=service,
        tls=tls,
        master={**both, **signed, "db": int(number or 0)},
        sentinels={**both, **own},
    )


_SUCH_AS: Final = ", such as redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster"


def _host(place: str) -> tuple[str, int]:
    found = _HOST.fullmatch(place)
    port = int(found[2] or _PORT) if found else 0
    if found is None or not 0 < port <= 65_535:
        raise ConfigError(f"redis.url: the Sentinels must be HOST:PORT, joined by commas{_SUCH_AS}")
    return found[1].strip("[]"), port
