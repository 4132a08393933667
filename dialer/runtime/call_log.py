"""A line in the log for each step of each call, where the settings ask for it: how an operator follows one call.

The id of a call is that of the attempt: by it the lines lead to the attempt on record, to Asterisk's channel (whose
Uniqueid it is) and to the results that a CRM was told. Who was called is not in the lines.
"""

from __future__ import annotations

from typing import Final

import structlog

from dialer.core.notices import (
    AnyNotice,
    CallConnected,
    CallEnded,
    CallOptedOut,
    CallRang,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    CallWasDisposed,
)

_log: Final = structlog.get_logger(__name__)


class CallLog:
    """Writes what notices say of calls."""

    def apply(self, notice: AnyNotice) -> None:
        """Log a step of a call."""
        match notice:
            case CallStarted():
                _log.info(
                    "call started",
                    call=notice.call,
                    campaign=notice.campaign,
                    attempt=notice.attempt_number,
                    server=notice.server,
                    trunk=notice.trunk,
                )
            case CallRang():
                _log.info("call rings", call=notice.call, campaign=notice.campaign)
            case CallWasAnswered():
                _log.info("call answered", call=notice.call, campaign=notice.campaign, ring_s=round(notice.ring_s, 3))
            case CallConnected():
                _log.info(
                    "call connected",
                    call=notice.call,
                    campaign=notice.campaign,
                    agent=notice.agent,
                    wait_s=round(notice.wait_s, 3),
                )
            case CallWasAbandoned():
                _log.info("call abandoned", call=notice.call, campaign=notice.campaign, wait_s=round(notice.wait_s, 3))
            case CallOptedOut():
                _log.info("call opted out", call=notice.call, campaign=notice.campaign, by=notice.by)
            case CallEnded():
                attempt = notice.attempt
                _log.info(
                    "call ended",
                    call=attempt.call,
                    campaign=attempt.campaign,
                    attempt=attempt.attempt_number,
                    outcome=attempt.outcome.value,
                    reason=attempt.reason,
                    agent=attempt.agent,
                    talk_s=None if attempt.talk_s is None else round(attempt.talk_s, 3),
                )
            case CallWasDisposed():
                _log.info(
                    "call disposed", call=notice.call, campaign=notice.campaign, code=notice.code, agent=notice.agent
                )
            case _:
                pass  # of no call
