"""Measures answering-machine detection: what it says of each persona, and how long after the answer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from . import plan
from .ami import Ami
from .layout import Layout
from .plan import Kind, Persona
from .servers import secret

#: Every persona that a detector can be asked about.
MEASURED = tuple(persona for persona in Persona if persona is not Persona.ECHO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """The verdicts on one persona: (status, cause) and seconds from the answer to the UserEvent, call by call."""

    persona: Persona
    verdicts: tuple[tuple[str, str], ...]
    seconds: tuple[float, ...]

    @property
    def machines(self) -> int:
        return sum(status == "MACHINE" for status, _ in self.verdicts)

    @property
    def humans(self) -> int:
        return sum(status == "HUMAN" for status, _ in self.verdicts)

    def line(self) -> str:
        causes = sorted({f"{status} {cause.partition('-')[0]}" for status, cause in self.verdicts})
        return (
            f"{self.persona:<14} human {self.humans:>2}  machine {self.machines:>2}  of {len(self.verdicts):>2}   "
            f"p50 {statistics.median(self.seconds):.2f} s  max {max(self.seconds):.2f} s   {', '.join(causes)}"
        )


def measure(
    layout: Layout, *, options: str = "", calls: int = 10, personas: Sequence[Persona] = MEASURED
) -> list[Verdicts]:
    """Calls each persona `calls` times; `options` as in CADENCIA_AMD, or amd.conf's.

    Times are by Asterisk's own clock.
    """
    done = []
    with Ami(layout.ami_port, "cadencia", secret(layout)) as ami:
        serial = int(time.monotonic() * 10) % 50_000
        for persona in personas:
            ids = [f"amd-{persona}-{serial}-{index}" for index in range(calls)]
            for index, call in enumerate(ids):
                number = plan.number(Kind.AUDIO, serial + index, persona=persona)
                ami.send(
                    "Originate",
                    Channel=f"PJSIP/{number}@voice",
                    Context="cadencia-amd",
                    Exten="s",
                    Priority=1,
                    Async="true",
                    Timeout=10000,
                    ChannelId=call,
                    variables={"CADENCIA_CALL": call} | ({"CADENCIA_AMD": options} if options else {}),
                )
            verdicts, seconds = [], []
            for call in ids:
                told = ami.event("UserEvent", UserEvent="CadenciaAmd", Call=call, seconds=20)
                answered = ami.event("Newstate", Uniqueid=call, ChannelStateDesc="Up")
                verdicts.append((told["Status"], told["Cause"]))
                seconds.append(float(told["Timestamp"]) - float(answered["Timestamp"]))
                ami.send("Hangup", Channel=call)
            done.append(Verdicts(persona=persona, verdicts=tuple(verdicts), seconds=tuple(seconds)))
    return done
