"""What the CSI driver (linstor-csi 1.12) sends, as recorded: K1 to K8 and the twelve rows of CSI.md."""

import time

import pytest

PVC = "pvc-11111111-2222-3333-4444-555555555555"
DONE = {"Aux/csi-provisioning-completed-by": "linstor-csi/1.12.0",
        "Aux/csi.storage.k8s.io/pvc/name": "data", "Aux/csi.storage.k8s.io/pvc/namespace": "shop"}
LIST = "cached=true&limit=0&offset=0"
FAIL_IN_USE, NOT_ENOUGH_NODES, DEPRECATED, TAKEOVER = 997, 996, 4000, 10006


def until(condition, seconds=20):
    deadline = time.time() + seconds
    while time.time() < deadline and not condition():
        time.sleep(0.05)
    return condition()


def codes(reply):
    return [entry["ret_code"] & 0x3FFFF for entry in reply]


class Driver:
    """The driver's requests, in its order."""

    def __init__(self, sim):
        self.sim = sim

    def get(self, path):
        """The body, None for 404."""
        status, _, reply = self.sim.call("GET", path)
        assert status in (200, 404), (path, status, reply)
        return reply if status == 200 else None

    def view(self, name):  # K1: all, chosen by the client
        everything = self.get(f"/v1/view/resources?{LIST}")
        return {r["node_name"]: r for r in everything if r["name"] == name}

    def kinds(self, name):
        return {node: "tiebreaker" if "TIE_BREAKER" in r.get("flags", []) else
                "diskless" if "DISKLESS" in r.get("flags", []) else "disk"
                for node, r in self.view(name).items()}

    def group(self, name, props=None, **select_filter):  # K2, K7
        if self.get(f"/v1/resource-groups/{name}") is None:
            self.sim.ok("POST", "/v1/resource-groups", {"name": name, "select_filter": {}})
        reply = self.sim.ok("PUT", f"/v1/resource-groups/{name}",
                            {"override_props": props or {}, "select_filter": select_filter})
        assert self.get(f"/v1/resource-groups/{name}")["name"] == name
        return reply

    def autoplace(self, name, **select_filter):  # K8
        return self.sim.call("POST", f"/v1/resource-definitions/{name}/autoplace",
                             {"select_filter": select_filter})

    def define(self, name, group):
        assert self.get(f"/v1/resource-definitions/{name}") is None
        self.sim.ok("POST", "/v1/resource-definitions",
                    {"resource_definition": {"name": name, "resource_group_name": group}})

    def create(self, name, group, size=65536, preferred=None, fs="ext4"):  # K2
        self.define(name, group)
        assert self.get(f"/v1/resource-definitions/{name}/volume-definitions/0") is None
        props = {"FileSystem/Type": fs, "FileSystem/MkfsParams": ""} if fs else {}
        self.sim.ok("POST", f"/v1/resource-definitions/{name}/volume-definitions",
                    {"volume_definition": {"volume_number": 0, "size_kib": size, "props": props}})
        self.place(name, preferred)
        self.sim.ok("PUT", f"/v1/resource-definitions/{name}", {"override_props": DONE})
        return self.view(name)

    def place(self, name, preferred=None):
        nodes = [n["name"] for n in self.get(f"/v1/nodes?{LIST}")]
        if preferred:
            status, _, reply = self.autoplace(name, place_count=1, additional_place_count=1,
                                              node_name_list=[preferred])
            assert status == 201, reply
        for select_filter in ({"node_name_list": nodes}, {}):
            status, _, reply = self.autoplace(name, **select_filter)
            assert status == 201, reply

    def delete(self, name):  # K4
        base = f"/v1/resource-definitions/{name}"
        if self.get(f"{base}/volume-definitions") is None:
            return
        self.sim.ok("PUT", base, {"override_props": {"BalanceResourcesEnabled": "False"}})
        view = self.view(name)
        for node in sorted(view, key=lambda n: "DISKLESS" not in view[n].get("flags", [])):
            self.sim.ok("DELETE", f"{base}/resources/{node}?keep_tiebreaker=false")
        for volume in self.get(f"{base}/volume-definitions"):
            self.sim.ok("DELETE", f"{base}/volume-definitions/{volume['volume_number']}")
        self.sim.ok("PUT", base, {"delete_props": list(DONE)})
        if self.view(name) or [s for s in self.get(f"/v1/view/snapshots?{LIST}") if s["resource_name"] == name]:
            return
        group = self.get(base)["resource_group_name"]
        self.sim.ok("DELETE", base)
        status, _, reply = self.sim.call("DELETE", f"/v1/resource-groups/{group}")
        assert status == 200 or 501 in codes(reply), reply

    def publish(self, name, node, **body):  # K5
        base = f"/v1/resource-definitions/{name}"
        assert self.get(base) and self.get(f"{base}/volume-definitions")
        self.sim.ok("POST", f"{base}/resources/{node}/make-available", body)
        return self.view(name)[node]["volumes"][0]["device_path"]

    def unpublish(self, name, node):
        if "DISKLESS" not in self.view(name)[node].get("flags", []):
            return 200, []
        status, _, reply = self.sim.call(
            "DELETE", f"/v1/resource-definitions/{name}/resources/{node}?keep_tiebreaker=true")
        return status, reply

    def snapshot(self, name, snapshot):
        assert not [s for s in self.get(f"/v1/view/snapshots?{LIST}") if s["name"] == snapshot]
        assert self.get("/v1/key-value-store/csi-backup-mapping") is None
        assert self.get("/v1/remotes/s3") == []
        self.sim.ok("POST", "/v1/actions/snapshot/multi",
                    {"snapshots": [{"name": snapshot, "resource_name": name}]})
        return self.get(f"/v1/resource-definitions/{name}/snapshots/{snapshot}")

    def restore(self, source, snapshot, name, group):
        self.define(name, group)
        restore = f"/v1/resource-definitions/{source}/snapshot-restore-"
        self.sim.ok("POST", f"{restore}volume-definition/{snapshot}", {"to_resource": name})
        found = self.get(f"/v1/resource-definitions/{source}/snapshots/{snapshot}")
        self.sim.ok("POST", f"{restore}resource/{snapshot}",
                    {"to_resource": name, "nodes": found["nodes"][:1]})
        self.place(name)
        return found["nodes"][0]

    def clone(self, source, name):
        started = self.sim.ok("POST", f"/v1/resource-definitions/{source}/clone", {"name": name})
        states = []

        def complete():
            states.append(self.get(started["location"])["status"])
            return states[-1] != "CLONING"
        assert until(complete) and states[-1] == "COMPLETE", states
        return states


