"""python-linstor, a client that nobody here wrote, drives the simulator."""

import pytest

linstor = pytest.importorskip("linstor", reason="pip install -r requirements.txt")


@pytest.fixture
def client(sim):
    with linstor.Linstor(f"linstor://127.0.0.1:{sim.port}") as connection:
        yield connection


@pytest.fixture
def ready(sim, client):
    """Nodes and pools made by the client."""
    for node, address in sim.drbd.nodes.items():
        replies = client.node_create(node, "Satellite", address, port=3366)
        assert_ok(replies)
        assert_ok(client.storage_pool_create(node, "fthin", "FILE_THIN", f"/lab/{node}/pool"))
    return client


def assert_ok(replies):
    assert replies, "no reply"
    bad = [str(reply) for reply in replies if reply.is_error()]
    assert not bad, bad


def failed(replies):
    return [reply for reply in replies if reply.is_error()]


def test_version(client):
    assert client.controller_version().version.startswith("1.34")


def test_nodes(sim, ready):
    nodes = ready.node_list_raise().nodes
    assert [n.name for n in nodes] == ["n1", "n2", "n3"]
    assert {n.connection_status for n in nodes} == {"ONLINE"}
    assert nodes[0].net_interfaces[0].address == "10.77.0.1"
    assert_ok(ready.netinterface_create("n1", "fast", "10.9.0.1"))
    assert_ok(ready.netinterface_modify("n1", "fast", "10.9.0.2"))
    assert_ok(ready.netinterface_delete("n1", "fast"))
    assert_ok(ready.node_modify("n1", property_dict={"Aux/zone": "a"}))
    assert ready.node_list_raise(["n1"]).nodes[0].properties["Aux/zone"] == "a"
    assert failed(ready.node_create("n1", "Satellite", "10.77.0.9", port=3366))


def test_node_that_is_not_there_is_offline(sim, client):
    replies = client.node_create("gone", "Satellite", "10.77.0.99", port=3366)
    assert any(reply.is_warning() for reply in replies)
    assert client.node_list_raise(["gone"]).nodes[0].connection_status == "OFFLINE"
    assert_ok(client.node_delete("gone"))


def test_storage_pools(ready):
    pools = ready.storage_pool_list_raise().storage_pools
    assert {(p.node_name, p.name) for p in pools if p.name == "fthin"} == {
        ("n1", "fthin"), ("n2", "fthin"), ("n3", "fthin")}
    pool = next(p for p in pools if p.name == "fthin")
    assert pool.provider_kind == "FILE_THIN"
    assert pool.free_space.free_capacity > 0
    assert_ok(ready.storage_pool_modify("n1", "fthin", {"Aux/k": "v"}))
    assert_ok(ready.storage_pool_delete("n1", "fthin"))


def spawn(ready, name="vol", replicas=2):
    assert_ok(ready.resource_group_create("rg", place_count=replicas, storage_pool=["fthin"]))
    assert_ok(ready.volume_group_create("rg"))
    assert_ok(ready.resource_group_spawn("rg", name, ["64M"]))


def test_spawn_places_replicas_and_a_tiebreaker(sim, ready):
    spawn(ready)
    resources = ready.resource_list_raise().resources
    assert [r.node_name for r in resources] == ["n1", "n2", "n3"]
    assert [("TIE_BREAKER" in r.flags) for r in resources] == [False, False, True]
    assert ready.resource_group_list_raise().resource_groups[-1].name == "rg"
    definition = ready.resource_dfn_list_raise(True, filter_by_resource_definitions=["vol"])
    assert definition.resource_definitions[0].volume_definitions[0].size == 65536
    states = ready.resource_list_raise().resource_states
    assert all(not s.in_use for s in states)


def test_properties_on_every_level(sim, ready):
    spawn(ready)
    tls = "DrbdOptions/Net/tls"
    assert_ok(ready.controller_set_prop(tls, "no"))
    assert ready.controller_props()[0].properties[tls] == "no"
    assert_ok(ready.resource_group_modify("rg", property_dict={tls: "yes"}))
    assert_ok(ready.resource_dfn_modify("vol", {tls: "yes"}))
    assert "tls yes;" in sim.drbd.res("n1", "vol")
    assert failed(ready.resource_dfn_modify("vol", {tls: "maybe"}))
    assert failed(ready.controller_set_prop("nonsense", "1"))
    assert_ok(ready.resource_dfn_modify("vol", {}, [tls]))
    assert_ok(ready.controller_del_prop(tls))


def test_connections(sim, ready):
    spawn(ready)
    tls = "DrbdOptions/Net/tls"
    assert_ok(ready.resource_conn_modify("vol", "n1", "n2", {tls: "yes"}, []))
    found = ready.resource_conn_list_raise("vol").resource_connections
    assert {(c.node_a, c.node_b): c.properties for c in found}[("n1", "n2")] == {tls: "yes"}
    assert_ok(ready.node_conn_modify("n1", "n3", {tls: "yes"}, []))
    connections = ready.node_conn_list_raise().node_connections
    assert [(c.node_a, c.node_b) for c in connections] == [("n1", "n3")]


def test_error_reports(sim, ready):
    spawn(ready)
    sim.drbd.failures.append(("n2", r"adjust vol", 10, "TLS can not be enabled, tlshd not running", 0))
    replies = failed(ready.resource_dfn_modify("vol", {"DrbdOptions/Net/tls": "yes"}))
    assert replies[0].message == "(n2) Failed to adjust DRBD resource vol"
    controller_id, satellite_id = replies[0].error_report_ids
    assert "tlshd not running" in ready.error_report_list(with_content=True, ids=[satellite_id])[0].text
    assert "tlshd not running" not in ready.error_report_list(with_content=True, ids=[controller_id])[0].text
    everything = ready.error_report_list(with_content=True)
    assert {report.module for report in everything} == {"CONTROLLER", "SATELLITE"}
    assert all(report.text for report in everything)


def test_deletes(sim, ready):
    spawn(ready)
    assert_ok(ready.resource_delete("n3", "vol"))
    assert_ok(ready.resource_dfn_delete("vol"))
    assert ready.resource_list_raise().resources == []
    assert_ok(ready.resource_group_delete("rg"))
    for node in ("n1", "n2", "n3"):
        assert_ok(ready.node_delete(node))
    assert ready.node_list_raise().nodes == []
