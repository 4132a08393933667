"""The dialplan of ``config/asterisk`` as the embedded exchange knows it: contexts, names, times, and refusals."""

from __future__ import annotations

import re
from typing import Final

from dialer.simulation.world import Reaction

#: Contexts of the dialplan; those for whom the extension names a room or a sound take any that begins like a name.
START: Final = frozenset({"cadencia-wait", "cadencia-amd", "cadencia-goodbye", "cadencia-comfort"})
NAMED: Final = frozenset({"cadencia-agent", "cadencia-connect", "cadencia-message", "cadencia-announce"})
#: The channel that speaks in a room; of its two halves there is only the one that plays the sound.
ANNOUNCER: Final = "Local/cadencia-announcer/n"
#: The one at a customer's ear, likewise.
COMFORTER: Final = "Local/cadencia-comforter/n"
LOCAL: Final = frozenset({ANNOUNCER, COMFORTER})
#: Extensions of cadencia-monitor, and the options with which each of them spies.
MODES: Final = {"listen": "quESX", "whisper": "quwESX", "barge": ""}
#: Who comes into a room by which context.
PROFILES: Final = {
    "cadencia-agent": "cadencia_agent",
    "cadencia-connect": "cadencia_customer",
    "cadencia-monitor": "cadencia_supervisor",
}
_FIRST: Final = re.compile(r"[0-9A-Za-z_]", re.ASCII)
UNNAMED: Final = re.compile(r"[^0-9A-Za-z_-]", re.ASCII)
NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
#: BridgeWait(…S(10)) of the dialplan: nobody is left on a silent line.
WAIT_LIMIT_S: Final = 10.0
#: Of cadencia-message: for how long after it the key still counts, and how long somebody who pressed it waits.
KEY_AFTER_S: Final = 3.0
OPT_OUT_WAIT_S: Final = 5.0
GOODBYE_S: Final = 1.5
ANNOUNCEMENT_S: Final = 1.2
COMFORT_S: Final = 20.0

#: Q.850 cause, SIP status and DialStatus of the ways in which a carrier refuses.
REFUSALS: Final = {
    Reaction.BUSY: (17, 486, "BUSY"),
    Reaction.REJECTED: (21, 603, "NOANSWER"),
    Reaction.UNAVAILABLE: (19, 480, "NOANSWER"),
    Reaction.INVALID: (1, 404, "NOANSWER"),
    Reaction.CONGESTION: (34, 503, "CONGESTION"),
}


def knows(context: str, exten: str) -> bool:
    """Whether the dialplan has this extension."""
    if context in START:
        return exten == "s"
    if context == "cadencia-monitor":
        return exten in MODES
    return context in NAMED and _FIRST.match(exten) is not None
