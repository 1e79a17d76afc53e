"""Which tools LINSTOR ran on which node after which request, as recorded (facts L17, L20-L22, L24, L26, L27, L29).

The operator's migration is built on these habits: an adjust more or less, or a resume-io, is what it must survive.
"""

import re
import time

import samples
from conftest import THREE
from test_satellites import status_of, until
from test_samples_replay import mask

SETUP = ["satellite-00-setup.txt", "satellite-01-create-3node.txt", "satellite-02-tls-controller-level.txt",
         "satellite-03-tls-rd-level.txt", "satellite-04-tls-rsc-conn-level.txt",
         "satellite-05-tls-node-conn-and-group-level.txt"]
# What changes something. LINSTOR's own looks (status, versions, help) depend on its polling.
WATCHED = re.compile(r"drbdadm (-vvv adjust|resume-io|suspend-io|down|sh-list-adjustable)\b")


def recorded_cluster(make_sim):
    """As it was when the samples were recorded. No retry of LINSTOR's own falls between two requests."""
    sim = make_sim("--retry-scale", "100", "--hang-noticed", "0.5", nodes=THREE)
    for name in SETUP:
        for exchange in samples.read(name):
            sim.call(exchange.method, exchange.path, raw=exchange.body)
    return sim


def play(sim, name, conditions, end=None):
    """Sends what was recorded; `conditions` sets the stage for the sections whose titles begin so. Returns what differs."""
    wrong = []
    unused = dict(conditions)
    for section in samples.sections(name):
        if end and section.title.startswith(end):
            break
        for title in [t for t in unused if section.title.startswith(t)]:
            unused.pop(title)()
        start = time.time()
        for exchange in section.exchanges:
            if re.search(r"/snapshots|/error-reports", exchange.path):
                continue  # not simulated; depend on everything that happened before
            status, _, reply = sim.call(exchange.method, exchange.path, raw=exchange.body)
            if status != exchange.status:
                wrong.append(f"{name} {exchange}: status {status}, recorded {exchange.status}: {reply}")
            elif exchange.method != "GET" and errors(reply) != errors(exchange.reply):
                wrong.append(f"{name} {exchange}: {errors(reply)}, recorded {errors(exchange.reply)}")
        requests = [e for e in section.exchanges if e.method != "GET"]
        # A reconnect is recorded from its request on, or from its end on.
        if len(requests) == 1 and not re.search(r"/snapshots|/reconnect", requests[0].path):
            expected = watched(section.calls)
            until(lambda: watched_now(sim, start) == expected, 5)
            if watched_now(sim, start) != expected:
                wrong.append(f"{name} {section.title!r}:\n  ran      {sorted(watched_now(sim, start))}\n"
                             f"  recorded {sorted(expected)}")
        if any("/reconnect" in e.path for e in requests):
            finish(sim)
    assert not unused, f"no such section: {list(unused)}"
    return wrong


def finish(sim):
    """What a reconnect causes on the node comes after its reply, and must not be counted with the next request."""
    seen = -1
    while (now := len(sim.drbd.commands(WATCHED.pattern))) != seen:
        seen = now
        time.sleep(0.5)  # several polls of the simulator


def errors(reply):
    """Of a failed request only its error is certain: it ends at once, whatever other nodes have said by then, and
    any of several nodes that fail may be the first. How often a warning comes depends on the rounds ("usually twice").
    """
    return {(e["ret_code"], re.sub(r"^\(n\d\)", "(node)", mask(e["message"]))) for e in reply if e["ret_code"] < 0}


def watched(calls):
    return {(node, command) for node, _, command in calls if WATCHED.match(command)}


def watched_now(sim, since):
    return {(node, command) for _, node, command in sim.drbd.commands(WATCHED.pattern, since)}


def test_an_adjust_that_fails(make_sim):  # L20, L21
    sim = recorded_cluster(make_sim)
    failures = sim.drbd.failures

    def fail(node, code):
        failures[:] = [(node, "drbdadm -vvv adjust r1", code, "r1: Failure: (162) Invalid configuration request", 0)]

    wrong = play(sim, "satellite-06-adjust-fails.txt", {
        "n2: drbdadm adjust r1 exits 10": lambda: fail("n2", 10),
        "n2 works again": failures.clear,
        "exit 11 on n3": lambda: fail("n3", 11),
        "fails on all three nodes": lambda: fail(".*", 10)})
    assert not wrong, "\n".join(wrong)


def test_a_suspended_resource(make_sim):  # L24
    sim = recorded_cluster(make_sim)
    sim.ok("PUT", "/v1/resource-definitions/r1", {"delete_props": ["DrbdOptions/Net/tls"]})
    suspended, failures = sim.drbd.suspended, sim.drbd.failures
    wrong = play(sim, "satellite-07-suspend-io.txt", {
        "external 'drbdadm suspend-io r1' on n1": lambda: suspended.add(("n1", "r1")),
        "suspended on n1, resume-io fails": lambda: failures.append(("n1", "resume-io r1", 10, "no", 0)),
        "and again without failure": failures.clear,
        "snapshot of r1": suspended.clear})
    assert not wrong, "\n".join(wrong)


def test_offline_restart_and_reconnect(make_sim):  # L26, L27, L28
    sim = recorded_cluster(make_sim)

    def run(node, running):
        sim.drbd.running[node] = running
        assert until(lambda: status_of(sim, node) == ("ONLINE" if running else "OFFLINE"))

    def tools_of_n1(version):
        sim.drbd.versions["n1"] = version
        sim.ok("PUT", "/v1/nodes/n1/reconnect")
        assert until(lambda: status_of(sim, "n1") == "ONLINE")

    def restart():
        sim.drbd.versions.clear()
        start = time.time()
        sim.ok("POST", "/sim/restart")
        assert until(lambda: len(watched_now(sim, start)) == 9), watched_now(sim, start)

    def back(node):
        start = time.time()
        run(node, True)
        assert until(lambda: watched_now(sim, start) == {(node, f"drbdadm -vvv adjust r{i}") for i in (1, 2, 3)})

    # n1 had newer tools at that time, which list what there is to adjust. The end mixes two faults: n2 was on its way
    # back when n3 hung.
    tools_of_n1("0x092200")
    wrong = play(sim, "satellite-10-offline-restart-reconnect.txt", {
        "satellite n3 stopped": lambda: run("n3", False),
        "rd-level change of r1": lambda: sim.drbd.adjustable.append("r1"),
        "controller-level change": sim.drbd.adjustable.clear,
        "n3's satellite started again": lambda: back("n3"),
        "controller restart": restart,
        "satellite n2 killed": lambda: run("n2", False)}, end="n3 hangs")
    assert not wrong, "\n".join(wrong)


def test_a_node_whose_tools_do_not_know_tls(make_sim):  # L29
    sim = recorded_cluster(make_sim)
    sim.ok("POST", "/v1/controller/properties", {"override_props": {"DrbdOptions/Net/ping-int": "12"}})
    wrong = play(sim, "satellite-11-old-utils-without-tls.txt", {
        "n3 gets a 'drbdsetup xml-help new-peer' without": lambda: sim.drbd.xml_tls.update(n3=False),
        "back to the full option list": lambda: sim.drbd.xml_tls.update(n3=True)})
    assert not wrong, "\n".join(wrong)
