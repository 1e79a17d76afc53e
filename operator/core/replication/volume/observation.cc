#include "operator/core/replication/volume/observation.h"

#include <algorithm>

#include "operator/core/replication/node/text.h"
#include "operator/core/replication/volume/evidence.h"

namespace breakwater::replication {

std::optional<Pair> Pair::Parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) {
    return std::nullopt;
  }
  return Of(std::string(text.substr(0, slash)), std::string(text.substr(slash + 1)));
}

bool NodeView::Diskless() const {
  return !devices.empty() &&
         std::all_of(devices.begin(), devices.end(), [](const DrbdDevice& d) { return d.client; });
}

bool NodeView::AllUpToDate() const {
  return !devices.empty() && std::all_of(devices.begin(), devices.end(),
                                         [](const DrbdDevice& d) { return d.disk == "UpToDate"; });
}

bool NodeView::HasQuorum() const {
  return !devices.empty() &&
         std::all_of(devices.begin(), devices.end(), [](const DrbdDevice& d) { return d.quorum; });
}

std::vector<std::string> ResourceObservation::Primaries() const {
  std::vector<std::string> names;
  for (const auto& [name, node] : nodes) {
    if (node.known && node.primary) {
      names.push_back(name);
    }
  }
  return names;
}

bool ResourceObservation::AllKnown() const {
  return !nodes.empty() && std::all_of(nodes.begin(), nodes.end(),
                                       [](const auto& item) { return item.second.known; });
}

bool ResourceObservation::SuspendedUser() const {
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const auto& item) { return item.second.suspended_user; });
}

const NodeView* ResourceObservation::Node(std::string_view name) const {
  const auto it = nodes.find(std::string(name));
  return it == nodes.end() ? nullptr : &it->second;
}

const ConnectionView* ResourceObservation::Connection(const Pair& pair) const {
  const auto it = connections.find(pair);
  return it == connections.end() ? nullptr : &it->second;
}

std::vector<const ConnectionView*> ResourceObservation::ConnectionsOf(std::string_view node) const {
  std::vector<const ConnectionView*> result;
  for (const auto& [pair, connection] : connections) {
    if (pair.Has(node)) {
      result.push_back(&connection);
    }
  }
  return result;
}

namespace {

NodeView ReadNode(const std::string& name, const NodeSlice* slice) {
  NodeView view;
  view.name = name;
  if (slice == nullptr || !slice->complete) {
    return view;
  }
  view.answers = true;
  if (slice->report == nullptr) {
    return view;  // the node answers but does not have the resource: down, or not made yet
  }
  const DrbdStatus& status = slice->report->status;
  view.known = true;
  view.node_id = status.node_id;
  view.primary = status.role == "Primary";
  view.suspended_user = status.suspended_user;
  view.suspended_no_data = status.suspended_no_data;
  view.suspended_quorum = status.suspended_quorum;
  view.devices = status.devices;
  if (const std::optional<DrbdShow>& show = slice->report->show) {
    view.quorum = show->quorum;
    view.minimum_redundancy = show->minimum_redundancy;
    view.on_no_quorum = show->on_no_quorum;
    view.on_no_data = show->on_no_data;
  }
  return view;
}

EndView ReadEnd(const NodeSlice& slice,
                const DrbdConnection& connection,
                const TlsMinimum& minimum) {
  const ResourceReport& report = *slice.report;
  EndView end;
  end.known = true;
  end.peer_node_id = connection.peer_node_id;
  end.state = connection.state;
  end.tls = connection.tls;
  end.peer_role = connection.peer_role;
  end.devices = connection.devices;
  DrbdConnection with_paths = connection;
  if (report.show) {
    for (const ShownConnection& shown : report.show->connections) {
      if (shown.peer_node_id != connection.peer_node_id) {
        continue;
      }
      end.bad_transport = shown.BadTransport();
      // drbd-utils before 9.28 has no flag in status; before 9.26 there is no TLS at all.
      end.tls = end.tls ? end.tls : std::optional(shown.tls.value_or(false));
      if (with_paths.paths.empty()) {  // the module does not know the request behind them
        with_paths.paths = shown.paths;
      }
    }
  }
  if (report.res) {
    if (const auto it = report.res->tls.find(connection.peer); it != report.res->tls.end()) {
      end.res_tls = it->second;
    }
  }
  end.sockets = ProofOf(with_paths, report.sockets, slice.tls_stat);
  if (end.sockets == SocketProof::kEncrypted) {
    end.weakness = WeaknessOf(with_paths, report.sockets, minimum);
    end.sockets = end.weakness.empty() ? end.sockets : SocketProof::kWeak;
  }
  end.session = end.bad_transport.empty() ? SessionOf(with_paths, report.sockets) : "";
  ReadSession(with_paths, report.sockets, &end);
  return end;
}

// A node that does not answer has connections all the same: as unknown ends, so that nobody takes
// silence for "there is nothing to protect".
void AddUnseenConnections(ResourceObservation* seen) {
  for (const auto& [a, node_a] : seen->nodes) {
    for (const auto& [b, node_b] : seen->nodes) {
      const Pair pair{a, b};
      if (a < b && (!node_a.known || !node_b.known) && !seen->connections.contains(pair)) {
        seen->connections[pair].pair = pair;
      }
    }
  }
}

}  // namespace

NodeSlice SliceOf(const NodeReport& report, const std::string& resource) {
  const auto it = report.resources.find(resource);
  return {report.complete, it == report.resources.end() ? nullptr : it->second, report.tls_stat};
}

ResourceObservation BuildObservation(const std::string& resource,
                                     const std::set<std::string>& members,
                                     const std::map<std::string, NodeSlice>& nodes,
                                     const ResourceLevels& levels,
                                     const TlsMinimum& minimum) {
  ResourceObservation seen;
  seen.resource = resource;
  seen.levels = levels;
  std::set<std::string> names = members;
  for (const auto& [node, slice] : nodes) {
    if (slice.report == nullptr) {
      continue;
    }
    names.insert(node);
    for (const DrbdConnection& connection : slice.report->status.connections) {
      if (IsSafeName(connection.peer)) {
        names.insert(connection.peer);
      }
    }
  }
  for (const std::string& name : names) {
    const auto slice = nodes.find(name);
    seen.nodes[name] = ReadNode(name, slice == nodes.end() ? nullptr : &slice->second);
  }
  for (const auto& [node, slice] : nodes) {
    if (!slice.complete || slice.report == nullptr) {
      continue;
    }
    for (const DrbdConnection& connection : slice.report->status.connections) {
      if (!IsSafeName(connection.peer)) {
        continue;
      }
      const Pair pair = Pair::Of(node, connection.peer);
      ConnectionView& view = seen.connections[pair];
      view.pair = pair;
      (node == pair.a ? view.a : view.b) = ReadEnd(slice, connection, minimum);
    }
  }
  AddUnseenConnections(&seen);
  return seen;
}

}  // namespace breakwater::replication
