"""The shipped alerts and dashboard in a real Prometheus that scrapes a real operator. The tests build on each other.

Its rules wait three seconds instead of minutes (monitoring.hurried): what fires here fires in a cluster, too, but later. The times
themselves are checked by promtool in tests/monitoring.
"""
import concurrent.futures
import json
import os
import re
import subprocess
import time

import pytest
import yaml
from conftest import create_volumes
from monitoring import (FILES, OBJECTS, OPTIONAL, Prometheus, alerts, dashboard_queries, definitions, documented, exposed,
                        hurried, kustomized, others, parse, problems, rule_groups, runbook_commands)
from scenario import CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML, NAMESPACE, charts
from scenario.storage import TLS, LinstorError
from testbed.pki import Authority
from testbed.process import Component

LABELS = {"job": "piraeus-operator", "namespace": NAMESPACE}
SERVICE = f"piraeus-operator-webhook-service.{NAMESPACE}.svc"  # which the operator's certificate names
STANDBY = "operator-2"
CLUSTER = {"apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster"},
           "spec": {"internalTLS": {}, "replicationTLS": {"certificates": {"mode": "Managed"}, "migration": {"policy": "Paused"}}}}
# What the pages say and a bed has not, or what would change a volume.
NOT_HERE = ["-- linstor ", "-- lvs", " top ", "get certificates", "get secrets,certificates", "logs deploy/linstor-controller",
            "logs -l app.kubernetes.io/component=piraeus-operator", "resume-io", "invalidate", "resynced=", '"$pod"']
WAIT = 3  # seconds, in the place of each `for`


@pytest.fixture(scope="module")
def watched(storage):
    """Volumes in plaintext that are to be encrypted, on a cluster where no volume may be switched yet; and a Prometheus."""
    storage.issue_certificates()
    storage.apply(HANDSHAKE_DAEMON_YAML)
    storage.create_cluster(CLUSTER)
    create_volumes(storage)
    bed = storage.bed
    (address,) = bed.free_addresses(1)
    targets = [(storage.metrics_address, {**LABELS, "pod": "operator"}, {}), standby(storage)]
    with Prometheus(Component, bed.work / "prometheus", address, targets, hurried(rule_groups(), WAIT)) as prometheus:
        storage.prometheus = prometheus
        yield storage


def standby(storage):
    """A second replica whose metrics are for who has the right, as deploy/default has it; how the ServiceMonitor scrapes it."""
    bed, directory = storage.bed, storage.bed.work / "metrics"
    directory.mkdir()
    authority = Authority("of the operator")
    for name, text in zip(("tls.crt", "tls.key"), authority.issue(SERVICE, dns=[SERVICE])):
        (directory / name).write_text(text)
    (directory / "ca.crt").write_text(authority.pem)
    account = f"system:serviceaccount:{NAMESPACE}:prometheus"
    bed.kubectl("-n", NAMESPACE, "create", "serviceaccount", "prometheus")
    bed.kubectl("create", "clusterrolebinding", "prometheus", "--clusterrole=piraeus-operator-metrics-reader",
                f"--serviceaccount={NAMESPACE}:prometheus")
    bed.wait_for(lambda: bed.kubectl("auth", "can-i", "get", "/metrics", f"--as={account}", check=False).returncode == 0, 30,
                 "the right to read metrics")
    (directory / "token").write_text(bed.kubectl("-n", NAMESPACE, "create", "token", "prometheus").stdout.strip())
    metrics, health = bed.free_addresses(2)
    bed.start_operator([f"--namespace={NAMESPACE}", "--image-config-map-name=piraeus-operator-image-config", "--leader-elect",
                        f"--metrics-bind-address={metrics}", f"--metrics-cert-path={directory}", "--metrics-authentication=token",
                        f"--health-probe-bind-address={health}"], name=STANDBY, kubeconfig=storage.operator_kubeconfig)
    shipped = yaml.safe_load_all((FILES / "monitors.yaml").read_text())
    (endpoint,) = next(d for d in shipped if d["kind"] == "ServiceMonitor")["spec"]["endpoints"]
    return metrics, {**LABELS, "pod": STANDBY}, {
        "scheme": endpoint["scheme"], "metrics_path": endpoint["path"],
        "authorization": {"credentials_file": str(directory / "token")},
        "tls_config": {"ca_file": str(directory / "ca.crt"), "server_name": endpoint["tlsConfig"]["serverName"]}}


def fires(storage, alert):
    return lambda: storage.prometheus.alerts().get(alert)


def seen_now(storage):
    """Whoever touches the LinstorCluster makes the operator look at LINSTOR, which else may take half a minute."""
    return storage.kubectl("annotate", "linstorcluster", "linstorcluster", "--overwrite", f"example.com/touched={time.time()}")


def test_the_api_server_accepts_what_is_installed(storage, tmp_path):
    # With the Prometheus Operator's own definitions: a field that it does not know would be dropped without a word.
    bed = storage.bed
    bed.kubectl("apply", "--server-side", "-f", str(definitions()))
    bed.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(definitions()))
    tls = {"monitoring": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}, "linstor": {"tls": True}}}
    for manifests in (kustomized(tmp_path, ["monitoring"]), charts.render(charts.OPERATOR, tls)):
        ours = [d for d in yaml.safe_load_all(manifests) if d and (d["kind"], d["metadata"]["name"]) in OBJECTS]
        assert len(ours) == len(OBJECTS)
        bed.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=yaml.safe_dump_all(ours))