@pytest.fixture
def five(make_sim):
    """Five nodes in three zones with a pool each: room beside replicas and tiebreaker."""
    sim = make_sim(nodes={f"n{i}": f"10.77.0.{i}" for i in range(1, 6)})
    sim.add_nodes()
    sim.add_pools()
    for node, zone in zip(sim.drbd.nodes, "abcab"):
        sim.ok("PUT", f"/v1/nodes/{node}", {"override_props": {"Aux/topology/zone": zone}})
    return Driver(sim)


@pytest.fixture
def driver(cluster):
    return Driver(cluster)


def open_on(driver, node, name, is_open=True):
    """As a pod that mounts the volume."""
    (driver.sim.drbd.primary.add if is_open else driver.sim.drbd.primary.discard)((node, name))


# --- the life of a volume


def test_create_again_and_delete(driver):  # K2, K3, K4, rows 2 and 6
    driver.group("sc-1", place_count=2, storage_pool_list=["fthin"], layer_stack=["DRBD", "STORAGE"])
    driver.create(PVC, "sc-1", preferred="n3")
    assert driver.kinds(PVC) == {"n1": "disk", "n2": "tiebreaker", "n3": "disk"}
    props = driver.get(f"/v1/resource-definitions/{PVC}")["props"]
    assert DONE.items() <= props.items() and props["DrbdOptions/Resource/quorum"] == "majority"
    driver.place(PVC)  # K3: again
    assert len(driver.view(PVC)) == 3
    driver.delete(PVC)
    assert driver.get(f"/v1/resource-definitions/{PVC}") is None
    assert driver.get("/v1/resource-groups/sc-1") is None
    assert [path for _, path in driver.sim.drbd.files if PVC in path] == []
    driver.delete(PVC)  # 404 is fine


