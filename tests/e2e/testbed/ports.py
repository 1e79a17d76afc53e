"""Ports and a loopback network that two test beds on one machine do not share."""

from __future__ import annotations

import socket

# Below the range from which the kernel takes ports of outgoing connections: nobody grabs one between choice and use.
_FIRST_PORT = 20000
_PORTS_OF_A_BED = 50
_FIRST_OCTET, _LAST_OCTET = 10, 249


class Territory:
    """What belongs to one test bed alone until it is closed; the kernel frees it when the process ends.

    `network` is a loopback /16 for pods. A name in the abstract namespace, which only one process can have, stands
    for it and for the ports.
    """

    def __init__(self) -> None:
        for octet in range(_FIRST_OCTET, _LAST_OCTET + 1):
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0breakwater-testbed-127.{octet}")
            except OSError:
                claim.close()
                continue
            self._claim = claim
            self.network = f"127.{octet}.0.0/16"
            self._ports = range(_FIRST_PORT + (octet - _FIRST_OCTET) * _PORTS_OF_A_BED,
                                _FIRST_PORT + (octet - _FIRST_OCTET + 1) * _PORTS_OF_A_BED)
            self._next = 0
            self._reserved: set[int] = set()
            return
        raise RuntimeError("no free loopback network: too many test beds are running")

    def free_ports(self, count: int) -> list[int]:
        """Ports that nobody listens on. Handed out in turn: one comes again when all others had their turn."""
        found: list[int] = []
        for _ in self._ports:
            if len(found) == count:
                break
            port = self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)
            if port not in self._reserved and _is_free(port):
                found.append(port)
        if len(found) < count:
            raise RuntimeError(f"of ports {self._ports.start} to {self._ports.stop - 1} less than {count} are free")
        return found

    def reserve_ports(self, count: int) -> list[int]:
        """The same for components that are stopped and started again: these ports are handed out only once."""
        ports = self.free_ports(count)
        self._reserved.update(ports)
        return ports

    def close(self) -> None:
        self._claim.close()


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
