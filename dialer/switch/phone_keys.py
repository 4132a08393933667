"""Passwords of phones in browsers on one server: its dialplan writes them down, and says when they hold.

AMI may write to Asterisk's database with the right ``system`` alone, which runs programs as well. So a Local channel is
sent through the context ``cadencia-phone-key``, which writes this one thing, and is gone again within milliseconds.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from dialer.ami import actions
from dialer.ami.actions import Action
from dialer.ami.messages import Message
from dialer.errors import LocalProtocolError

#: Of ``config/asterisk/webrtc/extensions_webrtc.conf``.
CONTEXT: Final = "cadencia-phone-key"
_MARK: Final = "phone-key~"
_TIMEOUT_S: Final = 5.0
_PHONE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{20,64}", re.ASCII)
_REALM: Final = re.compile(r"[A-Za-z0-9.-]{1,128}", re.ASCII)


def is_phone_key(uniqueid: str) -> bool:
    """Whether a channel only carries a password."""
    return uniqueid.startswith(_MARK)


class PhoneKeys:
    """What one server was asked to write down, and has not confirmed yet."""

    def __init__(self, run: str) -> None:
        """`run` tells this process from others."""
        self._run = run
        self._number = 0
        self._asked: dict[str, asyncio.Future[str]] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, phone: str, key: str, realm: str) -> tuple[str, Action, asyncio.Future[str]]:
        """What to send, under which ActionID, and what will hold the problem; an empty one where there is none.

        Raises:
            LocalProtocolError: the dialplan would not write one of these down as it is.
        """
        if not (_PHONE.fullmatch(phone) and _KEY.fullmatch(key) and _REALM.fullmatch(realm)):
            raise LocalProtocolError("a phone, its password or its realm has characters that cannot be written down")
        self._number += 1
        asked = f"{_MARK}{self._run}-{self._number}"
        action = actions.originate(
            f"Local/s@{CONTEXT}/n",
            context=CONTEXT,
            exten="s",
            channel_id=asked,
            timeout_s=_TIMEOUT_S,
            variables={
                "CADENCIA_ASKED": asked,
                "CADENCIA_PHONE": phone,
                "CADENCIA_PHONE_KEY": key,
                "CADENCIA_PHONE_REALM": realm,
            },
        )
        self._asked[asked] = waiting = asyncio.get_running_loop().create_future()
        return asked, action, waiting

    def refused(self, asked: str, problem: str) -> None:
        """Asterisk would not begin."""
        self._answer(asked, problem)

    def forget(self, asked: str) -> None:
        """Nobody waits any more."""
        self._asked.pop(asked, None)

    def handle(self, message: Message) -> None:
        """What one event means; most mean nothing to us.

        The OriginateResponse that follows is nothing to go by: it comes another way, and may overtake.
        """
        if message.event == "UserEvent" and message.get("UserEvent") == "CadenciaPhoneKey":
            self._answer(message.get("Asked", ""), "")

    def _answer(self, asked: str, problem: str) -> None:
        waiting = self._asked.pop(asked, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(problem)