def test_a_group_with_another_volume_is_kept(driver):  # K4: 500 with code 501 is ignored
    driver.group("sc-1", place_count=1)
    driver.create(PVC, "sc-1")
    driver.create("other", "sc-1")
    driver.delete(PVC)
    assert driver.get("/v1/resource-groups/sc-1") and driver.kinds("other") == {"n1": "disk"}


def test_expand(driver):  # K5
    driver.group("sc-1", place_count=2)
    driver.create(PVC, "sc-1")
    volume = f"/v1/resource-definitions/{PVC}/volume-definitions/0"
    driver.sim.ok("PUT", volume, {"size_kib": 131072})
    assert driver.get(volume)["size_kib"] == 131072


# --- row 1: make-available


def test_row_1_publish_and_unpublish_on_a_node_without_the_volume(five):
    five.group("sc-1", place_count=2)
    five.create(PVC, "sc-1")
    assert five.kinds(PVC) == {"n1": "disk", "n2": "disk", "n3": "tiebreaker"}
    assert five.publish(PVC, "n4").startswith("/dev/drbd")
    assert five.kinds(PVC) == {"n1": "disk", "n2": "disk", "n4": "diskless"}, "one without a disk is enough"
    assert five.publish(PVC, "n1") and five.publish(PVC, "n4")  # there already: nothing happens
    assert five.kinds(PVC) == {"n1": "disk", "n2": "disk", "n4": "diskless"}
    status, reply = five.unpublish(PVC, "n4")  # row 6
    assert status == 200 and TAKEOVER in codes(reply)
    assert five.kinds(PVC) == {"n1": "disk", "n2": "disk", "n4": "tiebreaker"}
    assert five.unpublish(PVC, "n1") == (200, []) and five.kinds(PVC)["n1"] == "disk"


def test_row_1_a_tiebreaker_becomes_wanted_and_one_again(driver):
    driver.group("sc-1", place_count=2)
    driver.create(PVC, "sc-1")
    driver.publish(PVC, "n3")
    assert driver.kinds(PVC)["n3"] == "diskless"
    assert driver.unpublish(PVC, "n3")[0] == 200
    assert driver.kinds(PVC)["n3"] == "tiebreaker"
    props = driver.get(f"/v1/resource-definitions/{PVC}")["props"]
    assert props["DrbdOptions/Resource/quorum"] == "majority"
    assert props.get("DrbdOptions/auto-add-quorum-tiebreaker") != "False"


def test_row_1_diskful_toggles_and_a_delete_is_taken_back(five):
    five.group("sc-1", place_count=2, storage_pool_list=["fthin"])
    five.create(PVC, "sc-1")
    five.publish(PVC, "n3", diskful=True)  # K8: FollowTopology
    assert five.kinds(PVC) == {"n1": "disk", "n2": "disk", "n3": "disk"}
    five.publish(PVC, "n5", diskful=True)
    assert five.kinds(PVC)["n5"] == "disk"
    five.sim.drbd.failures.append(("n5", f"drbdadm down {PVC}", 10, "busy", 0))
    assert five.sim.call("DELETE", f"/v1/resource-definitions/{PVC}/resources/n5")[0] == 500
    assert "DELETE" in five.view(PVC)["n5"]["flags"]
    five.publish(PVC, "n5")
    assert "DELETE" not in five.view(PVC)["n5"].get("flags", [])
    assert '"n5"' in five.sim.drbd.res("n1", PVC), "its peers know it again"


def test_row_1_what_cannot_be(five):
    five.group("sc-1", place_count=1, storage_pool_list=["fthin"])
    five.create(PVC, "sc-1")
    five.sim.drbd.running["n4"] = False
    assert until(lambda: five.sim.ok("GET", "/v1/nodes/n4")["connection_status"] == "OFFLINE")
    base = f"/v1/resource-definitions/{PVC}/resources"
    status, _, reply = five.sim.call("POST", f"{base}/n4/make-available", {})
    assert status == 500 and codes(reply) == [NOT_ENOUGH_NODES]
    assert five.sim.call("POST", f"{base}/none/make-available", {})[0] == 404
    assert five.sim.call("POST", "/v1/resource-definitions/none/resources/n1/make-available", {})[0] == 404


# --- row 2: autoplace


