"""Every error that Cadencia raises on purpose, split by whose fault it is and what to do.

    DialerError
    ├── ConfigError            the operator's settings are wrong: change them and start again
    ├── ProtocolError
    │   ├── LocalProtocolError     we were about to say something that the protocol forbids: a bug, nothing was sent
    │   └── RemoteProtocolError    the peer said something that cannot be understood: the connection is of no more use
    ├── SwitchError            an Asterisk server refused or is out of reach (``retryable`` says whether waiting helps)
    ├── QueueError             Redis refused or is out of reach (``retryable``)
    │   ├── GateNotReady       Redis came back empty or stale: nobody is dialed until the record has been loaded again
    │   └── ShardAway          one Redis of several is out of reach (``carried_out`` says whether anything was done)
    ├── MailError              a mail server refused or is out of reach (``retryable``)
    ├── StorageError           the database refused or is out of reach (``retryable``)
    ├── StoreError             the store of recordings refused or is out of reach (``retryable``)
    ├── CrmError               a CRM refused, failed or is out of reach (``retryable``, ``wait_s``)
    ├── InputError             a row, message or request from outside cannot be used; the text says what to correct
    └── InvalidTransition      a state machine was asked for a step that its table does not have: a bug

"Not eligible", "refused by the gate" and "nobody to dial" are values, not errors.

What people read comes with a `code` and `arguments` where it can be said in other words or another language: the
text is for those who read English, the code for whoever has a catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any


class DialerError(Exception):
    """Root of all errors raised on purpose."""

    #: The text for a catalogue; empty: there is none.
    code: str = ""
    arguments: Mapping[str, Any] = MappingProxyType({})


class ConfigError(DialerError):
    """The settings are wrong; the text names the setting and what it may be."""


class ProtocolError(DialerError):
    """Somebody broke a wire protocol."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; the connection must be closed."""


class RetryableError(DialerError):
    """An error of a part outside; ``retryable`` says whether the same request may succeed later."""

    #: The part outside is well: it is what it was given that is at fault.
    about_input = False

    def __init__(self, message: str, *, retryable: bool = True, code: str = "", **arguments: Any) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.code = code
        self.arguments = arguments


class SwitchError(RetryableError):
    """An Asterisk server refused, timed out or is out of reach."""


class QueueError(RetryableError):
    """Redis refused, timed out or is out of reach."""


class GateNotReady(QueueError):
    """Redis is not the server that was prepared (restarted, failed over, emptied): rebuild before dialing."""


class ShardAway(QueueError):
    """One Redis of several refused or is out of reach; `carried_out`: "no", or "unknown" where others were told."""

    def __init__(self, shard: str, error: QueueError, carried_out: str) -> None:
        done = "nothing was done" if carried_out == "no" else "others may have been told"
        super().__init__(f"shard {shard}: {error} ({done})", retryable=error.retryable, code="shard_away", shard=shard)
        self.carried_out = carried_out


class MailError(RetryableError):
    """A mail server refused, timed out or is out of reach."""


class StorageError(RetryableError):
    """The database refused, timed out or is out of reach."""


class StoreError(RetryableError):
    """The store of recordings refused, timed out or is out of reach."""


class CrmError(RetryableError):
    """A CRM refused, failed or is out of reach; `wait_s`: it asked not to be asked again for so long."""

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = True,
        status: int | None = None,
        wait_s: float | None = None,
        code: str = "",
        **arguments: Any,
    ) -> None:
        # Most texts name the status: it is an argument of theirs as well.
        told = arguments if status is None else {"status": status} | arguments
        super().__init__(message, retryable=retryable, code=code, **told)
        self.status = status
        self.wait_s = wait_s


class InputError(DialerError):
    """Something from outside cannot be used; the text says where and what to correct.

    `word` says the same to machines; `allowed` lists what it may be, where that can be listed; `code` with `arguments`
    is the text for a catalogue, without the name of the field.
    """

    def __init__(
        self, message: str, *, word: str = "invalid", allowed: Sequence[str] = (), code: str = "", **arguments: Any
    ) -> None:
        super().__init__(message)
        self.word = word
        self.allowed = tuple(allowed)
        self.code = code
        self.arguments = arguments


class InvalidTransition(DialerError):
    """A state machine was asked for a step that its table does not have."""
