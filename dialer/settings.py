"""The settings: one TOML file, overridden by environment variables, checked into types before anything starts.

``CADENCIA_`` plus the path in capitals, parts joined by two underscores, overrides one value:
``CADENCIA_DATABASE__URL=postgresql://…``. A value of the form ``file:/run/secrets/x`` is read from that file, so that
secrets stand neither in the settings nor in the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct, field

from dialer.errors import ConfigError

Name = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}\Z", description="letters, digits, _ and -, at most 64")
]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]


class Tls(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """TLS towards one server."""

    enabled: bool = False
    #: PEM file of the authorities that may have signed the server's certificate; empty: those of the system.
    ca_file: str = ""
    #: Name that the certificate must carry; empty: the host.
    server_name: str = ""


class Trunk(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way out of an Asterisk server."""

    name: Name
    #: Dial string with {number}; {number} is E.164 without plus.
    dial: str = "PJSIP/{number}@carrier"
    max_channels: Annotated[int, Meta(ge=1)] = 1_000
    max_calls_per_second: Annotated[float, Meta(gt=0)] = 50.0


class Asterisk(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One Asterisk server."""

    name: Name
    host: str = "127.0.0.1"
    port: Port = 5038
    username: str = "cadencia"
    #: `file:…` or an environment override rather than plain text.
    secret: str = ""
    auth: Literal["md5", "plain"] = "md5"
    tls: Tls = field(default_factory=Tls)
    #: Share of the calls and agents that it gets.
    weight: Annotated[float, Meta(gt=0)] = 1.0
    trunks: tuple[Trunk, ...] = ()
    #: Dial string of an agent's phone, with {phone}.
    agent_dial: str = "PJSIP/{phone}"


class Ami(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How Asterisk servers are spoken to."""

    driver: Literal["native", "pyst2"] = "native"
    action_timeout_s: Seconds = 5.0
    ping_every_s: Seconds = 10.0
    reconnect_min_s: Seconds = 0.25
    reconnect_max_s: Seconds = 15.0
    #: Bytes waiting to be written above which no call is started.
    write_limit_bytes: Annotated[int, Meta(ge=1_024)] = 65_536


class Database(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the record is kept."""

    #: sqlite:///path or postgresql://user:secret@host/name
    url: str = "sqlite:///cadencia.db"


class Redis(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where lists wait, and where the CRM writes and reads."""

    #: redis://…, rediss://…, unix://…; "embedded" starts a server of its own below `data_dir`.
    url: str = "embedded"
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_:-]{0,64}\Z")] = "cadencia:"
    results_keep_days: Annotated[float, Meta(gt=0)] = 7.0
    #: Hold back other clients' writes between check and originate (docs/adr/0004); off where the server forbids it.
    strict_gate: bool = True


class Api(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The HTTP side."""

    host: str = "127.0.0.1"
    port: Port = 8080
    #: `/metrics` without a key, for a Prometheus on the same machine.
    open_metrics: bool = False
    max_body_bytes: Annotated[int, Meta(ge=1_024)] = 64 * 1024 * 1024


class Webhook(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where results are posted, besides the stream."""

    url: str
    #: Key of the signature.
    secret: str = ""
    #: Result types; empty: all.
    types: tuple[str, ...] = ()
    timeout_s: Seconds = 10.0


class Registry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A do-not-call registry that somebody else keeps, and who must ask it (docs/registries.md)."""

    name: Name
    #: Days from its source date after which campaigns that must ask it refuse to dial; absent: it does not age.
    max_age_days: Annotated[float, Meta(gt=0)] | None = None
    #: Campaigns that must ask it; "*" is all.
    campaigns: tuple[str, ...] = ("*",)
    #: Whose national numbers those of its source without a plus sign are; empty: they begin with their country code.
    region: Annotated[str, Meta(pattern=r"^([A-Z]{2})?\Z")] = ""
    #: Column of its source, by title or place from 1 ("1+2": two that are one number); empty: found by itself.
    column: str = ""


class Registries(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Do-not-call registries: where their files are, and which there must be."""

    #: Empty: `registries` below `data_dir`. Nodes of several machines share it, or each has a copy.
    folder: str = ""
    #: Versions that stay besides that in force.
    keep: Annotated[int, Meta(ge=0, le=100)] = 2
    #: Seconds between two looks for a new version.
    poll_s: Seconds = 5.0
    lists: tuple[Registry, ...] = ()


class Compliance(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rules of law, and what is kept for it."""

    #: Folder of jurisdictions; empty: `jurisdictions` beside the settings file, else those that are shipped.
    rules: str = ""

    #: Secret under which the evidence remembers that a number was erased; the same on all nodes.
    suppression_key: Annotated[str, Meta(pattern=r"^(.{32,})?\Z", description="32 characters or more")] = ""


class Pacing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is kept of the pacers' decisions, and when their legal windows begin."""

    journal_keep_days: Annotated[float, Meta(gt=0)] = 14.0
    #: Zone (IANA) in which a calendar month begins, for the abandonment window "month".
    timezone: str = "UTC"


class Log(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    json: bool = False


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of one node."""

    node: Name = "node1"
    #: Home of the embedded parts and of the node's own files.
    data_dir: str = "var"
    default_region: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] = "ES"
    ami: Ami = field(default_factory=Ami)
    asterisk: tuple[Asterisk, ...] = ()
    database: Database = field(default_factory=Database)
    redis: Redis = field(default_factory=Redis)
    api: Api = field(default_factory=Api)
    webhooks: tuple[Webhook, ...] = ()
    registries: Registries = field(default_factory=Registries)
    compliance: Compliance = field(default_factory=Compliance)
    pacing: Pacing = field(default_factory=Pacing)
    log: Log = field(default_factory=Log)

    @property
    def registries_folder(self) -> Path:
        """Where the files of the registries are."""
        return Path(self.registries.folder) if self.registries.folder else Path(self.data_dir) / "registries"


def load(path: Path | None, environ: Mapping[str, str] = os.environ, *, secrets: bool = True) -> Settings:
    """Read the settings from `path` (None: defaults) and `environ`.

    Args:
        path: TOML file.
        environ: where overrides are looked up.
        secrets: whether to read the files that values point to; a command on a desk may not be allowed to.

    Raises:
        ConfigError: names the file, the setting, and what it may be.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the settings file {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
        if (path.parent / "jurisdictions").is_dir():
            raw.setdefault("compliance", {}).setdefault("rules", str(path.parent / "jurisdictions"))
    _override(raw, environ)
    if secrets:
        _read_secret_files(raw)
    try:
        settings = msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path or 'environment'}: {error}") from error
    try:
        ZoneInfo(settings.pacing.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"pacing.timezone: {settings.pacing.timezone!r} is no zone; it may be an IANA name such as Europe/Madrid"
        ) from error
    names = [server.name for server in settings.asterisk]
    if len(set(names)) != len(names):
        raise ConfigError("two [[asterisk]] servers have the same name; names must be unique")
    registries = [registry.name for registry in settings.registries.lists]
    if len(set(registries)) != len(registries):
        raise ConfigError("two [[registries.lists]] have the same name; names must be unique")
    for server in settings.asterisk:
        trunks = [trunk.name for trunk in server.trunks]
        if len(set(trunks)) != len(trunks):
            raise ConfigError(f"two trunks of Asterisk server {server.name!r} have the same name")
        for trunk in server.trunks:
            if "{number}" not in trunk.dial:
                raise ConfigError(
                    f"trunk {trunk.name!r}: dial must contain {{number}}, such as PJSIP/{{number}}@carrier"
                )
    return settings


def _override(raw: dict[str, Any], environ: Mapping[str, str]) -> None:
    for key, value in environ.items():
        if not key.startswith("CADENCIA_") or ("__" not in key and key != "CADENCIA_NODE"):
            continue
        path = key.removeprefix("CADENCIA_").lower().split("__")
        node: Any = raw
        for i, part in enumerate(path[:-1]):
            if isinstance(node, list):
                try:
                    node = node[int(part)]
                except (ValueError, IndexError) as error:
                    raise ConfigError(f"{key}: {'.'.join(path[: i + 1])} is not in the settings file") from error
            else:
                node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{key} does not name a setting")
        node[path[-1]] = value


def _read_secret_files(node: Any) -> None:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        if isinstance(value, str) and value.startswith("file:"):
            try:
                node[key] = Path(value.removeprefix("file:")).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"setting {key!r} points to {value}: {error.strerror}") from error
        else:
            _read_secret_files(value)