def test_row_2_additional_means_exactly_that_many_more(five):
    five.group("sc-1", place_count=1)
    five.create(PVC, "sc-1", preferred="n4")
    assert five.kinds(PVC) == {"n4": "disk"}, "one replica, on the preferred node"
    assert five.autoplace(PVC, place_count=1, additional_place_count=2)[0] == 201
    assert sorted(five.kinds(PVC).values()) == ["disk"] * 3
    status, _, reply = five.autoplace(PVC)  # place_count 1, and there are 3
    assert status == 500 and codes(reply) == [219]
    status, _, reply = five.autoplace(PVC, place_count=3)
    assert status == 201 and codes(reply) == [1006], "nothing to do"


# --- rows 3 and 4: snapshots, restore, clone


def test_row_3_snapshot_and_a_volume_from_it(driver):
    driver.group("sc-1", place_count=2)
    driver.create(PVC, "sc-1")
    taken = driver.snapshot(PVC, "snapshot-1")
    assert taken["flags"] == ["SUCCESSFUL"] and taken["nodes"] == ["n1", "n2"]
    assert taken["volume_definitions"] == [{"volume_number": 0, "size_kib": 65536}]
    assert taken["snapshots"][0]["create_timestamp"] > 0
    start = time.time()
    node = driver.restore(PVC, "snapshot-1", "restored", "sc-1")
    assert driver.kinds("restored") == {"n1": "disk", "n2": "disk", "n3": "tiebreaker"}
    assert driver.sim.drbd.restored == [(node, "restored")], "the second replica syncs from the first"
    assert {n for _, n, _ in driver.sim.drbd.commands("set-gi", start)} == {node}
    driver.delete(PVC)
    assert driver.get(f"/v1/resource-definitions/{PVC}"), "its snapshot is there"
    driver.sim.ok("DELETE", f"/v1/resource-definitions/{PVC}/snapshots/snapshot-1")
    driver.sim.ok("DELETE", f"/v1/resource-definitions/{PVC}")
    assert driver.get(f"/v1/view/snapshots?{LIST}") == []


def test_row_3_what_cannot_be_restored(driver):
    driver.group("sc-1", place_count=1)
    driver.create(PVC, "sc-1")
    driver.snapshot(PVC, "snapshot-1")
    driver.define("to", "sc-1")
    restore = f"/v1/resource-definitions/{PVC}/snapshot-restore-"
    for path, body, wanted in [
            ("volume-definition/none", {"to_resource": "to"}, 404),
            ("volume-definition/snapshot-1", {"to_resource": "none"}, 404),
            ("volume-definition/snapshot-1", {"to_resource": "to"}, 200),
            ("volume-definition/snapshot-1", {"to_resource": "to"}, 500),
            ("resource/snapshot-1", {"to_resource": "to", "nodes": ["n3"]}, 404),
            ("resource/snapshot-1", {"to_resource": "to"}, 200),
            ("resource/snapshot-1", {"to_resource": "to"}, 500)]:
        assert driver.sim.call("POST", restore + path, body)[0] == wanted, (path, body)


def test_row_3_no_snapshot_while_a_replica_is_away_or_without_reflinks(make_sim):
    sim = make_sim("--reflinks", "no")
    sim.add_nodes()
    sim.add_pools()
    driver = Driver(sim)
    driver.group("sc-1", place_count=2)
    driver.create(PVC, "sc-1")
    status, _, reply = sim.call("POST", f"/v1/resource-definitions/{PVC}/snapshots", {"name": "s1"})
    assert status == 500 and codes(reply) == [994], "as in the record"
    sim.stop()
    sim.flags = ()
    sim.start()
    sim.drbd.running["n2"] = False
    assert until(lambda: sim.ok("GET", "/v1/nodes/n2")["connection_status"] == "OFFLINE")
    assert until(lambda: sim.ok("GET", "/v1/nodes/n1")["connection_status"] == "ONLINE")
    status, _, reply = sim.call("POST", f"/v1/resource-definitions/{PVC}/snapshots", {"name": "s1"})
    assert status == 500 and codes(reply) == [995]
    assert driver.get(f"/v1/view/snapshots?{LIST}") == []


