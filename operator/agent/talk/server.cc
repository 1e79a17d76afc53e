#include "operator/agent/talk/server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>
#include <variant>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "operator/agent/process/journal_files.h"
#include "operator/agent/process/log.h"
#include "operator/base/clock.h"

namespace breakwater::agent {
namespace {

using replication::AgentMessage;

constexpr std::size_t kOutputBytes = 65536;  ///< that are encoded ahead for one client
constexpr std::size_t kMaxLines = 2048;      ///< progress, results and answers that wait
constexpr std::size_t kKeptResults = 64;
/// A line that says "the report is complete" stands in the queue of resources under no name.
const std::string kSyncedMark;

struct Line {
  std::string key{};  ///< a later line with the same key takes its place; "" = none does
  std::string text{};
};

bool IsOurs(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == geteuid());
}

}  // namespace

struct Server::Client {
  Client(Loop* loop, UniqueFd fd, std::size_t max_line)
      : socket(std::move(fd)), input(max_line), alarm(loop) {}

  int number = 0;
  UniqueFd socket;
  replication::LineSplitter input;
  Alarm alarm;  ///< until hello; then: while output waits
  bool hello = false;
  bool reporting = false;  ///< gets the report and changes
  std::int64_t epoch = -1;
  bool flush_planned = false;
  std::string output{};
  std::deque<Line> lines{};
  bool facts_due = false;
  std::deque<std::string> resources{};
  std::set<std::string> queued{};
};

Server::Server(Loop* loop, ServerOptions options, ServerBackend* backend)
    : loop_(loop), options_(std::move(options)), backend_(backend) {}

Server::~Server() {
  while (!clients_.empty()) {
    Drop(clients_.begin()->first, "");
  }
  if (listener_.valid()) {
    loop_->Unwatch(listener_.get());
    unlink(options_.path.c_str());
  }
}

Result<void, Error> Server::Start() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options_.path.size() >= sizeof(address.sun_path)) {
    return Unexpected{Error{ErrorClass::kInvalid, "the path of the socket is too long"}};
  }
  options_.path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  BREAKWATER_RETURN_IF_ERROR(
      MakePrivateDirectory(options_.path.substr(0, options_.path.rfind('/'))));

  struct stat old {};

  if (lstat(options_.path.c_str(), &old) == 0 && S_ISSOCK(old.st_mode)) {
    unlink(options_.path.c_str());
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t mask = umask(0177);
  const bool bound = fd.valid() && bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                                        sizeof(address)) == 0;
  const int error = errno;
  umask(mask);
  if (!bound || listen(fd.get(), 16) != 0) {
    return Unexpected{Error{ErrorClass::kTransient,
                            "cannot listen at " + options_.path + ": " + std::strerror(error)}};
  }
  listener_ = std::move(fd);
  loop_->Watch(listener_.get(), POLLIN, [this](short) { Accept(); });
  return {};
}

// ---- clients come and go ----

void Server::Accept() {
  UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) {
    return;
  }
  if (!IsOurs(fd.get())) {
    LogWarn("a client of another user was turned away");
    return;
  }
  MakeRoom();
  const int number = ++next_number_;
  auto client = std::make_unique<Client>(loop_, std::move(fd), options_.max_line);
  client->number = number;
  client->alarm.SetAfter(options_.hello, [this, number] { Drop(number, "it says nothing"); });
  loop_->Watch(client->socket.get(), POLLIN, [this, number](short) { Read(number); });
  QueueLine(client.get(), "",
            Encode(AgentMessage(replication::AgentHello{
                .protocol = replication::kProtocolVersion,
                .oldest = replication::kOldestProtocol,
                .version = BREAKWATER_AGENT_VERSION,
                .node = options_.node,
                .boot = options_.boot,
                .epoch = backend_->epoch(),
                .max_line = static_cast<std::int64_t>(options_.max_line)})));
  clients_.emplace(number, std::move(client));
}

// Streams of operators that died linger until their exec is noticed; the newest one counts.
void Server::MakeRoom() {
  while (clients_.size() >= options_.max_clients) {
    const auto oldest =
        std::min_element(clients_.begin(), clients_.end(), [](const auto& a, const auto& b) {
          return std::pair(a.second->epoch, a.first) < std::pair(b.second->epoch, b.first);
        });
    Drop(oldest->first, "there are too many");
  }
}

void Server::Drop(int number, std::string_view why) {
  const auto it = clients_.find(number);
  if (it == clients_.end()) {
    return;
  }
  if (!why.empty()) {
    LogWarn("a client was dropped", {{"client", std::to_string(number)}, {"reason", why}});
  }
  loop_->Unwatch(it->second->socket.get());
  clients_.erase(it);
}

// ---- what they say ----

