"""The fault proxies themselves: a fault that does not happen would make every test behind it worthless."""
import http.client
import http.server
import pathlib
import socket
import ssl
import threading
import time

import pytest
from faultproxy import (Answer, AnswerProxy, BlackHole, Delay, Drop, FaultProxy, HalfChunk, Reset, TlsCut, Truncate)
from testbed.kube import wait_for
from testbed.pki import Authority

BODY = b"x" * 5000
GONE = (OSError, http.client.HTTPException)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.server.seen.append(self.path)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(3):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(BODY), BODY))
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        reply = self.rfile.read(length).upper()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def authority():
    return Authority("proxy-test")


@pytest.fixture()
def server(authority, tmp_path):
    """An HTTPS server that stands for the API server."""
    pem = tmp_path / "server.pem"
    pem.write_text("".join(authority.issue("server", ips=["127.0.0.1"])))
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture()
def network(server):
    with FaultProxy("127.0.0.1", server.server_port) as proxy:
        yield proxy


@pytest.fixture()
def answering(server, authority, tmp_path):
    with AnswerProxy("127.0.0.1", server.server_port, authority.pem,
                     authority.issue("proxy", ips=["127.0.0.1"]), pathlib.Path(tmp_path)) as proxy:
        yield proxy


@pytest.fixture()
def client(authority):
    opened = []

    def connect(port, timeout=5.0):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=timeout, context=ssl.create_default_context(cadata=authority.pem))
        opened.append(connection)
        return connection
    yield connect
    for connection in opened:
        connection.close()


def fetch(connection, path="/"):
    connection.request("GET", path)
    return connection.getresponse().read()


def plain_connection(proxy):
    """A connection that the proxy has accepted; TLS libraries hide how a connection ended."""
    before = proxy.accepted
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    wait_for(lambda: proxy.accepted > before, 5, "the proxy to accept", interval=0.005)
    return connection


def end_of(connection):
    with connection:
        try:
            return "data" if connection.recv(1) else "closed"
        except ConnectionResetError:
            return "reset"


def test_forwards_and_keeps_connections(network, client):
    # Without a fault the proxy must be invisible, or tests would blame the operator for it.
    connection = client(network.port)
    for _ in range(3):
        assert fetch(connection) == 3 * BODY
    assert network.accepted == 1


def test_delay_is_felt(network, client):
    connection = client(network.port)
    fetch(connection)
    with network.fault(Delay(0.2)):
        start = time.monotonic()
        fetch(connection)
        assert time.monotonic() - start >= 0.4, "once to the server and once back"


@pytest.mark.parametrize("fault", [Drop(), Reset()], ids=["drop", "reset"])
def test_old_connections_end_and_new_ones_too(network, client, fault):
    connection = client(network.port)
    fetch(connection)
    idle = plain_connection(network)
    with network.fault(fault):
        assert end_of(idle) == ("reset" if isinstance(fault, Reset) else "closed")
        with pytest.raises(GONE):
            fetch(connection)
        with pytest.raises(GONE):
            client(network.port).connect()
    assert fetch(client(network.port)) == 3 * BODY


def test_a_strike_spares_the_next_connection(network, client):
    connection = client(network.port)
    fetch(connection)
    network.strike(Reset())
    with pytest.raises(GONE):
        fetch(connection)
    assert fetch(client(network.port)) == 3 * BODY


def test_black_hole_is_silent_and_stays_so_for_old_connections(network, server, client):
    # A NAT that lost its table never sends anything, also not when the network is well again.
    connection = client(network.port)
    fetch(connection)
    connection.sock.settimeout(0.5)
    with network.fault(BlackHole()):
        with pytest.raises(TimeoutError):
            client(network.port, timeout=0.5).connect()
    with pytest.raises(TimeoutError):
        fetch(connection, "/lost")
    assert "/lost" not in server.seen
    assert fetch(client(network.port)) == 3 * BODY


def test_black_hole_for_replies_lets_writes_happen(network, server, client):
    connection = client(network.port)
    fetch(connection)
    connection.sock.settimeout(0.5)
    with network.fault(BlackHole(requests=True)), pytest.raises(TimeoutError):
        fetch(connection, "/unseen")
    wait_for(lambda: "/unseen" in server.seen, 5, "the request to reach the server")


def test_half_chunk_gives_a_part_and_then_resets(network, client):
    connection = client(network.port)
    fetch(connection)
    with network.fault(HalfChunk(2000)), pytest.raises((ConnectionError, http.client.IncompleteRead)):
        fetch(connection)


def test_tls_is_cut_in_the_handshake(network, client):
    connection = client(network.port)
    with network.fault(TlsCut()), pytest.raises(ssl.SSLError):
        connection.connect()


def test_answers_in_the_place_of_the_server(answering, server, client):
    connection = client(answering.port)
    with answering.answers(Answer(429, methods=["GET"], path="^/limited", retry_after=7)):
        connection.request("GET", "/limited?watch=1")
        reply = connection.getresponse()
        assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
        assert b'"kind": "Status"' in reply.read()
        assert fetch(connection) == 3 * BODY, "the same connection goes on, other paths pass"
        connection.request("POST", "/limited", body=b"abc")
        assert connection.getresponse().read() == b"ABC"
    assert answering.hits == 1 and server.seen == ["/"]
    assert fetch(connection, "/limited") == 3 * BODY


def test_a_share_of_requests_is_hit(answering, client):
    connection = client(answering.port)
    codes = []
    with answering.answers(Answer(503, share=0.3)):
        for _ in range(100):
            connection.request("GET", "/")
            reply = connection.getresponse()
            reply.read()
            codes.append(reply.status)
    assert 15 <= codes.count(503) <= 45, codes


def test_truncates_inside_an_object(answering, client):
    connection = client(answering.port)
    with answering.answers(Truncate(6000)), pytest.raises((ConnectionError, http.client.IncompleteRead)):
        fetch(connection)


def test_stopping_with_open_connections_leaves_no_thread(server, client):
    before = threading.active_count()
    proxy = FaultProxy("127.0.0.1", server.server_port).start()
    idle = socket.create_connection(("127.0.0.1", proxy.port))
    proxy.stop()
    assert threading.active_count() <= before
    idle.close()
