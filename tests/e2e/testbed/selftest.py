"""The test bed tests itself: `python3 -m testbed.selftest`, or with pytest. Needs no simulators: it brings fakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import pytest

from testbed import KubectlError, TestBed
from testbed.kube import wait_for

HERE = Path(__file__).resolve().parent
NAMESPACE = "piraeus-datastore"


@pytest.fixture(scope="module")
def bed() -> Iterator[TestBed]:
    with TestBed(3, drbd_sim=HERE / "fakes/drbd_sim.py", linstor_sim=HERE / "fakes/linstor_sim.py",
                 agent_binary=HERE / "fakes/agent.py") as b:
        b.ensure_namespace(NAMESPACE)
        yield b


def deployment(name: str, replicas: int = 1) -> dict[str, Any]:
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels},
                                  "spec": {"containers": [{"name": "main", "image": "none"}]}}}}


def satellite(node: str, *, tls: bool = True) -> dict[str, Any]:
    """A pod as the operator makes them, reduced to what the node server looks at."""
    containers: list[dict[str, Any]] = [{"name": "linstor-satellite", "image": "none"}]
    volumes = []
    if tls:
        containers.append({"name": "ktls-utils", "image": "none",
                           "volumeMounts": [{"name": "tls", "mountPath": "/etc/tlshd.d"}]})
        items = [{"key": k, "path": k} for k in ("ca.crt", "tls.crt")] + [
            {"key": "tls.key", "path": "tls.key", "mode": 0o600}]
        volumes.append({"name": "tls", "projected": {"sources": [{"secret": {"name": f"{node}-tls", "items": items}}]}})
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"satellite-{node}", "namespace": NAMESPACE,
                         "labels": {"app.kubernetes.io/component": "linstor-satellite"}},
            "spec": {"nodeName": node, "containers": containers, "volumes": volumes}}


def running(bed: TestBed, *args: str) -> list[dict[str, Any]]:
    return [p for p in bed.get("pods", *args) if p["status"].get("phase") == "Running"]


def exec_error(bed: TestBed, pod: str) -> str:
    """What exec says when it fails; empty when it works."""
    done = bed.kubectl("exec", "-n", NAMESPACE, pod, "--", "true", check=False)
    return done.stderr if done.returncode else ""


@pytest.fixture(scope="module")
def pod(bed: TestBed) -> str:
    bed.apply(deployment("web"))
    return bed.wait_for(lambda: running(bed, "-l", "app=web"), 30, "a running pod")[0]["metadata"]["name"]


@pytest.fixture(scope="module")
def satellites(bed: TestBed) -> None:
    bed.apply_tls_secrets(NAMESPACE, ["node1"])
    bed.apply([satellite("node1"), satellite("node2")])  # the secret of node2 is missing
    bed.wait_for(lambda: running(bed, "-n", NAMESPACE, "-l", "app.kubernetes.io/component=linstor-satellite"), 30,
                 "the satellite of node1")


def told(bed: TestBed, op: str, node: str) -> list[dict[str, Any]]:
    return [h for h in bed.drbd({"op": "history"})["history"] if h["op"] == op and h["node"] == node]


def test_nodes_are_ready_and_described(bed: TestBed) -> None:
    nodes = bed.get("nodes")
    assert [n["metadata"]["name"] for n in nodes] == ["node1", "node2", "node3"]
    assert all(n["status"]["nodeInfo"]["osImage"].startswith("Debian") for n in nodes)


def test_pods_have_distinct_loopback_addresses(bed: TestBed) -> None:
    bed.apply(deployment("many", 5))
    pods = bed.wait_for(lambda: (p := running(bed, "-l", "app=many")) and len(p) == 5 and p, 30, "five pods")
    addresses = {p["status"]["podIP"] for p in pods}
    assert len(addresses) == 5
    assert all(a.startswith(bed.pod_network.split(".0.0/")[0] + ".") for a in addresses)


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exec_returns_the_exit_code(bed: TestBed, pod: str, code: int) -> None:
    assert bed.kubectl("exec", pod, "--", "sh", "-c", f"exit {code}", check=False).returncode == code


def test_exec_separates_stdout_and_stderr(bed: TestBed, pod: str) -> None:
    done = bed.kubectl("exec", pod, "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_exec_passes_stdin_to_its_end(bed: TestBed, pod: str) -> None:
    assert bed.kubectl("exec", "-i", pod, "--", "wc", "-c", input="x" * 100_000).stdout.strip() == "100000"


def test_exec_returns_three_megabytes(bed: TestBed, pod: str) -> None:
    assert len(bed.kubectl("exec", pod, "--", "head", "-c", "3000000", "/dev/zero", text=False).stdout) == 3_000_000


def test_exec_of_an_unknown_command_or_container_fails(bed: TestBed, pod: str) -> None:
    with pytest.raises(KubectlError, match="executable file not found"):
        bed.kubectl("exec", pod, "--", "no-such-command")
    with pytest.raises(KubectlError, match="container absent|absent is not valid"):
        bed.kubectl("exec", pod, "-c", "absent", "--", "true")
    with pytest.raises(KubectlError, match="not found"):
        bed.kubectl("exec", "no-such-pod", "--", "true")


def test_exec_fails_when_the_container_is_not_running(bed: TestBed) -> None:
    bed.apply(satellite("node3", tls=False))
    name = "satellite-node3"
    bed.wait_for(lambda: bed.get("pod", "-n", NAMESPACE, name)["status"].get("phase") == "Running", 30, name)
    status = bed.get("pod", "-n", NAMESPACE, name)["status"]["containerStatuses"]
    status[0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    bed.kubectl("patch", "pod", "-n", NAMESPACE, name, "--subresource=status", "--type=merge",
                "-p", json.dumps({"status": {"containerStatuses": status}}))
    bed.wait_for(lambda: "container not found" in exec_error(bed, name), 10, "exec to be refused")
    bed.kubectl("delete", "pod", "-n", NAMESPACE, name, "--wait=false")


def test_exec_fails_when_the_node_is_unreachable(bed: TestBed, pod: str) -> None:
    node = bed.get("pod", pod)["spec"]["nodeName"]
    bed.set_node_unreachable(node)
    try:
        bed.wait_for(lambda: bed.kubectl("exec", pod, "--", "true", check=False).returncode != 0, 10, "exec to fail")
    finally:
        bed.set_node_unreachable(node, False)
    bed.wait_for(lambda: bed.kubectl("exec", pod, "--", "true"), 10, "exec to work again")


def sum_of_processes(argument: str) -> int:
    result = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            result += argument.encode() in path.read_bytes().split(b"\0")
        except OSError:
            continue
    return result


def process_exists(argument: str) -> bool:
    return sum_of_processes(argument) > 0


def test_a_command_outlives_its_client_but_not_its_pod(bed: TestBed) -> None:
    # As with a container runtime (REVIEW-1, "the beds are kinder than the world").
    bed.apply(deployment("lost"))
    name = bed.wait_for(lambda: running(bed, "-l", "app=lost"), 30, "a running pod")[0]["metadata"]["name"]
    apart, direct = f"{40000 + os.getpid()}.25", f"{50000 + os.getpid()}.25"
    script = f"setsid sleep {apart} </dev/null >/dev/null 2>&1 & exec sleep {direct}"
    # SPDY: behind a websocket the API server does not see that a client of a silent command is gone, as in any cluster.
    client = subprocess.Popen([bed.tools / "kubectl", f"--kubeconfig={bed.kubeconfig}", "exec", name, "--",
                               "sh", "-c", script], env={**os.environ, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"})
    wait_for(lambda: process_exists(apart) and process_exists(direct), 10, "both processes")
    client.kill()
    client.wait()
    time.sleep(1)  # there is nothing to wait for: nothing must happen
    assert process_exists(apart) and process_exists(direct)
    bed.kubectl("delete", "deployment", "lost")
    wait_for(lambda: not process_exists(apart) and not process_exists(direct), 10, "the pod to end its processes")


def test_a_lost_websocket_client_ends_the_commands_stdin(bed: TestBed, pod: str) -> None:
    mark = f"mark-{os.getpid()}"
    client = subprocess.Popen([bed.tools / "kubectl", f"--kubeconfig={bed.kubeconfig}", "exec", "-i", pod, "--",
                               "sh", "-c", "cat >/dev/null", mark], stdin=subprocess.PIPE)
    wait_for(lambda: sum_of_processes(mark) == 2, 10, "client and command")
    client.kill()
    client.wait()
    wait_for(lambda: sum_of_processes(mark) == 0, 10, "the command to end")


def test_the_satellites_are_reported_with_their_certificates(bed: TestBed, satellites: None) -> None:
    reports = bed.wait_for(lambda: told(bed, "satellite", "node1"), 10, "the report of the satellite")
    assert reports[-1]["running"] and reports[-1]["address"].startswith("127.")
    first = bed.wait_for(lambda: told(bed, "tlshd", "node1"), 10, "the report of tlshd")[-1]
    assert first["running"] and sorted(first["files"]) == ["ca.crt", "tls.crt", "tls.key"]
    assert first["modes"] == {"ca.crt": "644", "tls.crt": "644", "tls.key": "600"}

    bed.apply_tls_secrets(NAMESPACE, ["node1"])
    bed.wait_for(lambda: told(bed, "tlshd", "node1")[-1]["files"]["tls.crt"] != first["files"]["tls.crt"], 10,
                 "the new certificate")


def test_a_pod_does_not_run_without_its_secret(bed: TestBed, satellites: None) -> None:
    def waiting() -> str:
        state = bed.get("pod", "-n", NAMESPACE, "satellite-node2")["status"]["containerStatuses"][0]["state"]
        assert state["waiting"]["reason"] == "ContainerCreating"
        return state["waiting"]["message"]
    message = bed.wait_for(waiting, 10, "the pod's status")
    assert 'secret "node2-tls" not found' in message, message
    assert "container not found" in exec_error(bed, "satellite-node2")
    assert not told(bed, "satellite", "node2") and not told(bed, "tlshd", "node2")
    bed.apply_tls_secrets(NAMESPACE, ["node2"])
    for process in ("satellite", "tlshd"):
        bed.wait_for(lambda: told(bed, process, "node2")[-1]["running"], 10, f"{process} to start with the secret")


def test_a_secret_that_goes_away_later_stays_mounted(bed: TestBed, satellites: None) -> None:
    bed.wait_for(lambda: told(bed, "tlshd", "node2")[-1]["running"], 10, "tlshd")
    before = len(told(bed, "tlshd", "node1"))
    bed.kubectl("delete", "secret", "-n", NAMESPACE, "node2-tls")
    bed.apply_tls_secrets(NAMESPACE, ["node1"])  # the node server has seen the deletion when it tells of this
    bed.wait_for(lambda: len(told(bed, "tlshd", "node1")) > before, 10, "another certificate")
    assert told(bed, "tlshd", "node2")[-1]["running"]


def test_exec_in_a_satellite_finds_the_shims_and_its_identity(bed: TestBed, satellites: None) -> None:
    out = bed.kubectl("exec", "-n", NAMESPACE, "satellite-node1", "-c", "linstor-satellite", "--",
                      "drbdadm", "adjust", "r0").stdout
    assert out == f"node1 {NAMESPACE}/satellite-node1 linstor-satellite: drbdadm adjust r0\n"


def test_logs_of_tlshd(bed: TestBed, satellites: None) -> None:
    bed.wait_for(lambda: "tlshd[1]: node1" in bed.kubectl(
        "logs", "-n", NAMESPACE, "satellite-node1", "-c", "ktls-utils").stdout, 10, "a log line")
    assert bed.kubectl("logs", "-n", NAMESPACE, "satellite-node1", "-c", "ktls-utils", "--tail=1").stdout.count("\n") == 1


def test_following_a_log_sees_new_lines_and_ends(bed: TestBed, satellites: None) -> None:
    client = subprocess.Popen(
        [bed.tools / "kubectl", f"--kubeconfig={bed.kubeconfig}", "logs", "-f", "--tail=0", "-n", NAMESPACE,
         "satellite-node1", "-c", "ktls-utils"], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(0.5)  # nothing tells when kubectl has begun to follow
        bed.apply_tls_secrets(NAMESPACE, ["node1"])
        assert client.stdout and client.stdout.readline() == "tlshd[1]: node1\n"
    finally:
        client.terminate()
        client.wait(10)


def test_a_restarted_simulator_is_told_everything_again(bed: TestBed, satellites: None) -> None:
    bed.wait_for(lambda: told(bed, "tlshd", "node1"), 10, "tlshd")
    bed.kill("drbd-sim")
    bed.start_component("drbd-sim")
    bed.wait_for(lambda: told(bed, "tlshd", "node1") and told(bed, "satellite", "node2"), 10, "the state")


def test_a_deleted_satellite_is_reported_as_stopped(bed: TestBed, satellites: None) -> None:
    bed.kubectl("delete", "pod", "-n", NAMESPACE, "satellite-node2")
    for process in ("satellite", "tlshd"):
        bed.wait_for(lambda: told(bed, process, "node2")[-1]["running"] is False, 10, f"the stop of {process}")


def test_a_restarted_container_is_reported_as_stopped_first(bed: TestBed, satellites: None) -> None:
    name = "satellite-node1"
    starts = len([t for t in told(bed, "satellite", "node1") if t["running"]])
    statuses = bed.get("pod", "-n", NAMESPACE, name)["status"]["containerStatuses"]
    for status in statuses:
        status["restartCount"] += status["name"] == "linstor-satellite"
    bed.kubectl("patch", "pod", "-n", NAMESPACE, name, "--subresource=status", "--type=merge",
                "-p", json.dumps({"status": {"containerStatuses": statuses}}))
    bed.wait_for(lambda: len([t for t in told(bed, "satellite", "node1") if t["running"]]) == starts + 1, 10, "a start")
    assert [t["running"] for t in told(bed, "satellite", "node1")][-2:] == [False, True]


AGENT_PROGRAM = "/breakwater/bin/breakwater-agent"


@pytest.fixture
def agent_pod(bed: TestBed) -> Iterator[str]:
    pod = satellite("node3", tls=False)
    pod["metadata"]["name"] = name = f"agent-{time.monotonic_ns()}"
    pod["spec"]["containers"].append({"name": "breakwater-agent", "image": "none", "command": [AGENT_PROGRAM, "run"]})
    bed.apply([pod])
    bed.wait_for(lambda: bed.agents("node3")[0]["supervisor"], 30, "the agent")
    bed.wait_for(lambda: "running on node3 run" in agent_log(bed, name), 10, "its log")
    yield name
    bed.kubectl("delete", "pod", "-n", NAMESPACE, name, "--grace-period=0", "--force", check=False)
    bed.wait_for(lambda: not bed.agents("node3"), 10, "the end of the agent")


def agent_log(bed: TestBed, pod: str) -> str:
    return bed.kubectl("logs", "-n", NAMESPACE, pod, "-c", "breakwater-agent").stdout


def connect(bed: TestBed, pod: str, websocket: bool = True) -> subprocess.Popen:
    return subprocess.Popen([bed.tools / "kubectl", f"--kubeconfig={bed.kubeconfig}", "exec", "-i", "-n", NAMESPACE, pod,
                             "-c", "breakwater-agent", "--", AGENT_PROGRAM, "connect"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            env={**os.environ, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": str(websocket).lower()})


def ask(stream: subprocess.Popen, line: bytes) -> bytes:
    assert stream.stdin and stream.stdout
    stream.stdin.write(line)
    stream.stdin.flush()
    return stream.stdout.readline()


@pytest.mark.parametrize("websocket", [True, False])
def test_a_stream_to_an_agent_carries_lines_both_ways_until_it_is_cut(bed: TestBed, agent_pod: str, websocket: bool) -> None:
    bed.exec_counters(reset=True)
    with connect(bed, agent_pod, websocket) as stream:
        assert ask(stream, b"hello\n") == b"HELLO\n"
        began = time.monotonic()
        for _ in range(20):
            assert ask(stream, b"ping\n") == b"PING\n"
        assert time.monotonic() - began < 5
        bed.set_latency(300)
        began = time.monotonic()
        try:
            assert ask(stream, b"late\n") == b"LATE\n"
            assert time.monotonic() - began > 0.6
        finally:
            bed.set_latency(0)
        counters = bed.exec_counters()
        assert (counters["execs"], counters["connects"], counters["open"]) == (1, 1, 1)
        assert bed.node("cut-streams", node="node3")["cut"] == 1
        stream.wait(20)  # behind a websocket kubectl calls even that a success


def test_a_dead_agent_is_restarted_and_its_pod_says_so(bed: TestBed, agent_pod: str) -> None:
    bed.agent_restarts("node3", -1)
    with connect(bed, agent_pod) as stream:
        assert ask(stream, b"x\n") == b"X\n"
        bed.signal_agent("node3", "supervisor")
        assert stream.wait(20) != 0  # what runs in a container ends with its process 1

    def status() -> dict[str, Any]:
        pod = bed.get("pod", "-n", NAMESPACE, agent_pod)
        return next(s for s in pod["status"]["containerStatuses"] if s["name"] == "breakwater-agent")
    bed.wait_for(lambda: status()["state"]["waiting"]["reason"] == "CrashLoopBackOff", 10, "the status of the dead agent")
    assert b"container not found" in subprocess.run(
        [bed.tools / "kubectl", f"--kubeconfig={bed.kubeconfig}", "exec", "-n", NAMESPACE, agent_pod, "-c",
         "breakwater-agent", "--", AGENT_PROGRAM, "connect"], capture_output=True).stderr
    bed.agent_restarts("node3", None)
    bed.wait_for(lambda: status()["restartCount"] == 1 and "running" in status()["state"], 10, "the restart")
    assert agent_log(bed, agent_pod).count("running on node3") == 2  # its emptyDir is the same


def test_a_deleted_pod_waits_for_its_agent(bed: TestBed, agent_pod: str) -> None:
    run_dir = Path(bed.agents("node3")[0]["runDir"])
    bed.kubectl("delete", "pod", "-n", NAMESPACE, agent_pod, "--wait=false")
    bed.wait_for(lambda: "terminated" in agent_log(bed, agent_pod), 10, "SIGTERM")
    bed.wait_for(lambda: bed.kubectl("get", "pod", "-n", NAMESPACE, agent_pod, check=False).returncode, 10, "its end")
    bed.wait_for(lambda: not run_dir.exists(), 10, "the end of its emptyDir")


def test_the_controller_pod_answers_for_linstor(bed: TestBed) -> None:
    d = deployment("linstor-controller")
    d["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] = "linstor-controller"
    bed.apply(d)
    pods = bed.wait_for(lambda: running(bed, "-l", "app=linstor-controller"), 30, "the controller pod")
    url = f"http://{pods[0]['status']['podIP']}:3370/"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert bed.wait_for(lambda: opener.open(url, timeout=5).read(), 10, "the proxy") == b"linstor"
    restarts = f"{bed.linstor_url}/posts/sim/restart"
    bed.wait_for(lambda: opener.open(restarts, timeout=5).read() == b"1", 10, "LINSTOR to be told of its start")
    bed.kubectl("delete", "pod", pods[0]["metadata"]["name"])
    bed.wait_for(lambda: opener.open(restarts, timeout=5).read() == b"2", 30, "LINSTOR to be told of its restart")
    pods = bed.wait_for(lambda: running(bed, "-l", "app=linstor-controller"), 30, "the new controller pod")
    url = f"http://{pods[0]['status']['podIP']}:3370/"
    bed.wait_for(lambda: opener.open(url, timeout=5).read(), 10, "the proxy")
    bed.kubectl("delete", "deployment", "linstor-controller")

    def refused() -> bool:
        try:
            opener.open(url, timeout=5)
        except OSError as error:
            return isinstance(getattr(error, "reason", error), ConnectionRefusedError)
        return False
    bed.wait_for(refused, 10, "connections to be refused")


def test_the_audit_log_counts_the_operators_requests_only(bed: TestBed) -> None:
    kubeconfig = bed.create_operator_kubeconfig(cluster_admin=True)
    kubectl = [str(bed.tools / "kubectl"), f"--kubeconfig={kubeconfig}", f"--cache-dir={bed.work / 'op-cache'}"]
    subprocess.run([*kubectl, "version"], check=True, stdout=subprocess.DEVNULL)
    since = time.time()
    subprocess.run([*kubectl, "get", "configmaps", "-n", "default", "-o", "name"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*kubectl, "get", "leases", "-n", "default"], check=True)
    bed.kubectl("get", "configmaps", "-n", "default")
    counts = bed.wait_for(lambda: bed.audit_counts(since), 5, "audit entries")
    assert counts[("list", "configmaps", "")] == 1
    assert not [k for k in counts if k[1] == "leases"]
    assert sum(bed.audit_leases(since).values()) == 1
    assert not bed.audit_counts(time.time())


def test_the_api_server_comes_back_after_a_crash(bed: TestBed) -> None:
    bed.stop_apiserver()
    assert bed.kubectl("get", "nodes", check=False).returncode != 0
    bed.start_apiserver()
    bed.wait_for(lambda: len(bed.get("nodes")) == 3, 30, "the nodes")


def test_the_cluster_survives_a_crash_of_etcd(bed: TestBed) -> None:
    bed.stop_etcd()
    assert bed.kubectl("get", "configmaps", "--request-timeout=2s", check=False).returncode != 0
    bed.start_etcd()
    bed.wait_for(lambda: len(bed.get("nodes")) == 3, 30, "the nodes")


def test_an_operator_is_started_killed_and_restarted(bed: TestBed) -> None:
    script = bed.work / "operator.sh"
    script.write_text("#!/bin/sh\necho started with $1 and $KUBECONFIG\nexec sleep 1000\n")
    script.chmod(0o755)
    first = bed.start_operator(["--flag"], binary=script, ready=lambda: "started" in bed.log("operator"))
    assert f"started with --flag and {bed.operator_kubeconfig}" in bed.log("operator")
    pid = first.pid
    assert bed.kill_operator() == -signal.SIGKILL
    bed.start_component("operator")
    second = bed.restart_operator()
    assert second.alive and second.pid != pid
    bed.pause("operator")
    assert bed.kill_operator(signal.SIGTERM) == -signal.SIGTERM


def test_certificates_of_all_kinds_are_made(bed: TestBed) -> None:
    pki = bed.make_pki()
    ca, good, bad = (bed.work / n for n in ("ca.pem", "good.pem", "bad.pem"))
    ca.write_text(pki.authority.pem)

    def verifies(leaf: dict[str, str], path: Path) -> bool:
        path.write_text(leaf["tls.crt"])
        return subprocess.run(["openssl", "verify", "-CAfile", ca, "-purpose", "sslserver", "-verify_hostname", "node1",
                               path], capture_output=True).returncode == 0
    assert verifies(pki.leaves["node1"], good)
    for option in ("wrong_ca", "expired", "not_yet_valid", "wrong_san"):
        assert not verifies(pki.leaf("node1", **{option: True}), bad), option


def descendants(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    result = {pid}
    while more := {p for p, parent in parents.items() if parent in result} - result:
        result |= more
    return result - {pid}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_test_process_ends(number: signal.Signals) -> None:
    owner = subprocess.Popen([sys.executable, "-m", "testbed", "up", "--hold", "--no-simulators", "--nodes", "1"],
                             stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    assert owner.stdout is not None
    lines = [owner.stdout.readline() for _ in range(3)]
    assert lines[0].startswith("export KUBECONFIG="), lines
    work = Path(lines[0].split("=", 1)[1].strip()).parent
    children = descendants(owner.pid)
    assert len(children) >= 6, children
    owner.send_signal(number)
    owner.wait(30)
    wait_for(lambda: not [p for p in children if alive(p)], 10, "the children to end")
    if number == signal.SIGINT:
        assert not work.exists()


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--durations=5", __file__, *sys.argv[1:]]))
