"""An asyncio server in a thread, so that a test (which is synchronous) controls it with plain calls."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from typing import Any, Callable, Coroutine, Optional, TypeVar

T = TypeVar("T")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LoopServer:
    """Listens on a free port of loopback from `start` to `stop`; `serve_connection` is called for each connection."""

    def __init__(self, name: str, tls: Optional[ssl.SSLContext] = None):
        self._name, self._tls = name, tls
        self._tasks: set[asyncio.Task] = set()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self):
        # The socket is made here, so that the port is known and stays ours before the loop runs.
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda *_: None)  # broken connections are what this is for
        self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, sock=self._socket, ssl=self._tls))
        return self

    def stop(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def _call(self, function: Callable[[], T]) -> T:
        """Runs a plain function in the loop's thread: the only one that touches connections."""
        async def call() -> T:
            return function()
        return self._run(call())

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.serve_connection(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # either side went away
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST, as a firewall or a crashed host does."""
    try:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    except OSError:
        pass  # already closed
    writer.transport.abort()
