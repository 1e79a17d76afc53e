"""Free ports and loopback networks that two test beds on one machine do not share."""

from __future__ import annotations

import random
import socket

# Below the range from which the kernel takes ports of outgoing connections: nobody grabs one between choice and use.
_PORTS = range(20000, 32000)


def free_ports(count: int) -> list[int]:
    generator = random.SystemRandom()
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            s = socket.socket()
            try:
                s.bind(("127.0.0.1", generator.choice(_PORTS)))
                sockets.append(s)
            except OSError:
                s.close()
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def claim_pod_network() -> tuple[str, socket.socket]:
    """Returns a loopback /16 and the socket that keeps it ours; the kernel frees it when the process ends."""
    for octet in range(10, 250):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0breakwater-testbed-127.{octet}")
            return f"127.{octet}.0.0/16", claim
        except OSError:
            claim.close()
    raise RuntimeError("no free loopback network: too many test beds are running")
