#include "operator/controllers/replication/agent_link/report_size.h"

#include <string>
#include <vector>

namespace breakwater::controllers {
namespace {

using namespace replication;  // NOLINT(google-build-using-namespace): one function per type of it

/// Header and padding of one block of malloc.
constexpr std::size_t kBlock = 16;
/// Links and colour of a node of std::map.
constexpr std::size_t kMapNode = 48;

// Extra: what a value owns outside of itself.
std::size_t Extra(const std::string& text) {
  constexpr std::size_t kInPlace = 15;
  return text.capacity() > kInPlace ? text.capacity() + 1 + kBlock : 0;
}

std::size_t Extra(const PeerDevice& device) {
  return Extra(device.replication) + Extra(device.peer_disk);
}

std::size_t Extra(const DrbdDevice& device) {
  return Extra(device.disk);
}

std::size_t Extra(const DrbdPath& path) {
  return Extra(path.local_address) + Extra(path.remote_address);
}

std::size_t Extra(const Socket& socket) {
  return Extra(socket.state) + Extra(socket.local_address) + Extra(socket.remote_address) +
         Extra(socket.tls_version) + Extra(socket.tls_cipher);
}

std::size_t Extra(const DrbdConnection& connection);
std::size_t Extra(const ShownConnection& connection);

template <typename T>
std::size_t Extra(const std::vector<T>& list) {
  std::size_t size = list.capacity() * sizeof(T) + kBlock;
  for (const T& item : list) {
    size += Extra(item);
  }
  return size;
}

std::size_t Extra(const DrbdConnection& connection) {
  return Extra(connection.peer) + Extra(connection.state) + Extra(connection.peer_role) +
         Extra(connection.paths) + Extra(connection.devices);
}

std::size_t Extra(const ShownConnection& connection) {
  return Extra(connection.peer) + Extra(connection.transport) + Extra(connection.paths);
}

std::size_t Extra(const DrbdStatus& status) {
  return Extra(status.name) + Extra(status.role) + Extra(status.devices) +
         Extra(status.connections);
}

std::size_t Extra(const DrbdShow& show) {
  return Extra(show.name) + Extra(show.quorum) + Extra(show.minimum_redundancy) +
         Extra(show.on_no_quorum) + Extra(show.on_no_data) + Extra(show.connections);
}

std::size_t Extra(const ResConfig& res) {
  std::size_t size = 0;
  for (const auto& entry : res.tls) {
    size += kMapNode + sizeof(entry) + kBlock + Extra(entry.first);
  }
  return size;
}

}  // namespace

std::size_t MemoryOf(const ResourceReport& report) {
  return sizeof(report) + kBlock + Extra(report.status) + (report.show ? Extra(*report.show) : 0) +
         Extra(report.sockets.sockets) + (report.res ? Extra(*report.res) : 0);
}

std::size_t MemoryOf(const NodeFactsMessage& facts) {
  return sizeof(facts) + Extra(facts.versions.module) + Extra(facts.versions.utils) +
         Extra(facts.usermode_helper.value_or("")) + Extra(facts.problem) + Extra(facts.broken_res);
}

std::size_t MemoryOf(const ProgressMessage& progress) {
  return kMapNode + sizeof(progress) + Extra(progress.id) + Extra(progress.resource) +
         Extra(progress.peers) + Extra(progress.phase) + Extra(progress.why);
}

}  // namespace breakwater::controllers