def test_row_4_clone(driver):
    driver.group("sc-1", {"DrbdOptions/Net/tls": "yes"}, place_count=2)
    driver.create(PVC, "sc-1")
    states = driver.clone(PVC, "copy")
    assert states[0] == "CLONING", "the copy takes time"
    assert driver.kinds("copy") == {"n1": "disk", "n2": "disk", "n3": "tiebreaker"}
    made = driver.get("/v1/resource-definitions/copy")
    assert made["resource_group_name"] == "sc-1" and "flags" not in made
    assert driver.get("/v1/resource-definitions/copy/volume-definitions/0")["size_kib"] == 65536
    assert sorted(driver.sim.drbd.restored) == [("n1", "copy"), ("n2", "copy")]
    assert driver.get(f"/v1/view/snapshots?{LIST}") == [], "nothing is left of how it was made"
    clone = f"/v1/resource-definitions/{PVC}/clone"
    assert driver.get(f"{clone}/none") is None
    assert driver.sim.call("POST", clone, {"name": "copy"})[0] == 500
    assert driver.sim.call("POST", "/v1/resource-definitions/none/clone", {"name": "c2"})[0] == 404


def test_row_4_a_clone_that_fails(driver):
    driver.group("sc-1", place_count=2)
    driver.create(PVC, "sc-1")
    driver.sim.drbd.failures.append(("n2", "adjust copy", 10, "no", 0))
    started = driver.sim.ok("POST", f"/v1/resource-definitions/{PVC}/clone", {"name": "copy"})
    assert until(lambda: driver.get(started["location"])["status"] == "FAILED")


# --- row 5: in use


def test_row_5_in_use_is_997_from_the_first_moment(driver):
    driver.group("sc-1", place_count=2)
    driver.create(PVC, "sc-1")
    driver.publish(PVC, "n3")
    driver.view(PVC)  # the controller has just asked everybody
    open_on(driver, "n3", PVC)
    status, reply = driver.unpublish(PVC, "n3")
    assert status == 500 and codes(reply) == [FAIL_IN_USE]
    assert driver.kinds(PVC)["n3"] == "diskless", "nothing was changed"
    base = f"/v1/resource-definitions/{PVC}"
    for path in (base, f"{base}/volume-definitions/0"):
        status, _, reply = driver.sim.call("DELETE", path)
        assert status == 500 and codes(reply) == [FAIL_IN_USE], path
    assert "flags" not in driver.get(base) and "flags" not in driver.get(f"{base}/volume-definitions/0")
    open_on(driver, "n3", PVC, False)
    driver.delete(PVC)
    assert driver.get(base) is None


# --- row 6: keep_tiebreaker


def test_row_6_without_keep_the_tiebreaker_is_given_up(driver):
    driver.group("sc-1", place_count=2)
    driver.create(PVC, "sc-1")
    driver.sim.ok("DELETE", f"/v1/resource-definitions/{PVC}/resources/n3?keep_tiebreaker=false")
    assert driver.kinds(PVC) == {"n1": "disk", "n2": "disk"}
    props = driver.get(f"/v1/resource-definitions/{PVC}")["props"]
    assert props["DrbdOptions/auto-add-quorum-tiebreaker"] == "False"
    assert "DrbdOptions/Resource/quorum" not in props, "a majority of two would freeze at the first failure"
    driver.publish(PVC, "n3")
    status, reply = driver.unpublish(PVC, "n3")  # with keep it is switched on again
    assert status == 200 and driver.kinds(PVC)["n3"] == "tiebreaker"
    props = driver.get(f"/v1/resource-definitions/{PVC}")["props"]
    assert props["DrbdOptions/auto-add-quorum-tiebreaker"] == "True"
    assert props["DrbdOptions/Resource/quorum"] == "majority"


def test_row_6_where_no_tiebreaker_is_due_the_diskless_goes(five):
    five.group("sc-1", place_count=3)
    five.create(PVC, "sc-1")
    five.publish(PVC, "n4")
    assert five.kinds(PVC)["n4"] == "diskless"
    assert five.unpublish(PVC, "n4")[0] == 200
    assert five.kinds(PVC) == {"n1": "disk", "n2": "disk", "n3": "disk"}


# --- row 7: layers


