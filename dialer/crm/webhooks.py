"""Results to webhooks: from the stream into the record of deliveries, and a word to the workers who make them.

    cadencia:results ─ group "webhooks" ─► deliveries in SQL (id = key of the result, and address) ─► job for RQ

The record stands between: a result is acknowledged when its deliveries are in SQL, and a delivery is done when the
receiver has answered 2xx, so that nothing is lost whoever dies. The receiver may get one twice and knows it by its id;
a result that is told again on the stream is the delivery that it was (docs/adr/0017).
What is told of one contact is told in its order: the next waits until the one before is delivered, or given up.
The requests are those of Standard Webhooks 1.0 (standardwebhooks.com), for which most languages have a library.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from dialer.core.tenants import INSTALLATION, concerns
from dialer.errors import ConfigError, QueueError
from dialer.queues.result_keys import result_key
from dialer.queues.streams import Message
from dialer.settings import Webhook
from dialer.storage.do_not_call import position_of
from dialer.storage.webhook_book import KeptWebhook
from dialer.storage.webhooks import Delivery

#: Seconds until the next try, after the first, second, … has failed; after the last (three days) it is given up.
RETRIES_S: Final = (5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 64_800, 64_800, 64_800)
_PREFIX: Final = "whsec_"
_CLOCKS_AGREE_S: Final = 60.0


class DeliveryStore(Protocol):
    """Where deliveries are kept (`dialer.storage.webhooks.Webhooks`)."""

    async def add(self, batch: Sequence[Delivery], now: float) -> None:
        """Keep deliveries to be made; one whose id is known is left as it is."""

    async def known(self, ids: Collection[str]) -> set[str]:
        """Which of these are kept already."""


class WebhookSource(Protocol):
    """Webhooks that are made while the node runs (`dialer.storage.webhook_book.WebhookBook`)."""

    async def all(self) -> Sequence[KeptWebhook]:
        """Every one of them."""


class _Typed(msgspec.Struct):
    type: str
    at: str = ""
    campaign: str = ""
    contact: str = ""
    agent: str = ""


_TYPED: Final = msgspec.json.Decoder(_Typed)


class WebhookFeed:
    """Handler for the stream ``results``.

    Args:
        webhooks: of the settings.
        deliveries: the record.
        wake: tells the workers that something is due (puts `dialer.intake.jobs.deliver_webhooks` into the outbox).
        now: the clock.
        source: webhooks besides those of the settings; None: there are none.

    Raises:
        ConfigError: a webhook cannot be called.
    """

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        deliveries: DeliveryStore,
        wake: Callable[[], None],
        now: Callable[[], float],
        source: WebhookSource | None = None,
    ) -> None:
        for webhook in webhooks:
            check_webhook(webhook)
        self._webhooks = tuple(webhooks)
        self._deliveries = deliveries
        self._wake = wake
        self._now = now
        self._source = source

    async def handle_results(self, messages: Sequence[Message]) -> None:
        """Note the deliveries of some results.

        Raises:
            StorageError, QueueError: hand the whole batch in again.
        """
        now = self._now()
        # Looked at for each batch, a millisecond for up to a hundred results: one that is made, at whichever node, is
        # told of everything that is written once its maker has the answer, and of nothing once it is gone.
        kept = () if self._source is None else await self._source.all()
        if not self._webhooks and not kept:
            return
        due: list[Delivery] = []
        former: dict[str, str] = {}
        for message in messages:
            found = self._deliveries_of(message, kept, now)
            due += found
            if message.deliveries > 1:
                # Perhaps it was handed to an earlier version first, which had its own ids for what it noted.
                former |= {each.id: former_id(message.id, each.url) for each in found}
        if former:
            known = await self._deliveries.known(former.values())
            due = [each for each in due if former.get(each.id) not in known]
        if due:
            await self._deliveries.add(due, now)
            self._wake()

    async def wake_regularly(self, every_s: float = 2.0) -> None:
        """Wake the workers again and again, until cancelled: for retries, and for what a dead worker left behind."""
        while True:
            await asyncio.sleep(every_s)
            with contextlib.suppress(QueueError):  # too many wait already: there is one among them
                self._wake()

    def _deliveries_of(self, message: Message, kept: Sequence[KeptWebhook], now: float) -> list[Delivery]:
        try:
            typed = _TYPED.decode(message.data)
            payload = message.data.decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []  # no result of ours; somebody else wrote into the stream
        whose = {"campaign": typed.campaign, "agent": typed.agent}
        receivers = [webhook.url for webhook in self._webhooks if not webhook.types or typed.type in webhook.types]
        receivers += [
            webhook.id
            for webhook in kept
            if (not webhook.types or typed.type in webhook.types)
            and (webhook.tenant == INSTALLATION or concerns(webhook.tenant, whose))
            and moment_of(message.id) >= webhook.created_at
            and not _long_before(typed.at, webhook.created_at)
        ]
        key = result_key(message.data)
        return [
            Delivery(
                id=delivery_id(key, receiver),
                url=receiver,
                type=typed.type,
                payload=payload,
                next_at=now,
                subject=f"{typed.campaign}/{typed.contact}" if typed.contact else "",
                position=position_of(message.id),
            )
            for receiver in receivers
        ]


def moment_of(entry: str) -> float:
    """When a result was written, by Redis' clock: unix seconds, to the millisecond."""
    return int(entry.partition("-")[0]) / 1_000.0