void Server::Read(int number) {
  const auto it = clients_.find(number);
  if (it == clients_.end()) {
    return;
  }
  Client* client = it->second.get();
  std::array<char, 16384> buffer{};
  const ssize_t size = ::read(client->socket.get(), buffer.data(), buffer.size());
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (size <= 0) {
    LogInfo("a client left", {{"client", std::to_string(number)}});
    Drop(number, "");
    return;
  }
  const auto lines =
      client->input.Feed(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
  if (!lines) {
    Drop(number, lines.error().message);
    return;
  }
  for (const std::string& line : *lines) {
    if (!OnLine(client, line)) {
      return;  // dropped
    }
  }
}

bool Server::OnLine(Client* client, std::string_view line) {
  const auto message = replication::DecodeOperatorMessage(line);
  if (!message) {
    Drop(client->number, message.error().message);
    return false;
  }
  if (!*message) {
    return true;  // of a newer version
  }
  if (const auto* hello = std::get_if<replication::OperatorHello>(&**message)) {
    return OnOperatorHello(client, *hello);
  }
  if (!client->hello) {
    Drop(client->number, "it did not say hello first");
    return false;
  }
  if (const auto* request = std::get_if<replication::TransactionRequest>(&**message)) {
    LogRequest(*client, *request);
    // One of an earlier leader is answered: the Runner refuses it.
    if (client->number == obeyed_ || request->epoch < backend_->epoch()) {
      backend_->OnRequest(*request);
    }
  } else if (const auto* cancel = std::get_if<replication::CancelMessage>(&**message)) {
    LogInfo("cancel", {{"id", cancel->id},
                       {"client", std::to_string(client->number)},
                       {"epoch", std::to_string(client->epoch)},
                       {"obeyed", client->number == obeyed_ ? "yes" : "no"}});
    if (client->number == obeyed_) {
      backend_->OnCancel(cancel->id);
    }
  } else if (const auto* ping = std::get_if<replication::PingMessage>(&**message)) {
    const auto time = std::chrono::duration_cast<std::chrono::seconds>(
        RealClock().SystemNow().time_since_epoch());
    QueueLine(client, "",
              Encode(AgentMessage(replication::PongMessage{ping->number, time.count()})));
  }
  return true;
}

void Server::LogRequest(const Client& client,
                        const replication::TransactionRequest& request) const {
  std::string peers;
  for (const std::string& peer : request.peers) {
    peers += (peers.empty() ? "" : ",") + peer;
  }
  LogInfo("request", {{"id", request.id},
                      {"kind", ToString(request.kind)},
                      {"resource", request.resource},
                      {"peers", peers},
                      {"tls", request.tls ? "yes" : "no"},
                      {"within", std::to_string(request.within.count()) + "ms"},
                      {"epoch", std::to_string(request.epoch)},
                      {"client", std::to_string(client.number)},
                      {"obeyed", client.number == obeyed_ ? "yes" : "no"}});
}

bool Server::OnOperatorHello(Client* client, const replication::OperatorHello& hello) {
  const std::optional<int> version = replication::AgreeOnProtocol(
      replication::kProtocolVersion, replication::kOldestProtocol, hello.protocol, hello.oldest);
  LogInfo("an operator connected", {{"client", std::to_string(client->number)},
                                    {"version", hello.version},
                                    {"protocol", std::to_string(version.value_or(-1))},
                                    {"epoch", std::to_string(hello.epoch)}});
  if (!version) {
    Drop(client->number, "it speaks another protocol");
    return false;
  }
  client->epoch = hello.epoch;
  if (hello.epoch >= backend_->epoch()) {
    obeyed_ = client->number;
  }
  backend_->OnHello(hello.epoch);
  if (!client->hello) {
    client->hello = true;
    client->alarm.Clear();
    if (ready_) {
      BeginReport(client);
    }
  }
  return true;
}

// ---- what they are told ----

void Server::SetReady() {
  if (std::exchange(ready_, true)) {
    return;
  }
  for (const auto& [number, client] : clients_) {
    if (client->hello) {
      BeginReport(client.get());
    }
  }
}

void Server::BeginReport(Client* client) {
  client->reporting = true;
  client->facts_due = true;
  for (const auto& entry : backend_->resources()) {
    QueueResource(client, entry.first);
  }
  client->resources.push_back(kSyncedMark);
  for (const replication::ProgressMessage& progress : backend_->Progress()) {
    QueueLine(client, progress.id, Encode(AgentMessage(progress)));
  }
  for (const replication::ResultMessage& result : results_) {
    QueueLine(client, "", Encode(AgentMessage(result)));
  }
  FlushSoon(client);
}

void Server::ResourceChanged(const std::string& name) {
  for (const auto& [number, client] : clients_) {
    if (client->reporting) {
      QueueResource(client.get(), name);
      FlushSoon(client.get());
    }
  }
}

void Server::FactsChanged() {
  for (const auto& [number, client] : clients_) {
    if (client->reporting) {
      client->facts_due = true;
      FlushSoon(client.get());
    }
  }
}

void Server::Tell(const replication::ProgressMessage& progress) {
  for (const auto& [number, client] : clients_) {
    if (client->reporting) {
      QueueLine(client.get(), progress.id, Encode(AgentMessage(progress)));
    }
  }
}

void Server::Tell(const replication::ResultMessage& result) {
  LogInfo("result", {{"id", result.id},
                     {"kind", ToString(result.kind)},
                     {"resource", result.resource},
                     {"outcome", ToString(result.result.outcome)},
                     {"code", result.result.code},
                     {"reason", result.result.reason},
                     {"frozen", std::to_string(result.result.frozen.count()) + "ms"},
                     {"cut", std::to_string(result.result.cut.count()) + "ms"}});
  Keep(result);
  for (const auto& [number, client] : clients_) {
    if (client->reporting) {
      QueueLine(client.get(), "", Encode(AgentMessage(result)));
    }
  }
}

void Server::Keep(const replication::ResultMessage& result) {
  std::erase_if(results_, [&](const auto& known) { return known.id == result.id; });
  results_.push_back(result);
  if (results_.size() > kKeptResults) {
    results_.pop_front();
  }
}

void Server::QueueLine(Client* client, const std::string& key, std::string line) {
  const auto waiting = key.empty()
                           ? client->lines.end()
                           : std::find_if(client->lines.begin(), client->lines.end(),
                                          [&](const Line& known) { return known.key == key; });
  if (waiting != client->lines.end()) {
    waiting->text = std::move(line);
  } else {
    client->lines.push_back({key, std::move(line)});
  }
  FlushSoon(client);
}

void Server::QueueResource(Client* client, const std::string& name) {
  if (client->queued.insert(name).second) {
    client->resources.push_back(name);
  }
}

// From the loop, never from inside a call of a caller who holds a client.
void Server::FlushSoon(Client* client) {
  if (!std::exchange(client->flush_planned, true)) {
    loop_->At(loop_->Now(), [this, number = client->number] { Flush(number); });
  }
}

void Server::Fill(Client* client) {
  while (client->output.size() < kOutputBytes) {
    if (!client->lines.empty()) {
      client->output += client->lines.front().text;
      client->lines.pop_front();
    } else if (client->facts_due) {
      client->facts_due = false;
      client->output += Encode(AgentMessage(backend_->facts()));
    } else if (!client->resources.empty()) {
      const std::string name = client->resources.front();
      client->resources.pop_front();
      client->queued.erase(name);
      AppendResource(client, name);
    } else {
      return;
    }
  }
}

void Server::AppendResource(Client* client, const std::string& name) {
  if (name == kSyncedMark) {
    client->output += Encode(AgentMessage(replication::SyncedMessage{}));
    return;
  }
  const auto it = backend_->resources().find(name);
  if (it == backend_->resources().end()) {
    client->output += Encode(AgentMessage(replication::GoneMessage{name}));
    return;
  }
  const std::string line = Encode(AgentMessage(replication::ResourceMessage{name, *it->second}));
  if (line.size() > replication::kMaxLineBytes) {
    LogError("a resource is too large to be reported", {{"resource", name}});
    return;
  }
  client->output += line;
}

void Server::Flush(int number) {
  const auto it = clients_.find(number);
  if (it == clients_.end()) {
    return;
  }
  Client* client = it->second.get();
  client->flush_planned = false;
  std::size_t written = 0;
  while (true) {
    Fill(client);
    if (client->output.empty()) {
      break;
    }
    const ssize_t size = send(client->socket.get(), client->output.data(), client->output.size(),
                              MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0 && errno != EAGAIN) {
      Drop(number, "");
      return;
    }
    if (size < 0) {
      break;
    }
    written += static_cast<std::size_t>(size);
    client->output.erase(0, static_cast<std::size_t>(size));
  }
  const bool waits = !client->output.empty();
  loop_->Watch(client->socket.get(), static_cast<short>(waits ? POLLIN | POLLOUT : POLLIN),
               [this, number](short events) {
                 if ((events & POLLOUT) != 0) {
                   Flush(number);
                 }
                 if ((events & ~POLLOUT) != 0) {
                   Read(number);
                 }
               });
  if (client->lines.size() > kMaxLines) {
    Drop(number, "it does not read");
  } else if (!waits && client->hello) {
    client->alarm.Clear();
  } else if (waits && client->hello && (written > 0 || !client->alarm.set())) {
    client->alarm.SetAfter(options_.stall, [this, number] { Drop(number, "it does not read"); });
  }
}

}  // namespace breakwater::agent
