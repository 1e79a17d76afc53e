"""The admission webhook of deploy/cert-manager, called by the API server.

cert-manager is not here: the test writes what it would write, the serving certificate and the CA bundle.
"""
import base64
import json
import socket

import pytest
from scenario import Storage
from scenario.storage import ROOT
from testbed import TestBed, kube
from testbed.pki import Authority

SERVICE = "piraeus-operator-webhook-service"
CONFIGURATION = "piraeus-operator-validating-webhook-configuration"


class Webhook:
    def __init__(self, bed):
        self.bed = bed
        self.address = bed.free_addresses(1)[0]
        self.directory = bed.work / "webhook"
        self.directory.mkdir()
        self.storage = Storage(bed, [f"--webhook-bind-address={self.address}", f"--webhook-cert-path={self.directory}"])

    def serves(self):
        host, port = self.address.rsplit(":", 1)
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def issue(self, name):
        """A new CA and a certificate of it, as after cert-manager renewed a self-signed one."""
        authority = Authority(name)
        cert, key = authority.issue(SERVICE, ips=["127.0.0.1"])
        for file, text in (("tls.key", key), ("tls.crt", cert)):
            partial = self.directory / (file + ".new")
            partial.write_text(text)
            partial.replace(self.directory / file)
        return authority

    def configure(self, authority):
        """The configuration as shipped, but for the address: the operator is a process and not behind a Service."""
        documents = kube.yaml.safe_load_all(self.bed.kubectl("kustomize", str(ROOT / "deploy/cert-manager")).stdout)
        configuration = next(d for d in documents if d["kind"] == "ValidatingWebhookConfiguration")
        assert configuration["metadata"]["name"] == CONFIGURATION
        for webhook in configuration["webhooks"]:
            service = webhook["clientConfig"].pop("service")
            webhook["clientConfig"]["url"] = f"https://{self.address}{service['path']}"
            webhook["clientConfig"]["caBundle"] = base64.b64encode(authority.pem.encode()).decode()
        self.bed.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(configuration))

    def create(self, kind, spec, name="probe"):
        """What a user sees of a `kubectl create` that is tried only; (allowed, text)."""
        document = {"apiVersion": "piraeus.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        done = self.bed.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(document), check=False)
        return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def webhook():
    with TestBed(nodes=1) as bed:
        webhook = Webhook(bed)
        webhook.storage.install()
        yield webhook


BAD_PATCH = {"patches": [{"patch": "- op: replace\n  path: /spec\n  value: 1\n"}]}
BAD = {
    "LinstorCluster": (BAD_PATCH, "spec.patches[0].patch"),
    "LinstorSatelliteConfiguration": ({"patches": [{"target": {"name": "("}, "patch": "- {op: remove, path: /a}"}]},
                                      "spec.patches[0].target"),
    "LinstorSatellite": ({"clusterRef": {"name": "linstorcluster"}, **BAD_PATCH}, "spec.patches[0].patch"),
    "LinstorNodeConnection": ({"selector": [{"matchLabels": [{"key": "a b", "op": "Exists"}]}]},
                              "spec.selector[0].matchLabels[0].key"),
}


def test_a_mistake_is_refused_where_it_is_made(webhook):
    # Without its certificate the operator works and the webhook is not served; "Ignore" lets everything pass.
    bed = webhook.bed
    assert webhook.storage.operator_ready() and not webhook.serves()
    webhook.configure(Authority("not there yet"))
    for kind, (spec, _) in BAD.items():
        assert webhook.create(kind, spec)[0], f"{kind}: an operator that does not answer must block nobody"

    webhook.configure(webhook.issue("first"))
    bed.wait_for(webhook.serves, 30, "the webhook to be served once its certificate is there")
    for kind, (spec, field) in BAD.items():
        # The API server takes up a changed configuration after a moment.
        bed.wait_for(lambda: not webhook.create(kind, spec)[0], 20, f"a bad {kind} to be refused")
        _, text = webhook.create(kind, spec)
        assert f'The {kind} "probe" is invalid: {field}' in text, text

    allowed, text = webhook.create("LinstorSatelliteConfiguration", {"patches": [
        {"target": {"kind": "Pod", "name": "satellite"}, "patch": "- {op: add, path: /spec/hostNetwork, value: true}"}]})
    assert allowed and "Warning: spec.patches[0]" in text, text


def test_a_renewed_certificate_needs_no_restart(webhook):
    # A renewal that only a restart picks up makes the webhook fail some day, at night.
    spec, _ = BAD["LinstorCluster"]
    authority = webhook.issue("second")
    webhook.configure(authority)
    webhook.bed.wait_for(lambda: not webhook.create("LinstorCluster", spec)[0], 40,
                         "the renewed certificate to be served and trusted")
    assert "serving certificate renewed" in webhook.bed.log("operator")


def test_taking_the_encryption_off_is_warned_about(webhook):
    # One changed line of YAML moves every volume back to plaintext: whoever applies it must read so.
    def apply(value):
        return webhook.bed.kubectl("apply", "-f", "-", input=json.dumps({
            "apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster"},
            "spec": {"properties": [{"name": "DrbdOptions/Net/tls", "value": value}]}})).stderr
    assert "plaintext" not in apply("yes")
    text = apply("no")
    assert "Warning: spec.properties" in text and "plaintext" in text, text


def test_a_wrong_object_can_be_deleted_while_the_operator_is_down(webhook):
    # Finalizers and deletions must never wait for a webhook.
    webhook.bed.kill_operator()
    spec, _ = BAD["LinstorNodeConnection"]
    document = {"apiVersion": "piraeus.io/v1", "kind": "LinstorNodeConnection", "metadata": {"name": "wrong"}, "spec": spec}
    webhook.bed.kubectl("create", "-f", "-", input=json.dumps(document))
    webhook.storage.start_operator()
    webhook.bed.wait_for(webhook.serves, 30, "the webhook to be served again")
    webhook.bed.kubectl("delete", "linstornodeconnection", "wrong", "--timeout=30s")
