"""A TCP proxy that breaks connections in the ways networks do. It does not look into TLS."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import Iterator, Optional, Union

from .loop import LoopServer, reset

READ_SIZE = 64 * 1024


@dataclasses.dataclass(frozen=True)
class Delay:
    """Every piece of data is late by this much, in both directions."""
    seconds: float


@dataclasses.dataclass(frozen=True)
class Drop:
    """Connections, old and new, are closed with FIN and without TLS' close_notify."""


@dataclasses.dataclass(frozen=True)
class Reset:
    """Connections, old and new, end with RST."""


@dataclasses.dataclass(frozen=True)
class BlackHole:
    """Connections stay open and are silent. One that was in it never recovers, as after a lost NAT entry.

    `requests=True`: requests still reach the server and only replies are lost, so that writes take effect unseen.
    """
    requests: bool = False


@dataclasses.dataclass(frozen=True)
class HalfChunk:
    """Replies stop with RST after this many bytes (of TLS records, so mostly in the middle of one)."""
    count: int = 1000


@dataclasses.dataclass(frozen=True)
class TlsCut:
    """Old connections are closed; new ones are closed in the middle of the server's part of the handshake."""
    count: int = 100


Fault = Union[Delay, Drop, Reset, BlackHole, HalfChunk, TlsCut]


@dataclasses.dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: Optional[asyncio.StreamWriter] = None
    lost: Optional[BlackHole] = None
    reply_budget: Optional[int] = None  # bytes that may still pass to the client
    reset_at_end: bool = False

    def cut(self, with_reset: bool) -> None:
        for writer in (self.client, self.server):
            if writer is None:
                continue
            if with_reset:
                reset(writer)
            else:
                writer.transport.close()

    def inflict(self, fault: Optional[Fault], new: bool) -> None:
        self.reply_budget = None
        if isinstance(fault, BlackHole):
            self.lost = fault
        elif isinstance(fault, HalfChunk):
            self.reply_budget, self.reset_at_end = fault.count, True
        elif isinstance(fault, TlsCut) and new:
            self.reply_budget, self.reset_at_end = fault.count, False
        elif isinstance(fault, (Drop, Reset, TlsCut)):
            self.cut(with_reset=isinstance(fault, Reset))


class FaultProxy(LoopServer):
    """Forwards to `host:port`, with one fault at a time."""

    def __init__(self, host: str, port: int):
        super().__init__("fault-proxy")
        self._target = (host, port)
        self._fault: Optional[Fault] = None
        self._connections: set[_Connection] = set()
        self.accepted = 0  # connections so far

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def set_fault(self, fault: Optional[Fault]) -> None:
        """The fault holds for all connections from now on, old and new; None heals."""
        def switch() -> None:
            self._fault = fault
            for connection in list(self._connections):
                connection.inflict(fault, new=False)
        self._call(switch)

    def heal(self) -> None:
        self.set_fault(None)

    @contextlib.contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        self.set_fault(fault)
        try:
            yield
        finally:
            self.heal()

    def strike(self, fault: Fault) -> None:
        """Hits the connections that exist now; the next ones are well."""
        self.set_fault(fault)
        self.heal()

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self.accepted += 1
        self._connections.add(connection)
        connection.inflict(self._fault, new=True)
        try:
            if writer.transport.is_closing():
                return
            server_reader, connection.server = await asyncio.open_connection(*self._target)
            pumps = [asyncio.create_task(self._pump(connection, reader, connection.server, reply=False)),
                     asyncio.create_task(self._pump(connection, server_reader, writer, reply=True))]
            try:
                # Ends when one side has ended: HTTP over TLS knows no half-closed connections.
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
        finally:
            self._connections.discard(connection)
            if connection.server is not None:
                connection.server.transport.abort()

    async def _pump(self, connection: _Connection, source: asyncio.StreamReader, target: asyncio.StreamWriter,
                    reply: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(READ_SIZE):
                if isinstance(self._fault, Delay):
                    await asyncio.sleep(self._fault.seconds)
                if connection.lost and (reply or not connection.lost.requests):
                    continue
                if reply and connection.reply_budget is not None:
                    data = data[:connection.reply_budget]
                    connection.reply_budget -= len(data)
                target.write(data)
                await target.drain()
                if reply and connection.reply_budget == 0:
                    connection.cut(connection.reset_at_end)
                    return
        if connection.lost and reply:
            await asyncio.Event().wait()  # the client must not learn that the server has closed
