"""Segments: one message of a CRM that makes a campaign from a template, loads its contacts and starts it.

Everything in it can be repeated: the campaign remembers the segment that it was made from, contacts are upserts, and
only a draft is started, so that a message which comes again does not restart what a person has paused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta

from dialer.campaigns import dump_campaign, parse_campaign
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.ids import CampaignId, MessageId, valid_contact_id, valid_name
from dialer.core.shards import ONE_REDIS, Shards, check_here
from dialer.errors import ConfigError, InputError
from dialer.intake.desk import ContactDesk, Verdict
from dialer.intake.messages import MAX_CONTACTS, MAX_MESSAGE_BYTES, problem_of
from dialer.queues import results
from dialer.queues.port import Publish, Write
from dialer.queues.streams import Message, Poison
from dialer.storage.campaigns import StoredCampaign

_PUBLISH_AT_ONCE: Final = 500
#: What of a template is the campaign's own and never copied.
_OWN: Final = ("id", "name", "segment")


class RawSegment(msgspec.Struct):
    """A segment of the CRM becomes a campaign."""

    id: Annotated[str | int, Meta(description="The same segment has the same id; results carry it as ref")]
    template: Annotated[str, Meta(description="A template of the settings, or a campaign to be like")]
    campaign: Annotated[str | None, Meta(description="That it becomes; absent: the segment's id")] = None
    name: Annotated[str | None, Meta(description="For people")] = None
    settings: Annotated[dict[str, Any] | None, Meta(description="What differs from the template")] = None
    contacts: Annotated[
        list[msgspec.Raw] | None, Meta(description="Up to 1,000; more come as contacts of the campaign")
    ] = None
    start: Annotated[bool, Meta(description="Whether it is started; one that ran before is not")] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment, as far as its form goes."""

    ref: MessageId
    campaign: CampaignId
    template: str
    name: str
    settings: Mapping[str, Any]
    #: Each the JSON of one contact.
    contacts: tuple[bytes, ...]
    start: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a segment."""

    campaign: CampaignId
    #: False where this segment had made it before.
    created: bool
    #: By this message; False where it runs, or was stopped by somebody, already.
    started: bool
    #: Of its contacts, in their order.
    verdicts: tuple[Verdict, ...]


_SEGMENT: Final = msgspec.json.Decoder(RawSegment)


def read_segment(data: bytes) -> Segment:
    """A message of ``segments``.

    Raises:
        InputError: says what to correct.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise InputError(f"{len(data)} bytes; at most {MAX_MESSAGE_BYTES} in one message", word="too_large")
    try:
        raw = _SEGMENT.decode(data)
    except msgspec.ValidationError as error:
        raise InputError(problem_of(error), word="wrong_type") from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InputError(problem_of(error), word="not_json") from error
    ref = str(raw.id)
    if not valid_contact_id(ref):
        raise InputError("id must have 1 to 128 characters, none of them a control character", word="invalid_id")
    campaign = ref if raw.campaign is None else raw.campaign
    if not valid_name(campaign):
        raise InputError(
            f"campaign {campaign[:80]!r} cannot be a campaign: 1 to 64 letters, digits, _ and -", word="wrong_value"
        )
    contacts = raw.contacts or []
    if len(contacts) > MAX_CONTACTS:
        raise InputError(
            f"{len(contacts)} contacts in one message; at most {MAX_CONTACTS}: send the rest to its campaign",
            word="too_large",
        )
    return Segment(
        ref=MessageId(ref),
        campaign=CampaignId(campaign),
        template=raw.template,
        name=raw.name or "",
        settings=raw.settings or {},
        contacts=tuple(bytes(contact) for contact in contacts),
        start=raw.start,
    )


class CampaignRecord(Protocol):
    """The record of campaigns (`dialer.storage.campaigns.Campaigns`)."""

    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        """One campaign, or None."""

    async def create(self, campaign: Campaign, now: float) -> bool:
        """Add a campaign as a draft; False where its id is taken."""


class Rule(Protocol):
    """A rule that settings break (`dialer.api.campaign_ports.BrokenRule`)."""

    @property
    def setting(self) -> str:
        """Which."""

    @property
    def says(self) -> str:
        """What the rule says about it."""

    @property
    def of_law(self) -> bool:
        """A rule of law or of a code is broken, and not only our own policy."""


class Engine(Protocol):
    """The way into the engine (`dialer.api.ports.Control`)."""

    async def submit(self, event: CampaignConfigured | CampaignOrdered) -> None:
        """Hand an event to the engine."""


