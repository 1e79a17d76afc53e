"""The moment in which a command begins on a node, told by the DRBD simulator without delay."""

from __future__ import annotations

import json
import selectors
import socket
import time
from typing import Any, Iterable, Optional


class Trigger:
    """Asked for when constructed; `wait` gives the first command that fits on one of the nodes."""

    def __init__(self, bed, nodes: Iterable[str], pattern: str):
        self._sockets = []
        for node in nodes:
            s = socket.socket(socket.AF_UNIX)
            self._sockets.append(s)
            s.connect(str(bed.drbd_socket))
            s.sendall(json.dumps({"op": "await", "node": node, "pattern": pattern}).encode() + b"\n")

    def __enter__(self) -> "Trigger":
        return self

    def __exit__(self, *_: object) -> None:
        for s in self._sockets:
            s.close()

    def wait(self, timeout: float) -> Optional[dict[str, Any]]:
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            for s in self._sockets:
                selector.register(s, selectors.EVENT_READ)
            ready = selector.select(max(0, deadline - time.monotonic()))
        if not ready:
            return None
        with ready[0][0].fileobj.makefile("rb") as f:  # type: ignore
            answer = json.loads(f.readline())
        if "error" in answer:
            raise RuntimeError(f"drbd-sim: await: {answer['error']}")
        return answer["command"]
