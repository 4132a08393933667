"""The day's costs in Redis: caps that all nodes share, lent in parts by one atomic step (see ``lua/spend.lua``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dialer.core.spending import Amount, Cap, Scope
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys
from dialer.queues.scripts import Scripts

#: A day is over everywhere by then.
_KEEP_S: Final = 3 * 86_400
_FIELDS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a node wants of one cap."""

    scope: Scope
    cap: Cap
    #: Spent beyond what was lent.
    owed: Amount
    #: Below nothing: is given back.
    wanted: Amount
    #: Less than it is of no use: the hold of one call.
    least: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """What was lent of one cap, and what is out in all: lent to all nodes today, spent or not."""

    lent: Amount
    out: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Loans:
    """The answer to some asks, in their order; none where what the node has is of another generation."""

    #: Of the loaded record; empty: the day has to be read from the record first.
    generation: str
    loans: tuple[Loan, ...]


class SpendLedger:
    """The shared ledger under one key prefix."""

    def __init__(self, client: AsyncRedis, keys: Keys) -> None:
        self._client = client
        self._gate = keys["gate"]
        self._scripts = Scripts(keys)

    async def lend(self, day: str, generation: str, asks: Sequence[Ask]) -> Loans:
        """Lend parts of caps on a local date; `generation`: that of what was lent before, empty for none.

        Raises:
            GateNotReady: the record has not been loaded.
            QueueError: out of reach; perhaps it was lent, and counts as spent.
        """
        args: list[Any] = [day, _KEEP_S, generation]
        for ask in asks:
            args.append(str(ask.scope))
            args += ["" if ask.cap.micros is None else ask.cap.micros]
            args += [ask.owed.micros, ask.wanted.micros, ask.least.micros]
            args += ["" if ask.cap.seconds is None else ask.cap.seconds]
            args += [ask.owed.seconds, ask.wanted.seconds, ask.least.seconds]
        told = await self._run("spend", *args)
        figures = [int(figure) for figure in told[1:]]
        loans = (
            Loan(lent=Amount(figures[i], figures[i + 2]), out=Amount(figures[i + 1], figures[i + 3]))
            for i in range(0, len(figures), _FIELDS)
        )
        return Loans(generation=told[0].decode(), loans=tuple(loans))

    async def generation(self) -> str:
        """Of the loaded record; empty where none is."""
        with redis_errors():
            known = await self._client.hget(self._gate, "generation")
        return known.decode() if isinstance(known, bytes) else ""

    async def enter(self, day: str, generation: str, spent: Mapping[Scope, Amount]) -> bool:
        """Enter what the record says has been spent; False where the record was loaded anew meanwhile.

        Raises:
            GateNotReady: the record has not been loaded.
            QueueError: out of reach; do it again.
        """
        args: list[Any] = [day, _KEEP_S, generation]
        for scope, amount in spent.items():
            args += [str(scope), amount.micros, amount.seconds]
        return bool(await self._run("spend_read", *args))

    async def _run(self, script: str, *args: Any) -> Any:
        with redis_errors():
            return await self._client.execute_command(  # type: ignore[no-untyped-call]  # redis-py
                "EVALSHA", self._scripts[script], 0, *args
            )
