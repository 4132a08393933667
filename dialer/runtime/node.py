"""One node: every part wired together, started in the right order, stopped in the reverse one.

    database ─ queues ─ gate opens ─ switch connects ─ campaigns go on ─ API answers

Stopping: no call is permitted any more, what rings is hung up, talks go on in Asterisk, everything that has happened
is written down.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

import structlog

from dialer.actions.loader import load_rules
from dialer.actions.rules import RuleSet
from dialer.api.app import create_app, with_snippet
from dialer.api.broadcast import Broadcast
from dialer.api.server import ApiServer
from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.registry_store import RegistryStore
from dialer.compliance.registry_watch import RegistryWatch
from dialer.compliance.screening import Screening
from dialer.console.routes import router as console_pages
from dialer.console.site import Console
from dialer.core.campaign import Campaign
from dialer.core.commands import PermitRequest
from dialer.core.engine import Engine
from dialer.core.events import HangupAsked
from dialer.core.floor import Server
from dialer.core.ids import CampaignId, NodeName, ServerName
from dialer.errors import QueueError, StorageError
from dialer.intake.consumer import Intake
from dialer.intake.desk import ContactDesk
from dialer.intake.jobs import JobOutbox, apply_retention, deliver_webhooks
from dialer.intake.phones import PhoneReader
from dialer.intake.segments import SegmentDesk, SegmentIntake
from dialer.projections.live import LiveView
from dialer.projections.metrics import Metrics
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.keys import Keys as QueueKeys
from dialer.queues.port import Record
from dialer.queues.rebuild import HIGHEST_TOKEN
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.spending import SpendLedger
from dialer.queues.streams import Message, StreamReader
from dialer.reporting.schedule import read_schedules
from dialer.runtime import lag, results_feed
from dialer.runtime.agent_time_recorder import AgentTimeRecorder
from dialer.runtime.audit_writer import AuditWriter
from dialer.runtime.browser_phones import NodePhones
from dialer.runtime.call_log import CallLog
from dialer.runtime.callbacks import CallbackClock
from dialer.runtime.caller_id_counts import CallerIdCounts
from dialer.runtime.campaign_rules import BookedRules
from dialer.runtime.campaign_watch import CampaignWatch
from dialer.runtime.click_to_call import CallAnswers
from dialer.runtime.clock import Clock
from dialer.runtime.cluster import address, forwarding, neighbours, node_client, shared_key
from dialer.runtime.contact_intake import NodeIntake
from dialer.runtime.control import NodeControl
from dialer.runtime.counting import Counting
from dialer.runtime.crm import CrmExchanges
from dialer.runtime.dispatcher import Dispatcher, Projection
from dialer.runtime.disposing import DispositionDesk
from dialer.runtime.due_contacts import DueContacts
from dialer.runtime.filters import FilterNotice, NodeLists
from dialer.runtime.gatekeeper import Gatekeeper
from dialer.runtime.laws_on_record import laws_on_record
from dialer.runtime.next_actions import NextActions, RecentCalls
from dialer.runtime.node_figures import keep_penetration, sample
from dialer.runtime.node_ports import api_ports
from dialer.runtime.opt_outs import OptOutWriter
from dialer.runtime.outbox import Outbox
from dialer.runtime.pacing_recorder import PacingRecorder
from dialer.runtime.record_keeper import RecordKeeper
from dialer.runtime.recording_figures import RecordingCounts
from dialer.runtime.recordings import RecordingKeeper, node_recordings
from dialer.runtime.report_clock import ReportClock
from dialer.runtime.results_again import results_again
from dialer.runtime.rules_aside import RulesAside
from dialer.runtime.sharding import (
    NodeShards,
    engine_streams_of,
    groups_beside,
    hoppers_of,
    node_shards,
    opt_outs_of,
    purges_of,
)
from dialer.runtime.shared_caps import SharedCaps
from dialer.runtime.spending import destinations_of, spend_keeper, spending_of, trunk_limits
from dialer.runtime.supervision import MonitorAudit
from dialer.runtime.suppressed import SuppressedNumbers
from dialer.runtime.tasks import Tasks
from dialer.runtime.tracing import NodeTracing
from dialer.runtime.unfinished_lists import look_after_lists
from dialer.runtime.webhooks import tell_webhooks
from dialer.runtime.what_if import WhatIfDesk
from dialer.runtime.worker_figures import watch_workers
from dialer.runtime.worker_process import WorkerProcess
from dialer.settings import Settings
from dialer.storage import schema
from dialer.storage.attempt_writer import AttemptWriter
from dialer.storage.attempts import Attempts
from dialer.storage.audit import Audit
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.evidence import EvidenceStore
from dialer.storage.gate_marks import GateMarks
from dialer.storage.list_checks import ListChecks
from dialer.storage.lists import Lists
from dialer.storage.opening import open_database
from dialer.storage.promises import Promises
from dialer.storage.record import ATTEMPTS_SINCE_S, RecordPages
from dialer.storage.recorder import DoNotCallRecorder, RemovalRecorder
from dialer.storage.recycling import Recycling
from dialer.storage.refusal_writer import RefusalWriter
from dialer.storage.shards import ShardTable
from dialer.storage.stream_consumer import StreamConsumer
from dialer.storage.suppressions import SuppressionStore
from dialer.storage.withdrawn_recorder import WithdrawnRecorder
from dialer.switch.asterisk import AsteriskSwitch
from dialer.tracing.site import TracingSite

_log = structlog.get_logger(__name__)

_API_START_TIMEOUT_S = 10.0
_API_STOP_S = 4.0
_HANGUP_GRACE_S = 3.0
_FLUSH_S = 10.0
#: Nobody waits long for the pacing journal.
_JOURNAL_FLUSH_S = 2.0
_MARK_EVERY_S = 5.0
_RETENTION_EVERY_S = 3_600.0
#: A transaction costs the same for one row as for fifty: what has ended goes into SQL together, a second later.
_RECORD_EVERY_S = 1.0
#: Added to the last fencing token on record when the counter itself is lost: permits seen since then are below.
_TOKEN_MARGIN = 1_000_000
#: What was read from the streams is in the database within it, or the gate stays shut.
_SETTLE_S = 10.0


class Node:
    """One `cadencia serve`. Use as an async context: everything runs inside it.

    Args:
        settings: of this node.
        clock: the one clock.
        projections: further listeners to the engine's notices.
    """

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, projections: Sequence[Projection] = ()
    ) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.live = LiveView()
        self.metrics = Metrics(settings.node)
        self.results = Broadcast()
        self.call_answers = CallAnswers()
        self.database = open_database(settings)
        self.embedded: EmbeddedServer | None = None
        self.api_url = ""
        self.consumers: dict[str, StreamConsumer] = {}
        self.redis_url = ""
        self.sharding: NodeShards | None = None
        self._data = Path(settings.data_dir).absolute()
        self._extra = tuple(projections)
        self._boot = secrets.token_hex(4)
        self._tasks = Tasks()
        self._stop = asyncio.Event()
        self._writers: list[asyncio.Task[None]] = []

    # ---- life

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._shut_down()
        await self._end()

    async def failure(self) -> None:
        """Wait for the death of a part; raises its error."""
        await self._tasks.failure()

    # ---- start

    async def _start(self) -> None:
        settings, now = self.settings, self.clock.now
        os.makedirs(settings.data_dir, mode=0o700, exist_ok=True)
        await self._open_database()
        self.shards = settings.redis.table
        await ShardTable(self.database).require(self.shards)
        site = await TracingSite.open(settings, self.database, self.metrics.trace_spans, now())
        self.tracing = NodeTracing(site, now)
        redis_url = await self._open_redis()
        self.keys = QueueKeys(settings.redis.prefix)
        self.redis = connect(redis_url, name=f"cadencia-{settings.node}")
        self.suppressed = SuppressedNumbers(SuppressionStore(self.database), settings.compliance.suppression_key)
        await self.suppressed.read()
        mark = await GateMarks(self.database).get(settings.redis.gate)
        self._token = 0 if mark is None else mark.fencing_token
        self.queues = RedisQueues.from_url(
            redis_url,
            node=NodeName(settings.node),
            prefix=settings.redis.prefix,
            strict_gate=settings.redis.strict_gate,
            results_keep_s=settings.redis.results_keep_days * 86_400.0,
            highest_token=self._token,
            suppressed=self.suppressed,
            purge_applied=self.metrics.purge_applied,
        )
        self.sharding = node_shards(self)
        self.switch = AsteriskSwitch(settings, now=now, random=random.Random(secrets.randbits(64)))
        self.keeper = RecordKeeper(self.database)
        self.pacing = PacingRecorder(
            self.database,
            node=NodeName(settings.node),
            now=now,
            keep_days=settings.pacing.journal_keep_days,
            dropped=self.metrics.pacing_journal_dropped,
        )
        self.audit = AuditWriter(self.database)
        self.agent_time = AgentTimeRecorder(self.database, now=now, keep_days=settings.reports.agent_time_keep_days)
        self.recording_keeper = RecordingKeeper(self.database, settings.node, now)
        self.action_rules = load_rules(Path(settings.actions.rules)) if settings.actions.rules else RuleSet()
        self.recent_calls = RecentCalls(self.action_rules, now)
        self.schedules = read_schedules(settings)
        self.outbox = Outbox(self.queues)
        self.screening = await self._open_rules()
        requests: asyncio.Queue[PermitRequest] = asyncio.Queue(maxsize=1_000)
        self.dispatcher = Dispatcher(
            engine=self._engine(),
            switch=self.switch,
            outbox=self.outbox,
            now=now,
            projections=(
                *(self.live, self.metrics, self.keeper, self.pacing, self.recording_keeper),
                *(self.agent_time, self.recent_calls, self.call_answers, MonitorAudit(self.audit)),
                *((CallLog(),) if settings.log.calls else ()),
                *self.tracing.projections,
                *self._extra,
            ),
            permit_requests=requests,
            purge_applied=self.metrics.purge_applied,
        )
        self.recordings = node_recordings(settings, self.recording_keeper, self.database, self.dispatcher, now)
        self.filters = FilterNotice(self.queues, Campaigns(self.database), Lists(self.database), self.shards)
        self.list_settings = NodeLists(self.filters, Campaigns(self.database), Lists(self.database))
        self.costs = spend_keeper(self, SpendLedger(self.redis, self.keys))
        self.gatekeeper = Gatekeeper(
            node=NodeName(settings.node),
            boot=self._boot,
            queues=self.queues,
            record=self._record,
            dispatcher=self.dispatcher,
            requests=requests,
            screen=self.screening,
            give_back=self.outbox.put,
            now=now,
            before_open=self._before_open,
        )
        self.shared_key = await shared_key(self.database, self._data, now())
        self.neighbours = neighbours(self, self._boot)
        self.node_client = node_client(self)
        self.purges = purges_of(self)
        self.opt_outs = OptOutWriter(opt_outs_of(self), self.dispatcher.do_not_call, self.dispatcher.feed, now)
        self.counting = Counting(
            self.database, hoppers_of(self), self._campaign, self.keeper.recently_ended, self.clock.now
        )
        self.keeper.disposed = self.counting.disposed
        attempts = Attempts(self.database)
        self.campaigns = CampaignWatch(
            campaigns=Campaigns(self.database),
            attempts=attempts,
            dispatcher=self.dispatcher,
            live=self.live,
            keeper=self.keeper,
            now=now,
            zone=ZoneInfo(settings.pacing.timezone),
            alone=self.neighbours.alone,
            shards=self.shards,
        )
        self.control = NodeControl(
            dispatcher=self.dispatcher,
            live=self.live,
            dispositions=DispositionDesk(
                dispatcher=self.dispatcher,
                keeper=self.keeper,
                attempts=attempts,
                campaigns=Campaigns(self.database),
                streams=engine_streams_of(self),
                outbox=self.outbox,
                now=now,
                listeners=(self.recent_calls, *self.tracing.projections),
                left_behind=self.neighbours.left_behind,
            ),
            now=now,
            zone=ZoneInfo(settings.pacing.timezone),
            configured=self.filters.tell,
            campaigns=self.campaigns,
            dispose_elsewhere=self.node_client.dispose,
            agents_elsewhere=self.neighbours.agents_by_server,
            shards=self.shards,
        )
        await self.campaigns.begin()
        zone = ZoneInfo(settings.pacing.timezone)
        self.caller_ids = CallerIdCounts(attempts, self.dispatcher.engine.floor, zone, now)
        await self.caller_ids.restore()
        self.phones = NodePhones(
            settings.asterisk, self.switch, self.dispatcher.engine.floor, now, self.neighbours.agents_by_server
        )
        start = self._tasks.start
        start("engine", self.dispatcher.failure())
        start("outbox", self.outbox.run())
        start("opt-outs", self.opt_outs.run())
        start("refusals", self.counting.run())
        start("record", self.keeper.run())
        start("pacing journal", self.pacing.run())
        start("pacing journal ends", self.pacing.clean())
        start("audit log", self.audit.run())
        start("audit log ends", self.audit.clean(settings.compliance.audit_keep_days, by=settings.node, now=now))
        start("time of agents", self.agent_time.run())
        start("time of agents ends", self.agent_time.clean())
        start("recordings", self.recording_keeper.run())
        start("campaigns", self.campaigns.run())
        start("gate", self.gatekeeper.run())
        start("permits", self.gatekeeper.serve_permits())
        start("purges", self.gatekeeper.watch_purges())
        start("registries", self.registries.run())
        start("erasures", self.suppressed.run())
        if self.shards.several:
            start("shared caps", self.shared_caps.run())
        start("rules set aside", self.aside.run())
        start("heartbeat", self.gatekeeper.heartbeat())
        start("due", DueContacts(self.queues, self.dispatcher, self.gatekeeper.wait_open, now).run())
        start("callbacks to come", CallbackClock(self.database, self.dispatcher, self.queues, now).run())
        start("marks", self._keep_marks())
        start("loop lag", lag.watch(self.metrics.event_loop_lag))
        start("samples", sample(self))
        start("worker figures", watch_workers(redis_url, self.metrics.workers))
        start("caller ids", self.caller_ids.run())
        start("costs", self.costs.run())
        start("browsers' phones", self.phones.run())
        start("penetration", keep_penetration(self, Recycling(self.database)))
        start("results", results_feed.follow(self.redis, self.keys["results"], self.results))
        start("results again", results_again(self).run(self.gatekeeper.wait_open))
        self._start_streams()
        self._start_actions()
        start("switch", self._run_switch())
        start("switch events", self._pump())
        await self._start_api(attempts, redis_url)
        # What has been imported and built so far stays: the collector need not look at it again and again, for tens of
        # milliseconds in which no answer is read.
        gc.collect()
        gc.freeze()
        _log.info("node is up", node=settings.node, api=self.api_url, asterisk=len(settings.asterisk))

    async def _open_database(self) -> None:
        """SQLite is brought to this version's tables here; a server's are an operator's decision."""
        if self.database.dialect == "sqlite":
            await schema.migrate(self.database)
        else:
            await schema.require(self.database)

    async def _open_redis(self) -> str:
        if self.settings.redis.url != "embedded":
            self.redis_url = self.settings.redis.url
            return self.settings.redis.url
        self.embedded = EmbeddedServer(self._data / "redis")
        # In this thread: the server dies with the thread that started it.
        self.embedded.start()
        self.redis_url = self.embedded.tcp_url
        return self.embedded.url

    async def _open_rules(self) -> Screening:
        """The rule book and the registries, without which nobody is dialed."""
        settings = self.settings
        folder = Path(settings.compliance.rules) if settings.compliance.rules else find_folder(None)
        book = await asyncio.to_thread(load_rule_book, folder)
        store = RegistryStore(settings.registries_folder, settings.registries.keep)
        self.registries = RegistryWatch(store, settings.registries.lists, settings.registries.poll_s)
        await asyncio.to_thread(self.registries.refresh)
        self.aside = RulesAside(Audit(self.database))
        await self.aside.read()
        destinations = destinations_of(settings)
        self.shared_caps = SharedCaps(Campaigns(self.database), self.shards, book, destinations, self.aside.of)
        return Screening(
            book,
            lambda: self.registries.registries,
            self.suppressed,
            self.aside.of,
            destinations,
            self.shared_caps.problem,
        )

    def _engine(self) -> Engine:
        servers = [Server(name=ServerName(a.name), weight=a.weight) for a in self.settings.asterisk]
        return Engine(
            node=NodeName(self.settings.node),
            servers=servers,
            trunks=trunk_limits(self.settings),
            spending=spending_of(self.settings),
        )

    def _start_streams(self) -> None:
        node, now = self.settings.node, self.clock.now

        beside = groups_beside(self.shards)

        def reader(stream: str, group: str, *, trim: bool = True) -> StreamReader:
            return StreamReader(self.redis, self.keys, stream=stream, group=group, consumer=node, now=now, trim=trim)

        def record(stream: str) -> StreamReader:
            """Of what the other shards must know as well."""
            return StreamReader(
                self.redis, self.keys, stream=stream, group="record", consumer=node, now=now, beside=beside
            )

        attempts = AttemptWriter(self.database, reader("attempts", "sql"), now, linger_s=_RECORD_EVERY_S)
        attempts.gate = self.settings.redis.gate
        self.consumers |= {
            "attempts": attempts,
            "refusals": RefusalWriter(self.database, reader("refusals", "sql"), now, linger_s=_RECORD_EVERY_S),
            "removals": RemovalRecorder(self.database, record("removals"), now, linger_s=_RECORD_EVERY_S),
            "dnc": DoNotCallRecorder(self.database, record("dnc"), now, linger_s=_RECORD_EVERY_S),
            "withdrawn contacts": WithdrawnRecorder(
                self.database,
                reader("results", "record", trim=False),
                now,
                again=record("removals").put_back,
                linger_s=_RECORD_EVERY_S,
            ),
        }
        for consumer in self.consumers.values():
            if isinstance(consumer, AttemptWriter | RemovalRecorder | DoNotCallRecorder | WithdrawnRecorder):
                consumer.erased = self.suppressed.cover
            consumer.losses = self._gate_losses
            consumer.shard = self.settings.redis.shard
        carriers = {} if self.sharding is None else {carrier.stream: carrier for carrier in self.sharding.carriers}
        runs = {**self.consumers, **carriers}
        self._writers = [self._tasks.start(name, consumer.run(self._stop)) for name, consumer in runs.items()]
        phones = PhoneReader(self.settings.default_region, erased=self.suppressed.cover)
        contacts = Contacts(self.database)
        self.desk = ContactDesk(
            contacts, self.queues, phones, Promises(self.database), self.tracing.arrivals, self.shards
        )
        intake = Intake(
            desk=self.desk,
            campaigns=Campaigns(self.database),
            contacts=contacts,
            writer=self.queues,
            engine=self.control,
            phones=phones,
            now=now,
            shards=self.shards,
        )
        self.rules = BookedRules(
            self.screening.book,
            Audit(self.database),
            EvidenceStore(self.database),
            lambda: self.registries.registries,
            self.aside,
        )
        self.segments = SegmentDesk(
            templates=self.settings.templates,
            campaigns=Campaigns(self.database),
            contacts=self.desk,
            engine=self.control,
            broken=self.rules.broken,
            state=self.live.campaign_state,
            now=now,
            shards=self.shards,
        )
        handlers: dict[str, Callable[[Sequence[Message]], Awaitable[None]]] = {
            "contacts": intake.handle_contacts,
            "callbacks": intake.handle_callbacks,
            "dispositions": intake.handle_dispositions,
            "segments": SegmentIntake(self.segments, self.queues, now).handle,
        }
        for stream, handler in handlers.items():
            self._tasks.start(stream, self._when_open(partial(reader(stream, "intake").run, handler)))

    def _start_actions(self) -> None:
        if self.action_rules.rules:
            actions = NextActions(
                self.action_rules,
                self.recent_calls,
                database=self.database,
                desk=self.desk,
                streams=self.purges,
                results=self.queues,
                zone=ZoneInfo(self.settings.pacing.timezone),
                now=self.clock.now,
                shards=self.shards,
            )
            self._tasks.start("next actions", self._when_open(actions.run))

    def _intake(self, redis_url: str) -> NodeIntake:
        settings = self.settings
        worker: WorkerProcess | None = None
        if self.embedded is not None:
            worker = WorkerProcess(
                {
                    "CADENCIA_NODE": settings.node,
                    "CADENCIA_REDIS__URL": redis_url,
                    "CADENCIA_REDIS__PREFIX": settings.redis.prefix,
                    "CADENCIA_DATABASE__URL": settings.database.url,
                    "CADENCIA_COMPLIANCE__RULES": settings.compliance.rules,
                }
            )
            self._tasks.start("worker", worker.run())
        self.jobs = JobOutbox(redis_url)
        self._tasks.start("jobs", self.jobs.run())
        if settings.compliance.apply_retention and self.shards.first:
            self._tasks.start("retention", self._keep_retention())
        wake = worker.wake if worker is not None else lambda: None
        self.what_if = WhatIfDesk(redis_url, wake, self.clock.now)
        folders = any(server.recordings for server in settings.asterisk)
        self._tasks.start("recordings move", self.recordings.run(self.jobs.put, wake, folders=folders))
        figures = RecordingCounts(self.database, self.metrics, self.clock.now)
        self._tasks.start("recording figures", figures.run())
        uploads = look_after_lists(redis_url, Lists(self.database), self._data / "uploads", self.clock.now, self.shards)
        self._tasks.start("unfinished lists", uploads)
        if self.shards.first:
            self._tasks.start("reports", ReportClock(self.schedules, self.jobs, wake, self.clock.now).run())
        telling = partial(tell_webhooks, self, self._tasks, self._deliver_soon, wake)
        self._tasks.start("webhooks", self._when_open(telling))
        if any(self.shards.mine(pull.campaign) for pull in settings.crm.pull):
            self._start_crm(worker)
        return NodeIntake(
            desk=self.desk,
            lists=Lists(self.database),
            settings=self.list_settings,
            checks=ListChecks(self.database),
            outbox=self.jobs,
            worker=worker,
            folder=self._data / "uploads",
            now=self.clock.now,
            shards=self.shards,
        )

    def _start_crm(self, worker: WorkerProcess | None) -> None:
        settings, now = self.settings, self.clock.now
        exchanges = CrmExchanges(settings, self.database, self.jobs.put, self.metrics, now)
        reader = StreamReader(
            self.redis, self.keys, stream="results", group="crm", consumer=settings.node, now=now, trim=False
        )
        for name, work in exchanges.tasks(reader.run).items():
            self._tasks.start(name, self._when_open(work))
        if worker is not None:
            worker.wake()

    def _deliver_soon(self) -> None:
        with contextlib.suppress(QueueError):  # what is due stays on record, and the next result asks again
            self.jobs.put(deliver_webhooks(self.clock.now()))

    async def _start_api(self, attempts: Attempts, redis_url: str) -> None:
        settings = self.settings
        intake = self._intake(redis_url)
        await intake.resume()
        ports = api_ports(self, intake, attempts)
        console = Console(ports, self.shared_key)
        app = with_snippet(create_app(ports, settings, [console_pages(console)]), ports, settings)
        http = settings.api
        app = self.tracing.around(forwarding(app, self, ports, console))
        self._api = ApiServer(app, http.host, http.port, http.tls_certificate_file, http.tls_key_file)
        self.api_url = self._api.bind()
        self.neighbours.address = address(settings, self.api_url)
        self._api_task = self._tasks.start("api", self._api.run())
        self._tasks.start("console", console.run())
        async with asyncio.timeout(_API_START_TIMEOUT_S):
            await self._api.wait_started()
        self._tasks.start("neighbours", self.neighbours.run())
        for abroad in () if self.sharding is None else self.sharding.neighbours:
            self._tasks.start(f"neighbours in {abroad.shard}", abroad.run())

    # ---- work

    async def _when_open(self, work: Callable[[], Awaitable[None]]) -> None:
        await self.gatekeeper.wait_open()
        await work()

    async def _run_switch(self) -> None:
        # What an earlier process left behind must be known before the servers tell which channels they have.
        await self.gatekeeper.wait_open()
        await self.recordings.resume()
        await self.switch.run()

    async def _pump(self) -> None:
        async for event in self.switch.events():
            self.dispatcher.feed(event)

    async def _before_open(self) -> None:
        if self.sharding is not None:
            await self.sharding.before_open()
        await self.filters.tell_all()
        await self.costs.open()

    def _gate_losses(self) -> int:
        return self.gatekeeper.losses

    async def _record(self) -> AsyncIterator[Record]:
        if self.sharding is not None:
            await self.sharding.before_record()
        await self.keeper.record_recent()
        try:
            async with asyncio.timeout(_SETTLE_S):
                for consumer in self.consumers.values():
                    await consumer.recorded()
        except TimeoutError as error:
            raise StorageError("what was read from the streams is not in the database yet") from error
        # Another node's calls of the last moments may be nowhere but there.
        if not await self.neighbours.all_have_told(_SETTLE_S):
            _log.warning("another node has not told of its last calls: they may be made again")
        yield Record(counts={HIGHEST_TOKEN: self._token + _TOKEN_MARGIN})
        now = self.clock.now()
        campaigns = [run.campaign for run in self.dispatcher.engine.floor.campaigns.values()]
        laws = await laws_on_record(self.database, self.screening, campaigns, now - ATTEMPTS_SINCE_S, now)
        gate = self.settings.redis.gate
        async for page in RecordPages(self.database, now, gate=gate, laws=laws, shards=self.shards):
            yield page

    def _campaign(self, campaign: CampaignId) -> Campaign | None:
        run = self.dispatcher.engine.floor.campaigns.get(campaign)
        return None if run is None else run.campaign

    async def _keep_retention(self) -> None:
        """Ask for it often: a day's job is done once, and one that found no worker is asked for again."""
        while True:
            with contextlib.suppress(QueueError):
                self.jobs.put(apply_retention(self.clock.now()))
            await asyncio.sleep(_RETENTION_EVERY_S)

    async def _keep_marks(self) -> None:
        """Note the highest fencing token, so that an emptied Redis goes on above it."""
        while True:
            await asyncio.sleep(_MARK_EVERY_S)
            await self._mark_token()

    async def _mark_token(self) -> None:
        token, marks, prefix = self.queues.highest_token, GateMarks(self.database), self.settings.redis.gate
        try:
            if token > self._token:
                await marks.raise_token(prefix, token, self.clock.now())
            elif mark := await marks.get(prefix):
                # Of another node's permits: where we dial little, a server set back by an hour would look right to us.
                token = max(token, mark.fencing_token)
                self.queues.heard_of(token)
        except StorageError as error:
            _log.warning("fencing token is not on record", error=str(error))
        else:
            self._token = max(self._token, token)

    # ---- stop

    async def _shut_down(self) -> None:
        """Permit nothing, end what rings, write down what has happened."""
        self.gatekeeper.close()
        await self.neighbours.leave()
        floor = self.dispatcher.engine.floor
        for call in [c.id for c in floor.calls.values() if c.unanswered]:
            self.dispatcher.feed(HangupAsked(at=self.clock.now(), call=call, by="shutdown"))
        deadline = self.clock.now() + _HANGUP_GRACE_S
        while any(call.unanswered for call in floor.calls.values()) and self.clock.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # the engine has no event for "nothing rings any more"
        written = (
            await self.opt_outs.flush(_FLUSH_S)
            and await self.outbox.flush(_FLUSH_S)
            and await self.keeper.flush(_FLUSH_S)
            and await self.recording_keeper.flush(_FLUSH_S)
        )
        if not written:
            _log.error("not everything could be written down", redis=len(self.outbox), database=len(self.keeper))
        await self.phones.close()
        await self.pacing.flush(_JOURNAL_FLUSH_S)
        await self.agent_time.flush(_JOURNAL_FLUSH_S)
        self._stop.set()
        if self._writers:
            await asyncio.wait(self._writers, timeout=_FLUSH_S)
        await self._mark_token()
        self._api.stop()
        await asyncio.wait([self._api_task], timeout=_API_STOP_S)
        # Behind the API: what it was asked in its last moments is in the log too.
        await self.audit.flush(_FLUSH_S)

    async def _end(self) -> None:
        """Close what has been opened, in reverse; each is safe to close where it was never opened."""
        async with contextlib.AsyncExitStack() as ends:
            if self.embedded is not None:
                ends.callback(self.embedded.stop)
            ends.push_async_callback(self.database.close)
            if hasattr(self, "redis"):
                ends.push_async_callback(self.redis.aclose)
            if self.sharding is not None:
                ends.push_async_callback(self.sharding.links.close)
            if hasattr(self, "queues"):
                ends.push_async_callback(self.queues.close)
            if hasattr(self, "tracing"):
                ends.push_async_callback(self.tracing.close)
            ends.push_async_callback(self._tasks.stop)
            if hasattr(self, "node_client"):
                ends.push_async_callback(self.node_client.close)
            if hasattr(self, "switch"):
                ends.push_async_callback(self.switch.close)
            if hasattr(self, "dispatcher"):
                ends.callback(self.dispatcher.close)
