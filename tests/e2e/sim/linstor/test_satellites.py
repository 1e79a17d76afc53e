"""What LINSTOR does on the nodes (facts L16–L32), seen from outside through the sockets."""

import threading
import time

TLS = "DrbdOptions/Net/tls"
YES = {"override_props": {TLS: "yes"}}


def until(condition, seconds=10):
    deadline = time.time() + seconds
    while time.time() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def status_of(sim, node):
    return sim.ok("GET", f"/v1/nodes/{node}")["connection_status"]


def adjusts(sim, resource, since=0.0):
    return sim.drbd.commands(f"drbdadm -vvv adjust {resource}$", since)


def test_first_adjust_comes_after_the_observed_delay_on_all_nodes_at_once(make_sim):  # L16
    sim = make_sim("--first-adjust", "0.4")
    sim.add_nodes()
    sim.add_pools()
    sim.add_resource("r1", ["n1", "n2", "n3"])
    start = time.time()
    sim.ok("PUT", "/v1/resource-definitions/r1", YES)
    took = time.time() - start
    times = [at for at, _, _ in adjusts(sim, "r1", start)]
    assert len(times) == 3
    assert 0.35 < min(times) < 5  # the lower bound is the fact, the upper ones leave room for a busy machine
    assert max(times) - min(times) < 5
    assert took >= max(times)


def test_below_9_32_everything_is_adjusted_and_nothing_listed(cluster):  # L18
    cluster.add_resource("r1", ["n1", "n2", "n3"])
    cluster.ok("PUT", "/v1/resource-definitions/r1", YES)
    assert cluster.drbd.commands("sh-list-adjustable") == []


def test_from_9_32_only_listed_resources_are_adjusted(make_sim):  # L18
    sim = make_sim()
    sim.drbd.version = "0x092200"
    sim.add_nodes()
    sim.add_pools()
    sim.add_resource("r1", ["n1", "n2", "n3"])
    sim.add_resource("r2", ["n1", "n2", "n3"])
    sim.drbd.adjustable = ["r2"]
    start = time.time()
    reply = sim.ok("POST", "/v1/controller/properties", YES)
    assert len(adjusts(sim, "r1", start)) == 0
    assert len(adjusts(sim, "r2", start)) == 3
    assert any(e["message"] == "(n1) Resource 'r1' [DRBD] adjusted." for e in reply)
    first = sim.drbd.commands("drbdadm", start)[0][2]
    assert first == "drbdadm sh-list-adjustable all"


def test_all_fail_names_the_first_only(cluster):  # L20
    cluster.add_resource("r1", ["n1", "n2", "n3"])
    cluster.drbd.failures.append((".*", "adjust r1", 10, "no", 0))
    status, headers, reply = cluster.call("PUT", "/v1/resource-definitions/r1", YES)
    assert status == 500 and headers["Connection"] == "close"
    assert len([e for e in reply if "Failed to adjust" in e["message"]]) == 1
    view = cluster.ok("GET", "/v1/view/resources?resources=r1")
    assert all(r["volumes"][0]["state"]["disk_state"] == "UpToDate" for r in view)


def test_retries_only_the_failed_node(make_sim):  # L22
    sim = make_sim("--retry-scale", "0.05")  # first retry 1.1–1.9 s after the failure
    sim.add_nodes()
    sim.add_pools()
    sim.add_resource("r1", ["n1", "n2", "n3"])
    sim.drbd.failures.append(("n2", "adjust r1", 10, "no", 0))
    start = time.time()
    assert sim.call("PUT", "/v1/resource-definitions/r1", YES)[0] == 500
    # The reply comes with the first error, the other nodes are not done yet.
    assert until(lambda: len(adjusts(sim, "r1", start)) == 3)
    before = 3
    assert "tls" not in sim.drbd.res("n2", "r1")
    sim.drbd.failures.clear()
    assert until(lambda: "tls yes" in sim.drbd.res("n2", "r1"))
    assert until(lambda: len(adjusts(sim, "r1", start)) == before + 1)
    retry = adjusts(sim, "r1", start)[-1]
    assert retry[1] == "n2" and retry[0] > 1.0
    time.sleep(2.5)
    assert len(adjusts(sim, "r1", start)) == before + 1, "no retry after a success"


