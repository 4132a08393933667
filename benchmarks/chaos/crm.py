"""A CRM at the far end of a webhook, real HTTP on the loopback, that fails a share of the time in every way there is.

500                 nothing taken
429                 with Retry-After, nothing taken
cut request         reads half of the request and hangs up, nothing taken
cut answer          taken, half of the answer, hangs up
silent, not taken   no answer until the dialer gives up
silent, taken       the same, but it was taken: the dialer must send it again, and the key tells
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import threading
from collections import Counter
from typing import Any, Final, Self

from aiohttp import web

_WAYS: Final = ("500", "429", "cut request", "cut answer", "silent, not taken", "silent, taken")
_RETRY_AFTER_S: Final = 2


class FailingCrm:
    """Takes results by their idempotency key, each once, on an event loop of its own.

    Args:
        share: of the requests that fail.
        seed: of which, and how.
        most: failures of one result, at most, so that a run comes to its end.
    """

    def __init__(self, share: float, seed: int, most: int) -> None:
        self._share = share
        self._seed = seed
        self._most = most
        #: By key, in the order in which they were taken: digest of the body.
        self.taken: dict[str, bytes] = {}
        #: By call, the types of results that were taken, in order.
        self.by_call: dict[str, list[str]] = {}
        #: Requests by key; and what went wrong how often.
        self.heard: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        #: Requests that came although they had been taken before.
        self.repeated = 0
        self.url = ""
        #: Fails always, as long as it is set.
        self.down = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crm", daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._runner is not None
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_post("/results", self._results)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/results"

    async def _results(self, request: web.Request) -> web.StreamResponse:
        key = request.headers["Idempotency-Key"]
        self.heard[key] += 1
        way = self._way(key)
        if way:
            self.failures[way] += 1
        match way:
            case "500":
                return web.Response(status=500)
            case "429":
                return web.Response(status=429, headers={"Retry-After": str(_RETRY_AFTER_S)})
            case "cut request":
                await request.content.read(20)
                return self._hang_up(request, web.Response())
            case "silent, not taken":
                await asyncio.Event().wait()
        self._take(key, await request.read())
        match way:
            case "cut answer":
                answer = web.StreamResponse(headers={"Content-Length": "1000"})
                with contextlib.suppress(OSError):  # the dialer may have gone meanwhile
                    await answer.prepare(request)
                    await answer.write(b'{"ok": ')
                return self._hang_up(request, answer)
            case "silent, taken":
                await asyncio.Event().wait()
        return web.Response()

    def _way(self, key: str) -> str:
        """How this request fails; empty: it does not."""
        if self.down:
            return "500"
        tries = self.heard[key]
        chance = random.Random(f"{self._seed}/{key}/{tries}")
        return chance.choice(_WAYS) if tries <= self._most and chance.random() < self._share else ""

    def _take(self, key: str, body: bytes) -> None:
        if key in self.taken:
            self.repeated += 1
            return
        self.taken[key] = hashlib.sha256(body).digest()
        result: dict[str, Any] = json.loads(body)
        if "call" in result:
            self.by_call.setdefault(result["call"], []).append(result["type"])

    @staticmethod
    def _hang_up(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.close()
        return answer
