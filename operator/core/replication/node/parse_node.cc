#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::replication {
namespace {

// Words that only the kernel's diag interface makes `ss` print. procfs gives rto, ato, cwnd too
// (sample q12-mixed), so those prove nothing.
bool IsDiagWord(std::string_view word) {
  static constexpr std::array<std::string_view, 10> kCongestion = {
      "cubic", "reno", "bbr", "dctcp", "vegas", "westwood", "htcp", "bic", "illinois", "yeah"};
  return std::find(kCongestion.begin(), kCongestion.end(), word) != kCongestion.end() ||
         word.starts_with("mss:") || word.starts_with("rtt:");
}

// The kernel's longest name of a cipher has 17 characters.
constexpr std::size_t kMaxTlsName = 32;

bool SplitAddress(std::string_view text, std::string* address, int* port) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return false;
  }
  const std::optional<std::int64_t> number = ToInteger(text.substr(colon + 1));
  if (!number || *number < 0 || *number > 65535) {
    return false;
  }
  *port = static_cast<int>(*number);
  *address = std::string(text.substr(0, colon));
  return true;
}

// "tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw txconf: sw" (F8.2): the protocol alone
// proves nothing, its keys do.
void ReadTls(const std::vector<std::string_view>& words, Socket* socket) {
  const auto after = [&](std::string_view key) {
    const auto at = std::find(words.begin(), words.end(), key);
    return at == words.end() || at + 1 == words.end() ? std::string_view{} : *(at + 1);
  };
  const auto keyed = [&](std::string_view direction) {
    const std::string_view value = after(direction);
    return value == "sw" || value == "hw" || value == "hw-record";
  };
  // A key without its value has the next key behind it: no name ends in a colon.
  const auto named = [&](std::string_view key) {
    const std::string_view value = after(key).substr(0, kMaxTlsName);
    return value.ends_with(':') ? std::string() : std::string(value);
  };
  socket->tls = keyed("rxconf:") && keyed("txconf:");
  socket->half_tls = !socket->tls;
  socket->tls_version = named("version:");
  socket->tls_cipher = named("cipher:");
}

void ReadTraffic(std::string_view word, Socket* socket) {
  static constexpr std::array<std::string_view, 2> kKeys = {"bytes_sent:", "bytes_received:"};
  for (const std::string_view key : kKeys) {
    if (word.starts_with(key)) {
      const std::int64_t bytes = ToInteger(word.substr(key.size())).value_or(0);
      socket->gib = std::max(socket->gib, bytes >> 30);
    }
  }
}

void ReadInfo(std::string_view line, Socket* socket, SocketTable* table) {
  const std::vector<std::string_view> words = Words(line);
  for (const std::string_view word : words) {
    ReadTraffic(word, socket);
    if (word == "tcp-ulp-tls") {
      ReadTls(words, socket);
    }
    if (word == "tcp-ulp-tls" || IsDiagWord(word)) {
      socket->has_info = true;
      table->reliable = true;
    }
  }
}

// "ESTAB 0 0 10.77.0.1:7000 10.77.0.2:45147 ..."; nothing for headers and other lines.
std::optional<Socket> ReadSocket(std::string_view line) {
  const std::vector<std::string_view> words = Words(line);
  if (words.size() < 5 || line.starts_with(' ') || line.starts_with('\t')) {
    return std::nullopt;
  }
  Socket socket;
  socket.state = std::string(words[0]);
  if (!SplitAddress(words[3], &socket.local_address, &socket.local_port) ||
      !SplitAddress(words[4], &socket.remote_address, &socket.remote_port)) {
    return std::nullopt;
  }
  return socket;
}

}  // namespace

SocketTable ParseSockets(std::string_view text) {
  SocketTable table;
  bool open = false;  // the last socket may still get its info line
  for (const std::string_view line : Lines(text)) {
    if (std::optional<Socket> socket = ReadSocket(line)) {
      ReadInfo(line, &*socket, &table);
      table.sockets.push_back(std::move(*socket));
      open = true;
    } else if (open && (line.starts_with('\t') || line.starts_with(' '))) {
      ReadInfo(line, &table.sockets.back(), &table);
      open = false;
    } else {
      open = false;
    }
  }
  return table;
}

std::optional<TlsStat> ParseTlsStat(std::string_view text) {
  TlsStat stat;
  bool found = false;
  for (const std::string_view line : Lines(text, 1000)) {
    const std::vector<std::string_view> words = Words(line);
    const std::optional<std::int64_t> value =
        words.size() == 2 ? ToInteger(words[1]) : std::nullopt;
    if (!value) {
      continue;
    }
    if (words[0] == "TlsCurrTxSw" || words[0] == "TlsCurrTxDevice") {
      stat.current_tx += *value;
      found = true;
    } else if (words[0] == "TlsCurrRxSw" || words[0] == "TlsCurrRxDevice") {
      stat.current_rx += *value;
      found = true;
    }
  }
  return found ? std::optional(stat) : std::nullopt;
}

