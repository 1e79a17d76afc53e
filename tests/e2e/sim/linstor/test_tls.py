"""HTTPS as recorded in 10-https: redirects, /health, client certificates."""

import http.client
import ssl
import subprocess

import pytest


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA with a server and a client, and a stranger's client."""
    folder = tmp_path_factory.mktemp("pki")
    for ca in ("ca", "other"):
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}", "-days", "2")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
                "-addext", "subjectAltName=IP:127.0.0.1")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-copy_extensions", "copy", "-out", f"{name}.pem", "-days", "2")
    return folder


def get(sim, pki, path, client=None):
    context = ssl.create_default_context(cafile=pki / "ca.pem")
    if client:
        context.load_cert_chain(pki / f"{client}.pem", pki / f"{client}.key")
    connection = http.client.HTTPSConnection("127.0.0.1", sim.tls_port, context=context, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def flags(pki):
    return ["--tls-listen", "127.0.0.1:0", "--tls-cert", str(pki / "server.pem"),
            "--tls-key", str(pki / "server.key")]


def test_plain_port_redirects_reads_and_writes_but_not_health(make_sim, pki):
    sim = make_sim(*flags(pki))
    for method in ("GET", "POST"):
        status, headers, _ = sim.call(method, "/v1/controller/properties", {})
        assert status == 302
        assert headers["Location"] == f"https://127.0.0.1:{sim.tls_port}/v1/controller/properties"
    assert sim.call("GET", "/health")[0] == 200
    assert sim.call("GET", "/sim/requests")[0] == 200
    assert get(sim, pki, "/v1/controller/version") == 200


def test_client_certificate_of_the_right_ca_is_needed(make_sim, pki):
    sim = make_sim(*flags(pki), "--tls-client-ca", str(pki / "ca.pem"))
    assert get(sim, pki, "/v1/controller/version", "client") == 200
    for client in (None, "stranger"):  # the handshake completes, then nothing is answered
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError, ssl.SSLError)):
            get(sim, pki, "/v1/controller/version", client)
