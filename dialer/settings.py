"""The settings: one TOML file, overridden by environment variables, checked into types before anything starts.

``CADENCIA_`` plus the path in capitals, parts joined by two underscores, overrides one value:
``CADENCIA_DATABASE__URL=postgresql://…``, ``CADENCIA_DATA_DIR=/var/lib/cadencia``. A value of the form
``file:/run/secrets/x`` is read from that file, so that secrets stand neither in the settings nor in the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct, field

from dialer.core.shards import Shards, shards_of
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


class SpendCap(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What calls may cost from one midnight of `costs.timezone` to the next."""

    #: In the currency of the tariffs, such as "250"; empty: no limit.
    money: Annotated[str, Meta(pattern=r"^([0-9]{1,9}(\.[0-9]{1,6})?)?\Z")] = ""
    #: Of time that carriers count; absent: no limit.
    minutes: Annotated[float, Meta(ge=0)] | None = None


class Trunk(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way out of an Asterisk server."""

    name: Name
    #: Dial string with {number}; {number} is E.164 without plus.
    dial: str = "PJSIP/{number}@carrier"
    max_channels: Annotated[int, Meta(ge=1)] = 1_000
    max_calls_per_second: Annotated[float, Meta(gt=0)] = 50.0
    #: Name of the tariff that its carrier bills by (`costs.tariffs`); empty: not known. With one, numbers that it has
    #: no rate for are not called over this trunk.
    tariff: str = ""
    #: Of all calls over this trunk.
    cap: SpendCap = field(default_factory=SpendCap)


class Webrtc(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Phones in agents' browsers at one Asterisk server (docs/webrtc.md)."""

    #: Where browsers reach its WebSocket: wss://pbx.example:8089/ws; ws:// on this machine alone. Empty: none do.
    url: Annotated[
        str,
        Meta(
            pattern=r"^(?:(?:wss://[a-z0-9.-]+|ws://(?:localhost|127\.0\.0\.1))(?::[0-9]{1,5})?/[A-Za-z0-9._~/-]*)?\Z",
            description="wss://host:port/ws in small letters; ws:// for localhost alone",
        ),
    ] = ""
    #: Endpoint of an agent's browser there, with {agent}.
    phone: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,32}\{agent\}[A-Za-z0-9_-]{0,32}\Z")] = "web-{agent}"
    #: Domain of the phones' SIP addresses, and the realm in which they prove who they are.
    realm: Annotated[str, Meta(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,126}[A-Za-z0-9])?\Z")] = "cadencia"
    #: stun:host:port; needed where Asterisk or the agents are behind NAT.
    stun: tuple[Annotated[str, Meta(pattern=r"^stuns?:[A-Za-z0-9.:-]+\Z")], ...] = ()
    #: turn:host:port?transport=udp or turns:…, for agents whose network lets nothing else out.
    turn: tuple[Annotated[str, Meta(pattern=r"^turns?:[A-Za-z0-9.:-]+(?:\?transport=(?:udp|tcp))?\Z")], ...] = ()
    #: The TURN server's shared secret (coturn: static-auth-secret), from which passwords that expire are made.
    turn_secret: str = ""
    #: All sound goes through the TURN servers: they alone need to reach Asterisk's UDP ports then.
    relay_only: bool = False
    #: How long a password holds that a page was given.
    key_minutes: Annotated[float, Meta(ge=1, le=120)] = 30.0


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
    #: How much it bears, compared with the others: so many more agents of one campaign come together on it, and who is
    #: the first of theirs goes where fewest are for it. Calls follow their agents.
    weight: Annotated[float, Meta(gt=0)] = 1.0
    trunks: tuple[Trunk, ...] = ()
    #: Dial string of an agent's phone, with {phone}.
    agent_dial: str = "PJSIP/{phone}"
    #: Folder in which nodes and workers see what this server records (its astspooldir/monitor); empty: they do not.
    recordings: str = ""
    webrtc: Webrtc = field(default_factory=Webrtc)


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


