"""When a node may dial from a server: it holds the record, or was loaded with it, and knows of the node's calls."""

from __future__ import annotations

import secrets

from redis import exceptions

from dialer.errors import QueueError
from dialer.queues.link import Link
from dialer.queues.own_calls import OwnCalls
from dialer.queues.port import AsyncRecords
from dialer.queues.rebuild import load_record
from dialer.queues.server_check import LAYOUT, Company, ServerIdentity, check_server, shut


class Opening:
    """Opens the gate of a server.

    Args:
        link: to the server.
        calls: of this node.
        company: the other nodes.
        strict: whether other clients' writes will be held back, which the server may forbid.
    """

    def __init__(self, link: Link, calls: OwnCalls, company: Company, *, strict: bool) -> None:
        self._link = link
        self._calls = calls
        self._company = company
        self._strict = strict

    async def prepare(self) -> bool:
        """Open the gate of a server that holds the record; False: it must be loaded."""
        if self._strict:
            await self._check_pause()
        identity = await self._identity()
        if not identity.holds_record:
            return False
        await self._link.load_scripts()
        if await self._ghosts("look"):
            # Another node has opened it; of our own calls it remembers some that are over.
            return False
        return await self._open(identity, mode="known", back=identity.generation == self._link.generation)

    async def rebuild(self, pages: AsyncRecords) -> None:
        """Load the record, and open the gate."""
        identity = await self._identity()
        back = identity.generation == self._link.generation
        if identity.generation and not identity.holds_record:
            # Before it can run scripts. One that was set back does not know of calls that have begun since, takes
            # their ends for repeated ones and answers that all is well; and other nodes might dial from it.
            await shut(self._link.client, self._link.keys, identity.generation)
        await self._link.load_scripts()
        # First of all: the record puts back into the hopper whom nobody is calling.
        await self._ghosts("drop")
        # Whichever node opens it, it knows of our calls by then.
        await self._relive(back=back)
        self._link.heard_of(await load_record(self._link.client, self._link.scripts, pages))
        await self._open(await self._identity(), mode="loaded", back=back)

    async def _check_pause(self) -> None:
        try:
            await self._link.command("CLIENT", "PAUSE", 1, "WRITE")
        except exceptions.ResponseError as error:
            raise QueueError(
                f"Redis forbids CLIENT PAUSE ({error}): allow this user +client|pause and +client|unpause, or set"
                " redis.strict_gate = false and accept that a removal written in the very millisecond of an originate"
                " may come too late for it",
                retryable=False,
            ) from error

    async def _identity(self) -> ServerIdentity:
        return await check_server(self._link.client, self._link.keys, self._link.highest_token, self._company)

    async def _ghosts(self, do: str) -> int:
        """How many calls of this node the server takes for under way that are not; "drop": no longer.

        A server that was set back to an earlier state does. Nobody else will ever end them: their owner lives.
        """
        return int(await self._link.run("ghosts", self._link.owner, do, *self._calls.names()))

    async def _relive(self, *, back: bool) -> None:
        """Tell the server of our calls under way; `back`: it was loaded as the one that we knew."""
        calls = self._calls
        # A server that came back with all it had knows of their ends, if those had reached it.
        told = [each for call, each in calls.all_under_way().items() if not (back and call in calls.ending)]
        if told:
            args = [part for each in told for part in each.args()]
            for i in range(0, len(args), 14 * 200):
                await self._link.run("relive", self._link.owner, *args[i : i + 14 * 200])

    async def _open(self, identity: ServerIdentity, *, mode: str, back: bool) -> bool:
        """Tell the server of our calls under way, then mark it as the holder of the record."""
        await self._relive(back=back)
        generation = identity.generation if mode == "known" else f"{identity.run_id}:{secrets.token_hex(4)}"
        if not await self._link.run("open", generation, identity.run_id, self._link.highest_token, mode, LAYOUT):
            return False
        self._link.generation = generation
        return True