def test_row_7_layers_come_from_the_group(driver):
    sim = driver.sim
    driver.group("sc-plain", place_count=1, layer_stack=["STORAGE"])
    replica = driver.create("plain", "sc-plain")["n1"]
    assert replica["layer_object"]["type"] == "STORAGE" and "children" not in replica["layer_object"]
    assert replica["volumes"][0]["device_path"].startswith("/dev/loop")
    assert replica["state"] == {"in_use": False}
    assert sim.drbd.res("n1", "plain") == "" and not sim.drbd.commands("plain")
    driver.delete("plain")
    assert driver.get("/v1/resource-definitions/plain") is None


def test_row_7_luks_below_drbd_needs_a_passphrase(driver):
    sim = driver.sim
    driver.group("sc-luks", place_count=2, layer_stack=["DRBD", "LUKS", "STORAGE"])
    driver.define("none", "sc-luks")
    status, _, reply = sim.call("POST", "/v1/resource-definitions/none/volume-definitions",
                                {"volume_definition": {"volume_number": 0, "size_kib": 65536}})
    assert status == 500 and codes(reply) == [312]
    sim.ok("POST", "/v1/encryption/passphrase", {"new_passphrase": "secret"})
    replica = driver.create(PVC, "sc-luks")["n1"]
    assert replica["layer_object"]["children"][0]["type"] == "LUKS"
    assert [layer["type"] for layer in replica["volumes"][0]["layer_data_list"]] == ["DRBD", "LUKS", "STORAGE"]
    assert f"/dev/mapper/Linstor-Crypt-{PVC}_00000" in sim.drbd.res("n1", PVC)
    driver.delete(PVC)


# --- row 8: the autoplacer's rules


@pytest.mark.parametrize("rules, wanted", [
    ({"replicas_on_same": ["Aux/topology/zone"]}, ["n1", "n4"]),
    ({"replicas_on_same": ["Aux/topology/zone=b"]}, ["n2", "n5"]),
    ({"replicas_on_different": ["Aux/topology/zone"]}, ["n1", "n2"]),
    ({"replicas_on_different": ["Aux/topology/zone"], "place_count": 3}, ["n1", "n2", "n3"]),
    ({"replicas_on_different": ["Aux/topology/zone=a"]}, ["n2", "n3"]),
    ({"x_replicas_on_different_map": {"Aux/topology/zone": 2}, "place_count": 4}, ["n1", "n2", "n3", "n4"]),
    ({"not_place_with_rsc_regex": "OLD-.*"}, ["n3", "n4"]),
])
def test_row_8_where_replicas_go(five, rules, wanted):
    five.group("sc-old", place_count=2)
    five.create("old-1", "sc-old")
    five.sim.ok("DELETE", "/v1/resource-definitions/old-1/resources/n3")  # only its replicas count here
    five.group("sc-1", **{"place_count": 2, **rules})
    five.create(PVC, "sc-1")
    assert [n for n, kind in five.kinds(PVC).items() if kind == "disk"] == wanted


def test_row_8_too_few_zones_is_an_error_and_replicas_that_are_there_count(five):
    five.group("sc-1", place_count=1, replicas_on_different=["Aux/topology/zone"])
    five.create(PVC, "sc-1", preferred="n4")  # zone a
    assert five.autoplace(PVC, additional_place_count=1, node_name_list=["n1"])[0] == 500, "n1 is in zone a too"
    assert five.autoplace(PVC, additional_place_count=1)[0] == 201
    assert five.kinds(PVC)["n2"] == "disk"
    status, _, reply = five.autoplace(PVC, place_count=4)
    assert status == 500 and codes(reply) == [NOT_ENOUGH_NODES]


def test_row_8_diskless_on_remaining(five):
    five.group("sc-1", place_count=2, diskless_on_remaining=True)
    five.create(PVC, "sc-1")
    assert sorted(five.kinds(PVC).items()) == [
        ("n1", "disk"), ("n2", "disk"), ("n3", "diskless"), ("n4", "diskless"), ("n5", "diskless")]


# --- row 9: deleting while a node is away


