"""Which addresses this dialer connects to of its own accord: webhooks and CRMs must not lead it into its own network.

A URL comes from the settings, from a link in a CRM's answer, or from whoever may change a name in DNS. So the check is
made where it cannot be got round: on the very address of each connection, after the name was resolved. Nothing follows
redirects. Internal addresses are allowed one by one or by network (`outbound.internal` in the settings).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from dialer.errors import ConfigError

#: An IPv4 address in its last 32 bits: a router may translate them (RFC 6052, RFC 8215).
_TRANSLATED: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class InternalAddress(OSError):
    """An address of one's own network was not connected to: `address`."""

    def __init__(self, address: str) -> None:
        super().__init__(
            errno.EACCES, f"{address} is an internal address, which outbound.internal of the settings must allow"
        )
        self.address = address


class Destinations:
    """The addresses that may be connected to."""

    def __init__(self, internal: Sequence[str] = ()) -> None:
        """Public addresses, and those of `internal`: networks (CIDR) or single addresses.

        Raises:
            ConfigError: one of them is neither.
        """
        try:
            self._internal = tuple(ip_network(text, strict=False) for text in internal)
        except ValueError as error:
            raise ConfigError(
                f"outbound.internal: {error}; write networks such as 10.1.2.0/24, or single addresses"
            ) from error

    def allowed(self, address: str) -> bool:
        """Whether `address` (numeric, IPv4 or IPv6) may be connected to."""
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        meant = _meant(parsed)
        if any(each.version == network.version and each in network for each in meant for network in self._internal):
            return True
        return all(each.is_global and not each.is_multicast for each in meant)

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """The socket for one address as `getaddrinfo` gives it; the `socket_factory` of a connector.

        Raises:
            InternalAddress: the address is internal and not allowed.
        """
        family, kind, protocol, _, address = info
        if not self.allowed(address[0]):
            raise InternalAddress(address[0])
        return socket.socket(family, kind, protocol)


def _meant(address: IPv4Address | IPv6Address) -> tuple[IPv4Address | IPv6Address, ...]:
    """Every address that packets to `address` may end at: itself, or the IPv4 address wrapped in it."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.teredo is not None:
        return (address, *address.teredo)
    if any(address in network for network in _TRANSLATED):
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return (address,)
