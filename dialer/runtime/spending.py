"""What calls may cost a day: the settings as tariffs and caps, and the purses of a node kept filled from the ledger.

While calls are made, purses below half are filled up, and those that nobody needs are given back. Whatever
may have been lost on the way counts as spent: a cap is rather reached too early than exceeded. The day's sums survive
Redis: whoever finds none for the record that is loaded reads them from SQL first, before the gate opens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import structlog

from dialer.compliance.destinations import Destinations
from dialer.core.ids import CampaignId, ServerName, TrunkName
from dialer.core.spending import Amount, Cap, Caps, Purse, Scope, Spending, of_trunk
from dialer.core.tariff import Tariff, micros, read_rate_deck, read_rates
from dialer.core.trunks import TrunkLimits
from dialer.errors import ConfigError, GateNotReady, QueueError, StorageError
from dialer.projections.metrics import Metrics
from dialer.queues.spending import Ask, Loan, SpendLedger
from dialer.settings import CarrierTariff, Settings, SpendCap
from dialer.storage.database import Database
from dialer.storage.spending import spent_since

if TYPE_CHECKING:
    from dialer.runtime.node import Node

_log: Final = structlog.get_logger(__name__)

_EVERY_S: Final = 0.25
#: A ledger that changes under our hands so often is in trouble.
_ROUNDS: Final = 5


def read_tariffs(settings: Settings) -> dict[str, Tariff]:
    """The tariffs of the settings by name; reads the rate decks.

    Raises:
        ConfigError: names the tariff and what is wrong with it.
    """
    return {tariff.name: _tariff(tariff) for tariff in settings.costs.tariffs}


def _tariff(tariff: CarrierTariff) -> Tariff:
    where = f"costs.tariffs {tariff.name!r}"
    if bool(tariff.file) == bool(tariff.rates):
        raise ConfigError(f"{where}: give either rates or a file")
    if tariff.file:
        try:
            return read_rate_deck(Path(tariff.file).read_text(encoding="utf-8-sig").splitlines(), tariff.file)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: cannot read {tariff.file}: {error}") from error
    return read_rates(
        (
            {
                "prefix": rate.prefix,
                "per_minute": rate.per_minute,
                "set_up": rate.set_up,
                "per_attempt": rate.per_attempt,
                "minimum_s": str(rate.minimum_s),
                "increment_s": str(rate.increment_s),
            }
            for rate in tariff.rates
        ),
        where,
    )


def trunk_limits(settings: Settings) -> list[TrunkLimits]:
    """All trunks of all servers, with what their carriers take.

    Raises:
        ConfigError: a tariff is wrong.
    """
    tariffs = read_tariffs(settings)
    return [
        TrunkLimits(
            server=ServerName(server.name),
            name=TrunkName(trunk.name),
            max_channels=trunk.max_channels,
            max_calls_per_second=trunk.max_calls_per_second,
            tariff=tariffs[trunk.tariff] if trunk.tariff else None,
        )
        for server in settings.asterisk
        for trunk in server.trunks
    ]


def caps_of(settings: Settings) -> Caps:
    """The caps of the settings."""
    return Caps(
        installation=_cap(settings.costs.cap),
        each_campaign=_cap(settings.costs.each_campaign),
        campaigns={CampaignId(name): _cap(cap) for name, cap in settings.costs.campaigns.items()},
        trunks={
            of_trunk(ServerName(server.name), TrunkName(trunk.name)): _cap(trunk.cap)
            for server in settings.asterisk
            for trunk in server.trunks
        },
    )


def _cap(cap: SpendCap) -> Cap:
    return Cap(
        micros=micros(cap.money) if cap.money else None,
        seconds=None if cap.minutes is None else int(cap.minutes * 60),
    )


def spending_of(settings: Settings) -> Spending:
    """Empty purses for the caps of the settings."""
    return Spending(caps_of(settings), settings.costs.expected_call_s)


def destinations_of(settings: Settings) -> Destinations:
    """Where the settings allow calls to go.

    Raises:
        ConfigError: there is no such place.
    """
    return Destinations(
        settings.destinations.allowed, settings.destinations.barred, settings.redis.table.called_elsewhere
    )


def day_of(zone: ZoneInfo, now: float) -> tuple[str, float]:
    """The local date, and the unix seconds of its midnight."""
    local = datetime.fromtimestamp(now, zone)
    return local.date().isoformat(), local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


class SpendKeeper:
    """Keeps the purses of one node filled.

    Args:
        spending: of the node's engine.
        ledger: shared by all nodes.
        database: the record.
        zone: in which a day begins.
        now: the clock.
        metrics: are told how far each cap is used.
    """

    def __init__(
        self,
        spending: Spending,
        ledger: SpendLedger,
        database: Database,
        zone: ZoneInfo,
        now: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._spending = spending
        self._ledger = ledger
        self._database = database
        self._zone = zone
        self._now = now
        self._metrics = metrics
        #: Of the loaded record that what we have was lent of.
        self._generation = ""
        #: Held by calls under way of a ledger that was lost.
        self._owed: dict[Scope, Amount] = {}
        self._lock = asyncio.Lock()
        self._said = ""

    async def open(self) -> None:
        """Before the gate opens: what was lent by another ledger counts no more, and the day's sums are in this one.

        Raises:
            GateNotReady, QueueError, StorageError: they are not, and nobody may be dialed.
        """
        await self._fill(at_least_ask=True)

    async def run(self) -> None:
        """Fill the purses and empty those not needed, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._fill()
                self._said = ""
            except GateNotReady:
                continue  # the gatekeeper has the record loaded, and asks us before it opens
            except (QueueError, StorageError) as error:
                if self._said != str(error):
                    self._said = str(error)
                    _log.warning("what calls may cost is not known to be left", error=str(error))

    async def _fill(self, *, at_least_ask: bool = False) -> None:
        if not self._spending.limited:
            return
        async with self._lock:
            for _ in range(_ROUNDS):
                now = self._now()
                day, began = day_of(self._zone, now)
                self._begin(day)
                asks = [ask for scope in self._spending.purses if (ask := self._wanted(scope, now)) is not None]
                if not asks and not at_least_ask:
                    return
                for ask in asks:
                    # Whether or not the ledger hears of it: nothing must be here and there.
                    self._spending.give_back(ask.scope, ask.wanted)
                loans = await self._ledger.lend(day, self._generation, asks)
                if loans.generation and loans.generation == self._generation:
                    for ask, loan in zip(asks, loans.loans, strict=True):
                        self._enter(ask, loan)
                    return
                self._change(loans.generation or await self._read(day, began))
            raise QueueError("the record is loaded again and again: what calls may cost is not known")

    def _begin(self, day: str) -> None:
        """Of other caps, on another day, nothing has been lent."""
        if day != self._spending.day:
            for scope in self._spending.purses:
                self._metrics.cost_cap(str(scope), used=0.0, reached=False)
            self._owed.clear()
            self._spending.begin_day(day)

    async def _read(self, day: str, began: float) -> str:
        """Enter what the record says of a day; the generation of the record, or empty where that changed meanwhile."""
        generation = await self._ledger.generation()
        spent = await spent_since(self._database, began)
        return generation if await self._ledger.enter(day, generation, spent) else ""

    def _change(self, generation: str) -> None:
        """The ledger is of another record: it knows of no loan of ours, and not what calls under way will cost."""
        if generation and generation != self._generation:
            self._generation = generation
            self._spending.drop_purses()
            self._owed = {scope: self._spending.held(scope) for scope in self._spending.purses}

    def _wanted(self, scope: Scope, now: float) -> Ask | None:
        purse = self._spending.purses[scope]
        wanted = self._spending.wish(scope, now)
        owed = self._owed.get(scope, Amount()) + _debt(purse)
        if wanted == owed == Amount():
            return None
        return Ask(scope=scope, cap=purse.cap, owed=owed, wanted=wanted, least=purse.usual)

    def _enter(self, ask: Ask, loan: Loan) -> None:
        paid = ask.owed - self._owed.pop(ask.scope, Amount())
        lent = Amount(max(0, loan.lent.micros), max(0, loan.lent.seconds))
        short = (
            (ask.cap.micros, ask.wanted.micros, lent.micros, ask.least.micros),
            (ask.cap.seconds, ask.wanted.seconds, lent.seconds, ask.least.seconds),
        )
        exhausted = any(
            cap is not None and wanted > 0 and got < min(wanted, max(1, least)) for cap, wanted, got, least in short
        )
        self._spending.lent(ask.scope, paid + lent, exhausted=exhausted)
        shares = ((ask.cap.micros, loan.out.micros), (ask.cap.seconds, loan.out.seconds))
        used = max((out / cap if cap else 1.0 for cap, out in shares if cap is not None), default=0.0)
        self._metrics.cost_cap(str(ask.scope), used=used, reached=exhausted)


def spend_keeper(node: Node, ledger: SpendLedger) -> SpendKeeper:
    """The keeper of a node's purses."""
    zone = node.settings.costs.timezone or node.settings.pacing.timezone
    return SpendKeeper(
        node.dispatcher.engine.floor.spending, ledger, node.database, ZoneInfo(zone), node.clock.now, node.metrics
    )


def _debt(purse: Purse) -> Amount:
    return Amount(max(0, -purse.left.micros), max(0, -purse.left.seconds))