def delivery_id(key: str, receiver: str) -> str:
    """The same for the same result (`dialer.queues.result_keys.result_key`) and receiver, whenever it is made."""
    return f"{_digest(key)[:24]}.{_digest(receiver)[:12]}"


def former_id(entry: str, receiver: str) -> str:
    """The id of a delivery from before results had keys: by the place in the stream."""
    return f"{entry}.{_digest(receiver)[:12]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _long_before(told_at: str, moment: float) -> bool:
    """Whether something happened before a moment, by more than the clocks of two nodes differ.

    What is told again has a new place in the stream, and is as old as it was.
    """
    try:
        return datetime.fromisoformat(told_at).timestamp() < moment - _CLOCKS_AGREE_S
    except ValueError:
        return False


def check_webhook(webhook: Webhook) -> None:
    """Make sure that a webhook can be called.

    Raises:
        ConfigError: says which setting must be another.
    """
    if not webhook.url.startswith(("http://", "https://")):
        raise ConfigError("webhooks: url must begin with http:// or https://")
    for secret in (webhook.secret, *webhook.previous_secrets):
        signing_key(secret)


def signing_key(secret: str) -> bytes:
    """The key of the signature: base64 after ``whsec_``, else the text itself.

    Raises:
        ConfigError: what follows ``whsec_`` is not base64.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("webhooks: what follows whsec_ in the secret must be base64") from error


def headers_of(delivery: Delivery, secrets: Sequence[str], now: float) -> Mapping[str, str]:
    """The headers of one request: id, time and, for each secret, a signature over both and the body.

    Several, while a key is being changed: the receiver accepts the request by the one that it knows.
    """
    timestamp = str(int(now))
    headers = {
        "content-type": "application/json",
        "user-agent": "Cadencia",
        "idempotency-key": delivery.id,
        "webhook-id": delivery.id,
        "webhook-timestamp": timestamp,
    }
    signed = f"{delivery.id}.{timestamp}.{delivery.payload}".encode()
    digests = [hmac.digest(signing_key(secret), signed, "sha256") for secret in secrets if secret]
    if digests:
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return headers


def retry_at(attempts: int, now: float, asked_s: float | None = None) -> float | None:
    """When to try again after the `attempts`-th try (from 1) has failed; None: give up.

    `asked_s`: what the receiver said in Retry-After; waited for, up to a day.
    """
    if attempts > len(RETRIES_S):
        return None
    return now + max(RETRIES_S[attempts - 1], min(asked_s or 0.0, 86_400.0))