def test_hanging_adjust_is_given_up(make_sim):  # L23
    sim = make_sim("--exec-timeout", "0.5")
    sim.add_nodes()
    sim.add_pools()
    sim.add_resource("r1", ["n1", "n2", "n3"])
    sim.drbd.failures.append(("n3", "adjust r1", 0, "", 20))
    start = time.time()
    status, _, reply = sim.call("PUT", "/v1/resource-definitions/r1", YES)
    assert status == 500 and 0.4 < time.time() - start < 10
    assert reply[-1]["message"] == "(n3) Failed to adjust DRBD resource r1"


def test_value_is_visible_before_any_node_has_it_and_slow_nodes_delay_others(make_sim):  # L23
    sim = make_sim("--first-adjust", "0.1")
    sim.add_nodes()
    sim.add_pools()
    sim.add_resource("r1", ["n1", "n2", "n3"])
    sim.add_resource("r2", ["n1", "n2", "n3"])
    sim.drbd.failures.append(("n3", "adjust r1", 0, "", 1.5))
    slow = threading.Thread(target=sim.ok, args=("PUT", "/v1/resource-definitions/r1", YES))
    slow.start()
    assert until(lambda: sim.ok("GET", "/v1/resource-definitions/r1").get("props", {}).get(TLS) == "yes")
    # Adjusted at its creation, and now n3 sits in the second one.
    assert until(lambda: len([1 for _, node, _ in adjusts(sim, "r1") if node == "n3"]) == 2)
    start = time.time()
    sim.ok("PUT", "/v1/resource-definitions/r2", YES)
    assert time.time() - start > 0.8
    slow.join()


def test_offline_node_warns_except_for_controller_properties_and_catches_up(cluster):  # L26, L27
    cluster.add_resource("r1", ["n1", "n2", "n3"])
    cluster.drbd.running["n3"] = False
    assert until(lambda: status_of(cluster, "n3") == "OFFLINE")
    reply = cluster.ok("PUT", "/v1/resource-definitions/r1", YES)
    assert any(e["message"] == "No active connection to satellite 'n3'" for e in reply)
    reply = cluster.ok("POST", "/v1/controller/properties",
                       {"override_props": {"DrbdOptions/Net/ping-int": "12"}})
    assert not any("No active connection" in e["message"] for e in reply)
    view = cluster.ok("GET", "/v1/view/resources?resources=r1&nodes=n3")[0]
    assert "state" not in view and "connections" not in view["layer_object"]["drbd"]
    assert "tls" not in cluster.drbd.res("n3", "r1")
    start = time.time()
    cluster.drbd.running["n3"] = True
    assert until(lambda: adjusts(cluster, "r1", start))
    assert "tls yes" in cluster.drbd.res("n3", "r1") and "ping-int 12" in cluster.drbd.res("n3", "r1")
    assert {node for _, node, _ in adjusts(cluster, "r1", start)} == {"n3"}


def test_restart_keeps_the_data_and_adjusts_everything(cluster):  # L27
    cluster.add_resource("r1", ["n1", "n2", "n3"])
    cluster.ok("PUT", "/v1/resource-definitions/r1", YES)
    cluster.stop()
    start = time.time()
    cluster.start()
    assert until(lambda: len(adjusts(cluster, "r1", start)) == 3)
    assert cluster.ok("GET", "/v1/resource-definitions/r1")["props"][TLS] == "yes"
    assert until(lambda: all(status_of(cluster, n) == "ONLINE" for n in ("n1", "n2", "n3")))


def test_pod_with_another_address_is_offline_until_the_interface_follows(cluster):
    cluster.drbd.nodes["n2"] = "10.77.0.22"
    assert until(lambda: status_of(cluster, "n2") == "OFFLINE")
    cluster.ok("PUT", "/v1/nodes/n2/net-interfaces/default", {"address": "10.77.0.22"})
    assert until(lambda: status_of(cluster, "n2") == "ONLINE")