def test_row_9_a_volume_of_an_offline_node_waits_for_it(driver):
    driver.group("sc-1", place_count=2)
    driver.create(PVC, "sc-1")
    driver.sim.drbd.running["n2"] = False
    assert until(lambda: driver.sim.ok("GET", "/v1/nodes/n2")["connection_status"] == "OFFLINE")
    driver.delete(PVC)  # does not fail
    base = f"/v1/resource-definitions/{PVC}"
    assert driver.get(f"{base}/volume-definitions/0")["flags"] == ["DELETE"]
    assert {n: r["flags"] for n, r in driver.view(PVC).items()} == {"n2": ["DELETE"]}
    driver.sim.drbd.running["n2"] = True
    assert until(lambda: driver.view(PVC) == {})
    assert driver.get(f"{base}/volume-definitions") == []
    driver.delete(PVC)  # the driver's next try
    assert driver.get(base) is None


# --- row 10: thin pools


def test_row_10_thin_pools_are_oversubscribed_by_20(driver):
    driver.group("sc-1", place_count=2)
    gib = 1048576
    driver.create("big", "sc-1", size=500 * gib)  # pools of 100 GiB
    assert driver.kinds("big")["n1"] == "disk"
    driver.create("bigger", "sc-1", size=1500 * gib)  # 100 x 20 - 500
    driver.define("much", "sc-1")
    driver.sim.ok("POST", "/v1/resource-definitions/much/volume-definitions",
                  {"volume_definition": {"volume_number": 0, "size_kib": gib}})
    status, _, reply = driver.autoplace("much")
    assert status == 500 and codes(reply) == [NOT_ENOUGH_NODES]
    for node in ("n1", "n2", "n3"):
        driver.sim.ok("PUT", f"/v1/nodes/{node}/storage-pools/fthin",
                      {"override_props": {"MaxTotalCapacityOversubscriptionRatio": "21"}})
    assert driver.autoplace("much")[0] == 201
    driver.sim.ok("POST", "/v1/controller/properties", {"override_props": {"MaxOversubscriptionRatio": "1"}})
    driver.define("small", "sc-1")
    driver.sim.ok("POST", "/v1/resource-definitions/small/volume-definitions",
                  {"volume_definition": {"volume_number": 0, "size_kib": 101 * gib}})
    assert driver.autoplace("small")[0] == 500, "free space times 1"


def test_row_10_a_thick_pool_holds_what_it_holds(driver):
    for node in ("n1", "n2", "n3"):
        driver.sim.ok("POST", f"/v1/nodes/{node}/storage-pools",
                      {"storage_pool_name": "thick", "provider_kind": "LVM",
                       "props": {"StorDriver/StorPoolName": "vg"}})
    driver.group("sc-1", place_count=1, storage_pool_list=["thick"])
    driver.define(PVC, "sc-1")
    driver.sim.ok("POST", f"/v1/resource-definitions/{PVC}/volume-definitions",
                  {"volume_definition": {"volume_number": 0, "size_kib": 500 * 1048576}})
    assert driver.autoplace(PVC)[0] == 500


# --- rows 11 and 12


def test_row_11_auto_quorum_is_deprecated(driver):
    reply = driver.group("sc-1", {"DrbdOptions/auto-quorum": "suspend-io"}, place_count=2)
    assert DEPRECATED in codes(reply)
    assert driver.get("/v1/resource-groups/sc-1")["props"]["DrbdOptions/auto-quorum"] == "suspend-io"
    assert DEPRECATED not in codes(driver.group("sc-1", {"DrbdOptions/Net/tls": "yes"}))


def test_row_12_key_value_store(driver):
    store = "/v1/key-value-store/csi-backup-mapping"
    assert driver.get(store) is None
    driver.sim.ok("PUT", store, {"override_props": {"snap-1": "r1/back_1", "ns/x": "1"}})
    driver.sim.ok("PUT", store, {"override_props": {"snap-2": "r2/back_2"}, "delete_props": ["snap-1"],
                                 "delete_namespaces": ["ns"]})
    wanted = [{"name": "csi-backup-mapping", "props": {"snap-2": "r2/back_2"}}]
    assert driver.get(store) == wanted and driver.get("/v1/key-value-store") == wanted
    driver.sim.stop()
    driver.sim.start()
    assert driver.get(store) == wanted, "kept over a restart"
    driver.sim.ok("DELETE", store)
    assert driver.get(store) is None


def test_k1_unknown_routes_are_404_with_a_list(driver):
    status, _, reply = driver.sim.call("GET", "/v1/view/backups-of-tomorrow")
    assert status == 404 and reply[0]["ret_code"] < 0