class RedisShard(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One Redis of several, and the campaigns that it serves (docs/deployment.md). The table is the same on all nodes
    and workers, but for the URLs, which each may need others for."""

    name: Name
    #: As `redis.url`, of a server of its own; not embedded.
    url: str
    #: Names of campaigns, and beginnings of names: north-*. No two shards may have the same; one has *, all others.
    campaigns: Annotated[tuple[str, ...], Meta(min_length=1)]
    #: Beginnings of the numbers that this shard calls, and no other one does: +34. Empty: all that no other one has.
    numbers: tuple[Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{0,14}\Z")], ...] = ()


class Redis(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where lists wait, and where the CRM writes and reads."""

    #: redis://…, rediss://…, unix://…; redis+sentinel://host:26379,…/name through Sentinels (docs/deployment.md);
    #: "embedded" starts a server of its own below `data_dir`. With shards it is that of the own one: leave it out.
    url: str = "embedded"
    #: Which of the shards this node or worker belongs to.
    shard: str = ""
    shards: tuple[RedisShard, ...] = ()
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_:-]{0,64}\Z")] = "cadencia:"
    results_keep_days: Annotated[float, Meta(gt=0)] = 7.0
    #: Hold back other clients' writes between check and originate (docs/adr/0004); off where the server forbids it.
    strict_gate: bool = True

    @property
    def table(self) -> Shards:
        """The shards, as seen by the own one.

        Raises:
            ConfigError: there cannot be such.
        """
        numbers = {shard.name: shard.numbers for shard in self.shards}
        return shards_of(self.shard, [(shard.name, shard.campaigns) for shard in self.shards], numbers)

    @property
    def gate(self) -> str:
        """Name of the own Redis in the record: no other of the installation has it."""
        return f"{self.prefix}@{self.shard}" if self.shard else self.prefix