def test_hung_satellite(make_sim):  # L28
    sim = make_sim("--hang-noticed", "0.5")
    sim.add_nodes()
    sim.add_pools()
    sim.add_resource("r1", ["n1", "n2", "n3"])
    sim.ok("POST", "/sim/fault", {"kind": "hang-satellite", "node": "n3"})
    status, _, _ = sim.call("PUT", "/v1/resource-definitions/r1", YES)
    assert status == 500
    assert sim.ok("GET", "/v1/resource-definitions/r1")["props"][TLS] == "yes"
    assert status_of(sim, "n3") == "OFFLINE"
    sim.ok("DELETE", "/sim/fault")
    assert until(lambda: "tls yes" in sim.drbd.res("n3", "r1"))


def test_old_tools_drop_tls_silently(cluster):  # L29
    cluster.add_resource("r1", ["n1", "n2", "n3"])
    cluster.drbd.xml_tls["n3"] = False
    cluster.ok("PUT", "/v1/nodes/n3/reconnect")
    cluster.ok("PUT", "/v1/resource-definitions/r1", YES)
    assert "tls yes" in cluster.drbd.res("n1", "r1")
    assert "tls" not in cluster.drbd.res("n3", "r1")
    reports = cluster.ok("GET", "/v1/error-reports?node=n3")
    assert any("Ignoring property 'DrbdOptions/Net/tls' with value 'yes'" in r["exception_message"]
               for r in reports)


def test_broken_xml_help_fails_the_sync(sim):  # L30
    sim.drbd.failures.append(("n2", "xml-help", 1, "no", 0))
    sim.add_nodes()
    assert status_of(sim, "n1") == "ONLINE"
    assert until(lambda: status_of(sim, "n2") == "FULL_SYNC_FAILED")


def test_standalone_is_only_shown(cluster):  # L25
    cluster.add_resource("r1", ["n1", "n2", "n3"])
    cluster.drbd.standalone.add(("n1", "r1", "n2"))
    start = time.time()
    time.sleep(0.3)
    view = cluster.ok("GET", "/v1/view/resources?resources=r1&nodes=n1")[0]
    assert view["layer_object"]["drbd"]["connections"]["n2"] == {"connected": False, "message": "StandAlone"}
    assert adjusts(cluster, "r1", start) == []


def test_evacuation_moves_replicas_and_waits_for_users(make_sim):
    sim = make_sim(nodes={f"n{i}": f"10.77.0.{i}" for i in (1, 2, 3)})
    sim.add_nodes()
    sim.add_pools()
    sim.add_resource("r1", ["n1", "n2"])
    sim.drbd.primary.add(("n1", "r1"))
    sim.ok("PUT", "/v1/nodes/n1/evacuate", {})

    def replicas():
        return {r["node_name"]: r.get("flags", []) for r in sim.ok("GET", "/v1/view/resources")}

    assert until(lambda: replicas().get("n3") == []), replicas()
    time.sleep(1.5)
    assert "n1" in replicas(), "in use: it stays"
    sim.drbd.primary.clear()
    assert until(lambda: set(replicas()) == {"n2", "n3"}), replicas()
    sim.ok("DELETE", "/v1/nodes/n1")


def test_side_door(cluster):
    cluster.ok("POST", "/sim/fault", {"kind": "http-500", "path": "/v1/nodes", "times": 2})
    assert [cluster.call("GET", "/v1/nodes")[0] for _ in range(3)] == [500, 500, 200]
    cluster.ok("POST", "/sim/fault", {"kind": "delay", "path": "/v1/nodes", "delay_ms": 300, "times": 1})
    start = time.time()
    cluster.ok("GET", "/v1/nodes")
    assert time.time() - start > 0.29
    for kind in ("drop", "half", "hang"):
        cluster.ok("POST", "/sim/fault", {"kind": kind, "path": "/v1/nodes", "times": 1})
        try:
            cluster.call("GET", "/v1/nodes", timeout=1)
            raise AssertionError(f"{kind} had no effect")
        except (OSError, Exception) as error:  # every client says it in its own way
            assert not isinstance(error, AssertionError), error
    log = cluster.ok("GET", "/sim/requests")
    assert log["counts"]["GET /v1/nodes"] >= 7
    since = log["next"]
    cluster.ok("GET", "/v1/nodes")
    assert cluster.ok("GET", f"/sim/requests?since={since}")["counts"] == {"GET /v1/nodes": 1}
    assert cluster.call("GET", "/v1/sim/fault")[0] == 404
