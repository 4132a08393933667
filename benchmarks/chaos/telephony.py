"""What stands in for the telephone network in a scenario: the embedded exchange, or the lab's real Asterisk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialed:
    """One call that reached the carrier; `at` in unix seconds."""

    at: float
    #: Id of the dialer's call; empty where the carrier is told the number only.
    call: str
    number: str


class Telephony(Protocol):
    """Asterisk and whatever is behind it: killed and started again as often as wanted, always on the same port."""

    #: Of AMI.
    port: int
    #: Of AMI, as the settings of a node have it.
    secret: str

    def start(self) -> None:
        """Start what does not run; returns when AMI listens."""

    def kill(self) -> None:
        """End Asterisk at once: every call is gone."""

    def stop(self) -> None:
        """End it, at the end of a scenario."""

    def number(self, n: int) -> str:
        """The number of the n-th contact, without its +; what it does is the carrier's business."""

    def phones(self, node: int, count: int) -> list[str]:
        """Phones of the agents of the n-th node; none: whatever phone is called exists."""

    def channels(self) -> set[str]:
        """Customers in a call now, by their numbers where the switch knows them, otherwise by the ids of their calls.

        Raises:
            OSError: Asterisk does not answer.
        """

    def phones_up(self) -> list[str]:
        """Agents' phones in a call now, each as often as it is.

        Raises:
            OSError: Asterisk does not answer.
        """

    def count(self) -> int:
        """Calls that have reached the carrier so far."""

    def dialed(self) -> list[Dialed]:
        """All calls that reached the carrier, oldest first, by its own log."""