class Api(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The HTTP side."""

    host: str = "127.0.0.1"
    port: Port = 8080
    #: `/metrics` without a key, for a Prometheus on the same machine.
    open_metrics: bool = False
    max_body_bytes: Annotated[int, Meta(ge=1_024)] = 64 * 1024 * 1024
    #: Requests that one key may send steadily, and ten seconds of them at once; more are answered 429.
    requests_per_s: Annotated[float, Meta(gt=0)] = 200.0
    #: Paths of PEM files, the certificate with those above it and its key: then HTTPS alone is spoken. Empty: HTTP, for
    #: this machine or behind a proxy that speaks HTTPS.
    tls_certificate_file: str = ""
    tls_key_file: str = ""


class Webhook(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where results are posted, besides the stream."""

    url: str
    #: Key of the signature.
    secret: str = ""
    #: Keys that the receiver may still go by: each signs as well, until it is taken out.
    previous_secrets: tuple[str, ...] = ()
    #: Result types; empty: all.
    types: tuple[str, ...] = ()
    timeout_s: Seconds = 10.0


class Outbound(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where this dialer may connect to by itself: webhooks and CRMs."""

    #: Internal networks (CIDR) or single addresses that are allowed besides the public ones.
    internal: tuple[str, ...] = ()
    #: The same for webhooks that tenants have made: what is allowed here is not allowed to them.
    for_tenants: tuple[str, ...] = ()


class CrmAccess(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a CRM knows us. Secrets come from files (`file:…`) or the environment, never from the settings' own text."""

    kind: Literal["none", "basic", "bearer", "header", "oauth2"] = "none"
    username: str = ""
    password: str = ""
    #: Of bearer and header.
    token: str = ""
    #: Name of the header that carries the token.
    header: str = "X-API-Key"
    #: OAuth 2.0 client credentials (RFC 6749, 4.4).
    token_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""


class CrmPull(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A CRM that is asked for its pending calls and told what became of them (docs/crm/pull.md)."""

    name: Name
    #: Whose contacts its pending calls become.
    campaign: Name
    #: Mapping file; a relative path is looked up in `crm.mappings`.
    mapping: str
    #: Where paths of the mapping begin.
    url: Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+[^\s?#]*\Z")]
    access: CrmAccess = field(default_factory=CrmAccess)
    every_s: Annotated[float, Meta(ge=5)] = 30.0
    timeout_s: Seconds = 30.0
    #: Contacts ready to be called above which no new ones are taken.
    enough: Annotated[int, Meta(ge=1)] = 5_000
    #: Complete listings in a row that a call must be missing from to count as withdrawn.
    withdrawn_after: Annotated[int, Meta(ge=1, le=10)] = 2


class Crm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CRMs that are asked rather than that push."""

    #: Folder of mapping files; empty: `crm` beside the settings file.
    mappings: str = ""
    pull: tuple[CrmPull, ...] = ()


class Recordings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where recordings of calls are kept, and how long (docs/recording.md)."""

    #: A folder, or s3://bucket/prefix; empty: `recordings` below `data_dir`.
    store: str = ""
    #: URL of an S3-compatible store; empty: Amazon's own.
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    #: Empty: those of the machine's role.
    s3_access_key: str = ""
    s3_secret_key: str = ""
    #: The bucket is part of the host's name.
    s3_virtual_hosts: bool = False
    retention_days: Annotated[float, Meta(gt=0, le=36_525)] = 90.0
    #: 32 bytes in base64; empty: recordings are kept as they are.
    encryption_key: str = ""
    #: Keys of the time before, with which older recordings are still opened.
    former_keys: tuple[str, ...] = ()
    #: Secret of links that play a recording, the same on all nodes; empty: one that dies with the node.
    link_key: Annotated[str, Meta(pattern=r"^(.{32,})?\Z", description="32 characters or more")] = ""
    link_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0


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
    #: Ids of the rules of jurisdictions that demand it, such as ES-robinson; its own name is always one.
    answers: tuple[Name, ...] = ()


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
    #: Take people out of attempts and evidence, once a day, when the law of their number no longer wants them kept.
    apply_retention: bool = False
    #: How long the audit log is kept; a year at least, which the database sees to.
    audit_keep_days: Annotated[float, Meta(ge=365)] = 2192.0


class Privacy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is sealed in the database, and with which key (docs/storage.md)."""

    #: 32 bytes in base64, the same on all nodes and workers; empty: nothing is sealed.
    encryption_key: str = ""
    #: Keys of the time before: what they sealed still opens.
    former_keys: tuple[str, ...] = ()
    #: Fields of contacts that are sealed, besides the secrets of second factors, which always are.
    encrypted_fields: tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...] = ()


class Pacing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is kept of the pacers' decisions, and when their legal windows begin."""

    journal_keep_days: Annotated[float, Meta(gt=0)] = 14.0
    #: Zone (IANA) in which a calendar month begins, for the abandonment window "month".
    timezone: str = "UTC"


class ReportSchedule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A report that is made again and again, and sent (docs/reports.md)."""

    name: Name
    #: Five fields of cron, such as "0 7 * * 1-5", told in `timezone`.
    cron: str
    #: The whole days before that moment that it is of.
    days: Annotated[int, Meta(ge=1, le=400)] = 1
    by: str = "campaign"
    campaigns: tuple[str, ...] = ()
    #: IANA name; empty: `pacing.timezone`.
    timezone: str = ""
    format: Literal["csv", "json", "parquet"] = "csv"
    #: Addresses that it is mailed to.
    mail: tuple[str, ...] = ()
    #: URL of one of the `webhooks` that it is posted to, as JSON.
    webhook: str = ""


class Reports(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What calls and agents cost, what is kept for reports, and which are made regularly."""

    #: Of a minute from the answer to the end, and of an hour that an agent is signed in.
    cost_per_minute: Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?\Z")] = "0"
    cost_per_agent_hour: Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?\Z")] = "0"
    #: Of both, such as EUR.
    currency: str = ""
    #: How long the time of agents is kept.
    agent_time_keep_days: Annotated[float, Meta(gt=0)] = 400.0
    schedules: tuple[ReportSchedule, ...] = ()


class Rate(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What calls cost to numbers that begin with a prefix; the longest prefix of a tariff counts."""

    #: Such as "+34" or "+346".
    prefix: str
    #: Of a minute from the answer.
    per_minute: str
    #: Of a call that is answered, and of one that is sent, answered or not.
    set_up: str = "0"
    per_attempt: str = "0"
    #: Seconds that are billed at least, and the steps beyond.
    minimum_s: Annotated[int, Meta(ge=0, le=3_600)] = 0
    increment_s: Annotated[int, Meta(ge=1, le=3_600)] = 1


class CarrierTariff(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a carrier takes (docs/costs.md)."""

    name: Name
    rates: tuple[Rate, ...] = ()
    #: CSV file with the columns of a rate; instead of `rates`. A relative path begins at the settings file.
    file: str = ""


class Costs(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What calls cost by carrier and number, and what they may cost a day (docs/costs.md)."""

    tariffs: tuple[CarrierTariff, ...] = ()
    #: Of all calls of the installation together.
    cap: SpendCap = field(default_factory=SpendCap)
    #: Of each campaign that is not in `campaigns`.
    each_campaign: SpendCap = field(default_factory=SpendCap)
    #: Of single campaigns, by name.
    campaigns: dict[str, SpendCap] = field(default_factory=dict)
    #: How long an answered call is expected to last: what a call that begins takes out of the caps until it ends.
    expected_call_s: Annotated[float, Meta(ge=1, le=3_600)] = 60.0
    #: Zone (IANA) in which a day begins; empty: `pacing.timezone`.
    timezone: str = ""


class Destinations(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which numbers may be called at all, whoever asks (docs/costs.md). Premium-rate numbers never are."""

    #: Countries (ES) and prefixes (+3491) that may be called; empty: all.
    allowed: tuple[str, ...] = ()
    #: Those that may not, by default satellites and numbers of no country. Of two that fit, the longer one counts.
    barred: tuple[str, ...] = ("+870", "+878", "+881", "+882", "+883", "+888", "+979")


class Mail(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The server through which reports are mailed."""

    #: Empty: nothing is mailed.
    host: str = ""
    port: Port = 587
    #: starttls: the connection becomes TLS before anything is said; tls: it is from the beginning.
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str = ""
    #: `file:…` or an environment override rather than plain text.
    password: str = ""
    sender: str = ""
    timeout_s: Seconds = 20.0


class Actions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rules of the next best action (docs/next-best-action.md)."""

    #: Folder of rule files that are in force; empty: none are.
    rules: str = ""


class Desk(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What agents find on their page (docs/agent-page.md)."""

    #: Whole numbers of the people they talk with; off: country and last two digits.
    show_numbers: bool = False
    #: Codes for pauses, in the order of their buttons.
    pause_codes: tuple[Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}\Z")], ...] = (
        "break",
        "lunch",
        "training",
        "meeting",
    )
    #: Origins of CRMs whose pages stand beside the call, such as https://crm.example; others open in a tab.
    frames: tuple[Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?\Z")], ...] = ()


class Snippet(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The script that turns a CRM's `tel:` links into buttons (docs/crm.md)."""

    #: Of pages that may use it, exactly as browsers write them: https://crm.example, without a path. None by default.
    origins: tuple[Annotated[str, Meta(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?\Z")], ...] = ()
    #: How long a page's token holds before another one is asked for, and for how long that is given.
    token_minutes: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    longest_hours: Annotated[float, Meta(gt=0, le=24)] = 12.0


class Cluster(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Several nodes behind one address (docs/deployment.md)."""

    #: Where the other nodes reach this one's API: http://10.0.0.5:8080, https:// where it speaks that. Empty: where it
    #: listens, unless that is every address of the machine.
    address: Annotated[str, Meta(pattern=r"^(https?://[^\s/?#@]+)?\Z")] = ""
    #: PEM file of the authorities that have signed the nodes' certificates; empty: those of the system.
    ca_file: str = ""
    #: Node that agents sign in to. here: the one that is asked; together: where most agents of their campaigns are.
    sign_in: Literal["here", "together"] = "here"
    #: Agents of a node above which others are sent to another that has fewer.
    agents_per_node: Annotated[int, Meta(ge=1)] = 1_000
    #: For so long another node may say nothing while it answers.
    timeout_s: Annotated[float, Meta(ge=16)] = 20.0


class Tracing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens to calls, sent to an OpenTelemetry collector as traces (docs/tracing.md)."""

    #: OTLP over HTTP: http://collector:4318; where no path stands, it is /v1/traces. Empty: nothing is traced.
    endpoint: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?\Z",
            description="http://host:port or https://host:port/path, without user, password and query",
        ),
    ] = ""
    #: Of the contacts that are traced, each with all its calls.
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    #: Sent with every request, such as Authorization. `file:…` or an environment override rather than plain text.
    headers: dict[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")],
        Annotated[str, Meta(pattern=r"^[\x20-\x7e]*\Z", description="printable ASCII")],
    ] = field(default_factory=dict)
    #: Name of this dialer among all that the collector hears of.
    service: Annotated[str, Meta(min_length=1, max_length=255)] = "cadencia"
    #: PEM file of the authorities that may have signed the collector's certificate; empty: the usual ones.
    ca_file: str = ""
    #: For so long a collector may say nothing; what it was sent is then given up.
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0


class Log(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    json: bool = False
    #: A line for each step of each call, with the ids of call, campaign and agent: many a second on a large floor.
    calls: bool = False
    #: Of the last lines, in `logs` below `data_dir`, for `cadencia support-bundle`; 0: none are kept.
    keep_mb: Annotated[float, Meta(ge=0)] = 20.0


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
    #: Settings of campaigns that segments are made from, by name (docs/crm.md).
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    outbound: Outbound = field(default_factory=Outbound)
    crm: Crm = field(default_factory=Crm)
    recordings: Recordings = field(default_factory=Recordings)
    registries: Registries = field(default_factory=Registries)
    compliance: Compliance = field(default_factory=Compliance)
    privacy: Privacy = field(default_factory=Privacy)
    pacing: Pacing = field(default_factory=Pacing)
    reports: Reports = field(default_factory=Reports)
    costs: Costs = field(default_factory=Costs)
    destinations: Destinations = field(default_factory=Destinations)
    mail: Mail = field(default_factory=Mail)
    actions: Actions = field(default_factory=Actions)
    desk: Desk = field(default_factory=Desk)
    snippet: Snippet = field(default_factory=Snippet)
    cluster: Cluster = field(default_factory=Cluster)
    tracing: Tracing = field(default_factory=Tracing)
    log: Log = field(default_factory=Log)

    @property
    def registries_folder(self) -> Path:
        """Where the files of the registries are."""
        return Path(self.registries.folder) if self.registries.folder else Path(self.data_dir) / "registries"


# Here and not at the first use: two threads that first use a type at once crash msgspec.
msgspec.json.Decoder(Settings)
#: Overrides of what stands in no section: CADENCIA_NODE, CADENCIA_DATA_DIR, …
_OF_ONE_PART: Final = frozenset(
    f"CADENCIA_{each.name.upper()}" for each in msgspec.structs.fields(Settings) if isinstance(each.default, str)
)


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
        if "crm" in raw:
            _prepare_crm(raw["crm"], path)
        if "costs" in raw:
            _find_rate_decks(raw["costs"], path)
    _override(raw, environ)
    if secrets:
        _read_secret_files(raw)
    try:
        settings = msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path or 'environment'}: {error}") from error
    for name, zone in (
        ("pacing.timezone", settings.pacing.timezone),
        ("costs.timezone", settings.costs.timezone or "UTC"),
    ):
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(f"{name}: {zone!r} is no zone; it may be an IANA name such as Europe/Madrid") from error
    names = [server.name for server in settings.asterisk]
    if len(set(names)) != len(names):
        raise ConfigError("two [[asterisk]] servers have the same name; names must be unique")
    registries = [registry.name for registry in settings.registries.lists]
    if len(set(registries)) != len(registries):
        raise ConfigError("two [[registries.lists]] have the same name; names must be unique")
    for setting in ("internal", "for_tenants"):
        for text in getattr(settings.outbound, setting):
            try:
                ip_network(text, strict=False)
            except ValueError as error:
                raise ConfigError(f"outbound.{setting}: {error}; write networks such as 10.1.2.0/24") from error
    pulls = [pull.name for pull in settings.crm.pull]
    if len(set(pulls)) != len(pulls):
        raise ConfigError("two [[crm.pull]] have the same name; names must be unique")
    tariffs = [tariff.name for tariff in settings.costs.tariffs]
    if len(set(tariffs)) != len(tariffs):
        raise ConfigError("two [[costs.tariffs]] have the same name; names must be unique")
    for server in settings.asterisk:
        if server.webrtc.relay_only and not server.webrtc.turn:
            raise ConfigError(
                f"asterisk server {server.name!r}: webrtc.relay_only needs webrtc.turn, where all sound goes through"
            )
        if server.webrtc.turn and not server.webrtc.turn_secret:
            raise ConfigError(
                f"asterisk server {server.name!r}: webrtc.turn needs webrtc.turn_secret, the secret that the TURN "
                "server makes passwords from (coturn: use-auth-secret, static-auth-secret)"
            )
        trunks = [trunk.name for trunk in server.trunks]
        if len(set(trunks)) != len(trunks):
            raise ConfigError(f"two trunks of Asterisk server {server.name!r} have the same name")
        for trunk in server.trunks:
            if "{number}" not in trunk.dial:
                raise ConfigError(
                    f"trunk {trunk.name!r}: dial must contain {{number}}, such as PJSIP/{{number}}@carrier"
                )
            if trunk.tariff and trunk.tariff not in tariffs:
                raise ConfigError(f"trunk {trunk.name!r}: there is no [[costs.tariffs]] of the name {trunk.tariff!r}")
    return _in_shard(settings)


def _in_shard(settings: Settings) -> Settings:
    """The settings with the URL of the own shard, where there are any."""
    redis = settings.redis
    if not redis.table.several:
        return settings
    if redis.url != "embedded":
        raise ConfigError("redis.url stands beside [[redis.shards]]: each of them has its own; leave it out")
    urls = [shard.url for shard in redis.shards]
    if "embedded" in urls or len(set(urls)) != len(urls):
        raise ConfigError("redis.shards: each needs a server of its own, by a URL that no other one has")
    costs = settings.costs
    trunks = [trunk.cap for server in settings.asterisk for trunk in server.trunks]
    if any(cap != SpendCap() for cap in (costs.cap, *trunks)):
        raise ConfigError(
            "costs.cap and the caps of trunks count over all campaigns, which several redis.shards do not: cap "
            "campaigns (costs.each_campaign, costs.campaigns)"
        )
    own = next(shard.url for shard in redis.shards if shard.name == redis.shard)
    return msgspec.structs.replace(settings, redis=msgspec.structs.replace(redis, url=own))


def _find_rate_decks(raw: Any, path: Path) -> None:
    """Rate decks lie beside the settings."""
    for tariff in raw.get("tariffs") or () if isinstance(raw, dict) else ():
        if isinstance(tariff, dict) and isinstance(tariff.get("file"), str) and tariff["file"]:
            tariff["file"] = str(path.parent / tariff["file"])


def _prepare_crm(raw: Any, path: Path) -> None:
    """Mappings lie beside the settings; what opens a CRM must not stand in the settings themselves."""
    if not isinstance(raw, dict):
        return
    raw.setdefault("mappings", str(path.parent / "crm"))
    for place, pull in enumerate(raw.get("pull") or ()):
        access = pull.get("access") if isinstance(pull, dict) else None
        for name in ("password", "token", "client_secret"):
            value = access.get(name) if isinstance(access, dict) else None
            if isinstance(value, str) and value and not value.startswith("file:"):
                raise ConfigError(
                    f"{path}: crm.pull[{place}].access.{name} must not stand in the settings: write file:/path/to/it, "
                    f"or set CADENCIA_CRM__PULL__{place}__ACCESS__{name.upper()}"
                )


def _override(raw: dict[str, Any], environ: Mapping[str, str]) -> None:
    for key, value in environ.items():
        # Other names of one part (CADENCIA_CONFIG) are no settings.
        if not key.startswith("CADENCIA_") or ("__" not in key and key not in _OF_ONE_PART):
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
