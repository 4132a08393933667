"""Where a lab keeps its files, which ports it uses, and what can go wrong with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_PORT_BASE: Final = 5000
DEFAULT_PHONES: Final = 20
MAX_PHONES: Final = 50
#: Phones for browsers; nobody has registered them.
WEB_PHONES: Final = ("web-ana", "web-leo")
HOST: Final = "127.0.0.1"
PROJECT: Final = Path(__file__).resolve().parents[2]


class LabError(Exception):
    """The lab cannot do what was asked; the text says what to do about it."""


def default_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "cadencia-lab"


@dataclass(frozen=True, slots=True)
class Layout:
    """One lab: the programs, shared by all labs of a directory, and the run folder of one port base."""

    directory: Path
    port_base: int = DEFAULT_PORT_BASE

    def __post_init__(self) -> None:
        if not self.directory.is_absolute():
            raise LabError(f"the lab's directory has to be absolute, and {self.directory} is not")
        if self.port_base % 100 or not 2000 <= self.port_base <= 65400:
            raise LabError(f"a port base is a multiple of 100 from 2000 to 65400, not {self.port_base}")

    # ---- programs
    @property
    def programs(self) -> Path:
        return self.directory / "programs"

    @property
    def root(self) -> Path:
        """The unpacked packages."""
        return self.programs / "root"

    # ---- this lab
    @property
    def run(self) -> Path:
        return self.directory / f"run-{self.port_base}"

    @property
    def secret_file(self) -> Path:
        return self.run / "secret"

    @property
    def carrier_log(self) -> Path:
        """What SIPp did with each call."""
        return self.run / "carrier" / "calls.log"

    @property
    def voice_log(self) -> Path:
        """What the second Asterisk did with each call."""
        return self.run / "voice" / "log" / "calls.log"

    # ---- ports
    @property
    def ami_port(self) -> int:
        return self.port_base + 38

    @property
    def voice_ami_port(self) -> int:
        return self.port_base + 39

    @property
    def sip_port(self) -> int:
        return self.port_base + 60

    @property
    def carrier_port(self) -> int:
        return self.port_base + 70

    @property
    def voice_port(self) -> int:
        return self.port_base + 80

    @property
    def web_port(self) -> int:
        """SIP over WebSocket, in clear, at the dialer's Asterisk."""
        return self.port_base + 88

    @property
    def web_tls_port(self) -> int:
        """The same over TLS, once it has a certificate (`servers.serve_web_tls`)."""
        return self.port_base + 89

    @property
    def dead_port(self) -> int:
        """Nobody ever listens here: the trunk `dead`."""
        return self.port_base + 99

    @property
    def rtp_start(self) -> int:
        """6,000 ports for each lab: 4,000 for the dialer's Asterisk, 1,900 for the second one, the rest for SIPp."""
        return 20000 + 6000 * ((self.port_base - DEFAULT_PORT_BASE) // 100 % 7)