def test_prometheus_scrapes_the_operator_and_has_the_rules(watched):
    # A rule with an error is evaluated never, and says so only on a page that nobody opens. The second replica is scraped as in a
    # cluster: over HTTPS, under the name in its certificate, with a token.
    bed, prometheus = watched.bed, watched.prometheus
    bed.wait_for(lambda: [r["value"][1] for r in prometheus.query("up")] == ["1", "1"], 20, "both targets to be up")
    bed.wait_for(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), 20, "every rule evaluated")
    assert sorted(rule["name"] for rule in prometheus.rules()) == sorted(rule["alert"] for rule in alerts())


def test_wanted_and_not_encrypted(watched):
    # The mistake that this project is about: somebody believes that his volumes are encrypted.
    assert not fires(watched, "BreakwaterNotEncrypted")()
    watched.apply(CLUSTER_TLS_YAML)
    (labels,) = watched.bed.wait_for(fires(watched, "BreakwaterNotEncrypted"), 60, "the alert for volumes that are held back")
    assert labels["namespace"] == NAMESPACE and labels["severity"] == "warning"


def test_silent_when_all_is_encrypted(watched):
    bed = watched.bed
    watched.kubectl("patch", "linstorcluster", "linstorcluster", "--type=merge", "-p",
                    json.dumps({"spec": {"replicationTLS": {"migration": {"policy": "Automatic"}}}}))
    bed.wait_for(lambda: watched.encrypted() and watched.migration_complete(), 150, "everything to be encrypted")
    quiet, scraped = f"count_over_time(ALERTS[{2 * WAIT}s])", f"min(min_over_time(up[{2 * WAIT}s])) == 1"
    bed.wait_for(lambda: not watched.prometheus.query(quiet) and watched.prometheus.query(scraped), 40,
                 f"{2 * WAIT} seconds without an alert, pending ones too")


def test_the_commands_of_the_pages(watched):
    # At three in the morning a command with a typo is worse than none.
    bed = watched.bed
    names = {"NODE": bed.nodes[0], "VOLUME": watched.volumes[0].name}
    commands = [command for command in runbook_commands() if not any(word in command for word in NOT_HERE)]
    environment = {**os.environ, "KUBECONFIG": str(bed.kubeconfig), "PATH": f"{bed.tools}:/usr/bin:/bin"}

    def run(command):
        command = re.sub(r"\b(NODE|VOLUME)\b(?!:)", lambda word: names[word[0]], command)
        done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode and f"{command}\n{done.stderr}"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        failed = list(filter(None, pool.map(run, commands)))
    assert len(commands) > 30 and not failed, "\n".join(failed)


def test_a_refused_downgrade(watched):
    # Who reaches LINSTOR can ask for plaintext; somebody must hear of it.
    try:
        watched.linstor("PUT", f"/v1/resource-definitions/{watched.volumes[0].name}", {"override_props": {TLS: "no"}})
    except LinstorError as error:  # DRBD refuses to change a connection that is up, and the value stays
        assert error.status == 500, error
    watched.bed.wait_for(lambda: seen_now(watched) and fires(watched, "BreakwaterDowngradeRefused")(), 60,
                         "the alert for a refused downgrade", interval=1)
    assert watched.encrypted()


def test_every_query_is_about_what_the_operator_exposes(watched):
    # The quick checks go by the reference; here it and the queries meet the numbers themselves. Some are there only after
    # something has happened: by now all of it has.
    ours = {name: labels for name, labels in exposed(watched.operator_metrics()).items() if name.startswith("breakwater_")}
    families = {name if name in documented() else name.rsplit("_", 1)[0] for name in ours}
    assert families == set(documented())
    for name, labels in documented().items():
        assert set(labels) - OPTIONAL <= set(ours.get(name, ours.get(f"{name}_sum"))) <= set(labels), f"labels of {name}"
    for query in [rule["expr"] for rule in alerts()] + [expression for _, expression, _ in dashboard_queries()]:
        assert not problems(parse(query), {**others(), **ours}), query


def test_every_panel_about_the_operator_shows_something(watched):
    for panel, expression, _ in dashboard_queries():
        metrics = {metric for metric, _ in parse(expression).selectors}
        found = watched.prometheus.query(expression.replace("$namespace", NAMESPACE))
        if all(metric.startswith("breakwater_") for metric in metrics) and " > 0" not in expression:
            assert found, f"{panel}: {expression}"


def test_a_node_that_falls_silent(watched):
    bed = watched.bed
    bed.set_node_unreachable(bed.nodes[-1])
    bed.wait_for(fires(watched, "BreakwaterAgentSilent"), 60, "the alert for a silent agent")
    bed.set_node_unreachable(bed.nodes[-1], False)
    bed.wait_for(lambda: not watched.prometheus.alerts().get("BreakwaterAgentSilent"), 60, "the alert to end")


def test_no_operator(watched):
    for name in (STANDBY, "operator"):
        watched.bed.kill_operator(name=name)
    watched.bed.wait_for(fires(watched, "BreakwaterNoLeader"), 30, "the alert for an operator that is gone")
    watched.start_operator()
