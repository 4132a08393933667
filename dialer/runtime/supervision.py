"""Supervisors at a node: their sessions in the engine, messages to agents, and what of it goes into the audit log."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from dialer.api.audit_ports import AuditTrail
from dialer.api.supervision_ports import AgentMessage
from dialer.core.audit_note import AuditNote
from dialer.core.events import MonitorAsked, MonitorChangeAsked, MonitorEndAsked
from dialer.core.ids import AgentId, CallId, MonitorId
from dialer.core.monitor import MonitorMode, MonitorState
from dialer.core.notices import AnyNotice, MonitorChanged
from dialer.queues import results
from dialer.queues.port import Publish
from dialer.runtime.dispatcher import Dispatcher
from dialer.runtime.outbox import Outbox

#: Messages that are kept of each agent, and agents of whom any are.
_MESSAGES: Final = 20
_AGENTS: Final = 5_000


class NodeSupervision:
    """`dialer.api.supervision_ports.Supervision`."""

    def __init__(self, dispatcher: Dispatcher, outbox: Outbox, now: Callable[[], float]) -> None:
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._now = now
        self._messages: dict[AgentId, deque[AgentMessage]] = {}

    def attend(self, agent: AgentId, extension: str, mode: MonitorMode, by: str) -> str:
        """Begin a session, change it, or say why not."""
        desk = self._dispatcher.engine.monitors
        refusal = desk.refusal(agent, extension, mode)
        if refusal:
            return refusal
        found, at = desk.on_extension(extension), self._now()
        if found is not None:
            self._dispatcher.feed(MonitorChangeAsked(at=at, monitor=found.id, agent=agent, mode=mode, by=by))
        else:
            monitor = MonitorId(secrets.token_hex(8))
            self._dispatcher.feed(
                MonitorAsked(at=at, monitor=monitor, agent=agent, extension=extension, mode=mode, by=by)
            )
        return ""

    def leave(self, monitor: MonitorId, by: str) -> None:
        """End a session."""
        self._dispatcher.feed(MonitorEndAsked(at=self._now(), monitor=monitor, by=by))

    def tell(self, agent: AgentId, text: str, by: str) -> AgentMessage:
        """Send an agent a message."""
        message = AgentMessage(id=secrets.token_hex(8), agent=agent, text=text, by=by, at=self._now())
        kept = self._messages.setdefault(agent, deque(maxlen=_MESSAGES))
        kept.append(message)
        if len(self._messages) > _AGENTS:
            del self._messages[next(iter(self._messages))]
        told = results.agent_message(message.at, id=message.id, agent=agent, text=text, by=by)
        self._outbox.put([Publish(result=told)], urgent=True)
        return message

    def told(self, agent: AgentId) -> Sequence[AgentMessage]:
        """The latest messages of an agent."""
        return tuple(self._messages.get(agent, ()))


class MonitorAudit:
    """Puts on record who has attended whose talks, and which calls they were; a projection of the dispatcher's."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail
        #: The talk that each session was last seen at.
        self._at: dict[MonitorId, CallId | None] = {}

    def apply(self, notice: AnyNotice) -> None:
        """Take one notice in."""
        if not isinstance(notice, MonitorChanged):
            return
        known, before = notice.monitor in self._at, self._at.get(notice.monitor)
        if notice.state is MonitorState.OVER:
            deed = "ended"
            self._at.pop(notice.monitor, None)
        else:
            deed = "started" if not known else "changed" if notice.call in {None, before} else "attended"
            self._at[notice.monitor] = notice.call or before
        details = {"session": notice.monitor, "extension": notice.extension, "mode": notice.mode.value}
        details |= {"state": notice.state.value} | ({"call": notice.call} if notice.call else {})
        details |= {"reason": notice.reason} if notice.reason else {}
        self._trail.note(
            AuditNote(
                at=notice.at, who=notice.by, action=f"monitor.{deed}", object=f"agent:{notice.agent}", details=details
            )
        )
