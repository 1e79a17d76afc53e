"""An HTTPS proxy that answers in the API server's place: throttled, overloaded, broken, cut in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import random
import re
import ssl
from typing import Iterator, Optional, Sequence, Union

from .loop import LoopServer, reset

HEAD_LIMIT = 1 << 20
WATCH = re.compile(r"[?&]watch=(true|1)\b")
REASONS = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}


@dataclasses.dataclass(frozen=True)
class Answer:
    """The request does not reach the server; a Status with this code is the reply.

    Hits a share of the requests that use one of `methods` (none = all) and whose path with query matches `path`.
    """
    code: int
    share: float = 1.0
    methods: Sequence[str] = ()
    path: str = ""
    retry_after: Optional[int] = None

    def encode(self) -> bytes:
        body = json.dumps({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": self.code,
            "message": f"answered {self.code} by the fault proxy", "reason": REASONS.get(self.code, ""),
            "details": {"retryAfterSeconds": self.retry_after} if self.retry_after else {}}).encode()
        lines = [f"HTTP/1.1 {self.code} Fault", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        if self.retry_after is not None:
            lines.append(f"Retry-After: {self.retry_after}")
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclasses.dataclass(frozen=True)
class Truncate:
    """The reply's body ends with RST after `count` bytes: inside a chunk, inside an object. Hits as Answer does."""
    count: int = 200
    share: float = 1.0
    methods: Sequence[str] = ()
    path: str = ""


Rule = Union[Answer, Truncate]


def _hits(rule: Rule, method: str, target: str, rng: random.Random) -> bool:
    return ((not rule.methods or method in rule.methods) and bool(re.search(rule.path, target)) and
            rng.random() < rule.share)


@dataclasses.dataclass
class _Head:
    first_line: bytes
    headers: dict[bytes, bytes]  # lower-case names
    raw: bytes

    @property
    def chunked(self) -> bool:
        return b"chunked" in self.headers.get(b"transfer-encoding", b"")

    @property
    def length(self) -> int:
        return int(self.headers.get(b"content-length", b"0"))


class AnswerProxy(LoopServer):
    """Terminates TLS with `certificate` (PEM, key PEM) and forwards to the API server at `host:port`.

    HTTP/1.1 only; 101 (exec) turns a connection into a tunnel. Credentials must be tokens, as a client certificate
    ends here.
    """

    def __init__(self, host: str, port: int, server_ca: str, certificate: tuple[str, str], directory, seed: int = 1):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = directory / "fault-proxy.pem"
        pem.touch(mode=0o600)
        pem.write_text(certificate[0] + certificate[1])
        tls.load_cert_chain(pem)
        super().__init__("answer-proxy", tls)
        self._client_tls = ssl.create_default_context(cadata=server_ca)
        self._target = (host, port)
        self._rules: tuple[Rule, ...] = ()
        self._random = random.Random(seed)
        self.hits = 0  # requests that a rule has hit
        self.watch_hits = 0  # and those of them that open a watch

    @contextlib.contextmanager
    def answers(self, *rules: Rule) -> Iterator[None]:
        """The first rule that hits decides; without one the request goes to the server."""
        self._call(lambda: setattr(self, "_rules", rules))
        try:
            yield
        finally:
            self._call(lambda: setattr(self, "_rules", ()))

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: Optional[_Stream] = None
        request = await _read_head(reader)
        ahead: Optional[asyncio.Task] = None
        try:
            while request is not None:
                body = await _read_body(reader, request)
                method, target, _ = request.first_line.decode("latin-1").split(" ", 2)
                rule = next((r for r in self._rules if _hits(r, method, target, self._random)), None)
                self.hits += rule is not None
                self.watch_hits += rule is not None and bool(WATCH.search(target))
                if isinstance(rule, Answer):
                    writer.write(rule.encode())
                    await writer.drain()
                    request = await _read_head(reader)
                    continue
                if upstream is None:
                    upstream = _Stream(*await asyncio.open_connection(*self._target, ssl=self._client_tls,
                                                                      limit=HEAD_LIMIT))
                upstream.writer.write(request.raw + body)
                await upstream.writer.drain()
                if b"upgrade" in request.headers:
                    await _tunnel(_Stream(reader, writer), upstream)
                    return
                # Read ahead: a client that leaves in the middle of a watch must end the watch at the server too.
                ahead = asyncio.create_task(_read_head(reader))
                ahead.add_done_callback(_abort_at_end(upstream.writer))
                budget = rule.count if isinstance(rule, Truncate) else None
                if not await _relay_reply(upstream.reader, writer, method, budget):
                    return
                request = await ahead
        finally:
            if ahead is not None:
                ahead.cancel()
            if upstream is not None:
                upstream.writer.transport.abort()


@dataclasses.dataclass
class _Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def _abort_at_end(writer: asyncio.StreamWriter):
    def done(task: asyncio.Task) -> None:
        if task.cancelled() or task.exception() is not None or task.result() is None:
            writer.transport.abort()
    return done


async def _relay_reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str,
                       budget: Optional[int]) -> bool:
    """Whether the connection can carry another request."""
    reply = await _read_head(reader)
    if reply is None:
        return False
    writer.write(reply.raw)
    await writer.drain()
    code = int(reply.first_line.split(b" ")[1])
    if method != "HEAD" and code not in (204, 304):
        async for piece in _body_pieces(reader, reply):
            if budget is not None and len(piece) >= budget:
                writer.write(piece[:budget])
                await writer.drain()
                reset(writer)
                return False
            budget = None if budget is None else budget - len(piece)
            writer.write(piece)
            await writer.drain()
    return b"close" not in reply.headers.get(b"connection", b"").lower()


async def _read_head(reader: asyncio.StreamReader) -> Optional[_Head]:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = raw[:-4].split(b"\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    return _Head(lines[0], headers, raw)


async def _body_pieces(reader: asyncio.StreamReader, head: _Head):
    """The bytes of a body as they come, chunk headers included."""
    if not head.chunked:
        left = head.length
        while left > 0:
            piece = await reader.read(min(left, 65536))
            if not piece:
                raise EOFError
            left -= len(piece)
            yield piece
        return
    while True:
        size_line = await reader.readuntil(b"\r\n")
        size = int(size_line.split(b";")[0], 16)
        yield size_line + await reader.readexactly(size + 2)
        if size == 0:
            return


async def _read_body(reader: asyncio.StreamReader, head: _Head) -> bytes:
    return b"".join([piece async for piece in _body_pieces(reader, head)])


async def _tunnel(client: _Stream, server: _Stream) -> None:
    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()

    tasks = [asyncio.create_task(copy(client.reader, server.writer)),
             asyncio.create_task(copy(server.reader, client.writer))]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