void ParseProcDrbd(std::string_view text, DrbdVersions* versions) {
  for (const std::string_view line : Lines(text, 100)) {
    const std::vector<std::string_view> words = Words(line);
    if (words.size() >= 2 && words[0] == "version:") {
      versions->module = std::string(words[1]);
      versions->loaded = true;
    }
  }
}

void ParseDrbdadmVersion(std::string_view text, DrbdVersions* versions) {
  for (const std::string_view line : Lines(text, 100)) {
    if (line.starts_with("DRBDADM_VERSION=")) {
      versions->utils = std::string(Trim(line.substr(16)));
    } else if (line.starts_with("DRBD_KERNEL_VERSION=") && versions->module.empty()) {
      versions->module = std::string(Trim(line.substr(20)));
    }
  }
}

namespace {

// The text between "@@ <name>" and the next "@@ ".
std::map<std::string, std::string_view> Sections(std::string_view text) {
  std::map<std::string, std::string_view> sections;
  std::size_t at = text.starts_with("@@ ") ? 0 : text.find("\n@@ ");
  while (at != std::string_view::npos && sections.size() < 32) {
    at = text[at] == '\n' ? at + 1 : at;
    const std::size_t line_end = std::min(text.find('\n', at), text.size());
    const std::string name(Trim(text.substr(at + 3, line_end - at - 3)));
    const std::size_t next = text.find("\n@@ ", line_end);
    const std::size_t end = std::min(next, text.size());
    sections.emplace(name, text.substr(line_end, end - line_end));
    at = next;
  }
  return sections;
}

}  // namespace

std::map<std::string, std::shared_ptr<const ResourceReport>> JoinResources(
    const std::map<std::string, DrbdStatus>& status,
    const std::map<std::string, DrbdShow>& show,
    const SocketTable& sockets) {
  // A socket belongs to the resource whose port is its local or its remote port (F24.1).
  std::map<int, std::string> ports;
  const auto note = [&](const std::string& name, const std::vector<DrbdPath>& paths) {
    for (const DrbdPath& path : paths) {
      ports.emplace(path.local_port, name);
      ports.emplace(path.remote_port, name);
    }
  };
  std::map<std::string, ResourceReport> joined;
  for (const auto& [name, resource] : status) {
    ResourceReport& report = joined[name];
    report.status = resource;
    report.sockets.reliable = sockets.reliable;
    for (const DrbdConnection& connection : resource.connections) {
      note(name, connection.paths);
    }
    if (const auto it = show.find(name); it != show.end()) {
      report.show = it->second;
      for (const ShownConnection& connection : it->second.connections) {
        note(name, connection.paths);
      }
    }
  }
  for (const Socket& socket : sockets.sockets) {
    std::set<std::string> owners;  // two resources may meet by chance: both get it
    for (const int port : {socket.local_port, socket.remote_port}) {
      if (const auto it = ports.find(port); it != ports.end()) {
        owners.insert(it->second);
      }
    }
    for (const std::string& owner : owners) {
      joined[owner].sockets.sockets.push_back(socket);
    }
  }
  std::map<std::string, std::shared_ptr<const ResourceReport>> result;
  for (auto& [name, report] : joined) {
    result[name] = std::make_shared<const ResourceReport>(std::move(report));
  }
  return result;
}

NodeReport ParseReport(const std::string& node, std::string_view text, bool truncated) {
  NodeReport report;
  report.node = node;
  std::map<std::string, std::string_view> sections = Sections(text);
  const std::optional<std::map<std::string, DrbdStatus>> status = ParseStatus(sections["status"]);
  const std::optional<std::map<std::string, DrbdShow>> show = ParseShow(sections["show"]);
  report.ended = !truncated && sections.contains("end");
  report.complete = report.ended && status && show;
  SocketTable sockets = ParseSockets(sections["ss"]);
  report.tls_stat = ParseTlsStat(sections["tls_stat"]);
  if (report.tls_stat && report.tls_stat->current_tx >= 2 &&
      std::none_of(sockets.sockets.begin(), sockets.sockets.end(),
                   [](const Socket& s) { return s.tls; })) {
    sockets.reliable = false;  // the kernel counts sockets with TLS, and `ss` shows none
  }
  report.sockets_reliable = sockets.reliable;
  report.any_socket = std::any_of(sockets.sockets.begin(), sockets.sockets.end(),
                                  [](const Socket& s) { return s.state == "ESTAB"; });
  if (status) {
    report.resources =
        JoinResources(*status, show.value_or(std::map<std::string, DrbdShow>{}), sockets);
  }
  ParseProcDrbd(sections["proc_drbd"], &report.versions);
  ParseDrbdadmVersion(sections["drbdadm"], &report.versions);
  report.tls_module = sections["modules"].find("/sys/module/tls") != std::string_view::npos ||
                      report.tls_stat.has_value();
  return report;
}

}  // namespace breakwater::replication