class SegmentDesk:
    """Takes segments.

    Args:
        templates: settings of campaigns by name, as the settings file has them.
        campaigns: the record.
        contacts: takes their contacts.
        engine: is told of campaigns and their start.
        broken: which rules settings break at a moment.
        state: where a campaign stands now; None where the engine has not heard of it.
        now: the clock.
        shards: campaigns are made in the own one.

    Raises:
        ConfigError: a template is none; names what is wrong with it.
    """

    def __init__(
        self,
        *,
        templates: Mapping[str, Mapping[str, Any]],
        campaigns: CampaignRecord,
        contacts: ContactDesk,
        engine: Engine,
        broken: Callable[[Campaign, float], Sequence[Rule]],
        state: Callable[[CampaignId], CampaignState | None],
        now: Callable[[], float],
        shards: Shards = ONE_REDIS,
    ) -> None:
        self._shards = shards
        for name, settings in templates.items():
            try:
                parse_campaign({**settings, "id": "template"})
            except InputError as error:
                raise ConfigError(f"templates.{name}: {error}") from error
        self._templates = templates
        self._campaigns = campaigns
        self._contacts = contacts
        self._engine = engine
        self._broken = broken
        self._state = state
        self._now = now

    async def take(self, segment: Segment) -> Taken:
        """Make the campaign, load its contacts, start it. Can be repeated.

        Raises:
            InputError: there is no such template, its settings cannot be, or the campaign is another's or of another
                shard.
            StorageError, QueueError: not all was done; repeat.
        """
        check_here(self._shards, segment.campaign)
        stored = await self._campaigns.get(segment.campaign)
        created = False
        if stored is None:
            campaign = await self._made_from(segment)
            created = await self._campaigns.create(campaign, self._now())
            stored = await self._campaigns.get(segment.campaign)
            assert stored is not None, "campaigns are never deleted"
        if stored.campaign.segment != segment.ref:
            raise InputError(
                f"campaign: {segment.campaign!r} was not made from this segment; give the segment a campaign of its "
                "own, or push its contacts to that one",
                word="exists",
            )
        # Again where it was made before: a crash may have been in between.
        if created or self._state(segment.campaign) is None:
            await self._engine.submit(CampaignConfigured(at=self._now(), campaign=stored.campaign, state=stored.state))
        verdicts = await self._contacts.take_json(segment.campaign, segment.contacts, self._now())
        state = self._state(segment.campaign) or stored.state
        started = segment.start and state is CampaignState.DRAFT
        if started:
            order = CampaignOrdered(at=self._now(), campaign=segment.campaign, state=CampaignState.RUNNING)
            await self._engine.submit(order)
        return Taken(campaign=segment.campaign, created=created, started=started, verdicts=tuple(verdicts))

    async def _made_from(self, segment: Segment) -> Campaign:
        template = await self._template(segment.template)
        own = {"id": segment.campaign, "name": segment.name, "segment": segment.ref}
        wrong = sorted(set(segment.settings) & set(_OWN))
        if wrong:
            raise InputError(f"settings.{wrong[0]}: stands beside `settings`, not in them", word="wrong_value")
        campaign = parse_campaign({**template, **segment.settings, **own})
        against = [rule for rule in self._broken(campaign, self._now()) if rule.of_law]
        if against:
            raise InputError("; ".join(f"{rule.setting}: {rule.says}" for rule in against), word="breaks_a_rule")
        return campaign

    async def _template(self, name: str) -> Mapping[str, Any]:
        found = self._templates.get(name)
        if found is not None:
            return found
        like = await self._campaigns.get(CampaignId(name)) if valid_name(name) else None
        if like is None:
            raise InputError(
                f"template: there is no template and no campaign {name[:80]!r}",
                word="unknown_template",
                allowed=sorted(self._templates),
            )
        return {key: value for key, value in dump_campaign(like.campaign).items() if key not in _OWN}


class ResultWriter(Protocol):
    """Where results are published (`dialer.queues.port.Queues`)."""

    async def write(self, writes: Sequence[Write]) -> None:
        """Carry out writes in their order."""


class SegmentIntake:
    """Handler for the stream ``segments``."""

    def __init__(self, desk: SegmentDesk, writer: ResultWriter, now: Callable[[], float]) -> None:
        self._desk = desk
        self._writer = writer
        self._now = now

    async def handle(self, messages: Sequence[Message]) -> None:
        """Each is answered with ``segment.accepted`` and a result for each contact.

        Raises:
            Poison: names the messages that cannot be used; the others are done.
            StorageError, QueueError: hand the whole batch in again.
        """
        poison: dict[str, str] = {}
        refs: dict[str, str | None] = {}
        for message in messages:
            try:
                segment = read_segment(message.data)
                refs[message.id] = segment.ref
                await self._publish(segment, await self._desk.take(segment))
            except InputError as error:
                poison[message.id] = f"{error.word}: {error}"
        if poison:
            raise Poison(poison, refs)

    async def _publish(self, segment: Segment, taken: Taken) -> None:
        now = self._now()
        found = [contact_result(verdict, segment.campaign, segment.ref, now) for verdict in taken.verdicts]
        accepted = sum(verdict.accepted for verdict in taken.verdicts)
        found.append(
            results.segment_accepted(
                now,
                campaign=taken.campaign,
                ref=segment.ref,
                created=taken.created,
                started=taken.started,
                accepted=accepted,
                rejected=len(taken.verdicts) - accepted,
            )
        )
        for start in range(0, len(found), _PUBLISH_AT_ONCE):
            await self._writer.write([Publish(result=result) for result in found[start : start + _PUBLISH_AT_ONCE]])


def contact_result(verdict: Verdict, campaign: CampaignId, ref: MessageId, now: float) -> results.Result:
    """What the CRM learns of one contact."""
    if verdict.reason is None and verdict.id is not None:
        told = results.contact_accepted(now, campaign=campaign, contact=verdict.id, ref=ref)
        return told | {"reason": verdict.problem} if verdict.problem else told
    reason = f"{verdict.reason}: {verdict.problem}"
    return results.contact_rejected(now, campaign=campaign, contact=verdict.id, reason=reason, ref=ref)
