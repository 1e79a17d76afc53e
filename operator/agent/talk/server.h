#pragma once

/// Server: the UNIX socket at which operators read this node and ask for transactions, through
/// `breakwater-agent connect`. Each client gets hello, the full report, then changes
/// (core/replication/protocol). A client that reads slowly gets the newest state of what changed
/// meanwhile, not everything that it missed; one that does not read at all is dropped.
/// Thread safety: none, runs in the loop's thread.

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "operator/agent/process/fd.h"
#include "operator/agent/process/loop.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/replication/protocol/messages.h"

namespace breakwater::agent {

struct ServerOptions {
  std::string path{};  ///< of the socket; its directory is made private
  std::string node{};
  std::string boot{};
  std::size_t max_clients = 8;
  std::size_t max_line = 65536;            ///< that a client may send
  std::chrono::milliseconds hello{10000};  ///< until a client has said who it is
  std::chrono::milliseconds stall{60000};  ///< until a client that does not read is dropped
};

/// What is told, and who does what is asked.
class ServerBackend {
 public:
  using Resources = std::map<std::string, std::shared_ptr<const replication::ResourceReport>>;

  virtual ~ServerBackend() = default;

  virtual const Resources& resources() const = 0;
  virtual const replication::NodeFactsMessage& facts() const = 0;
  virtual std::vector<replication::ProgressMessage> Progress() const = 0;
  virtual std::int64_t epoch() const = 0;
  virtual void OnHello(std::int64_t epoch) = 0;
  virtual void OnRequest(const replication::TransactionRequest& request) = 0;
  virtual void OnCancel(const std::string& id) = 0;
};

class Server {
 public:
  Server(Loop* loop, ServerOptions options, ServerBackend* backend);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds and listens. A socket that an earlier process left is replaced.
  Result<void, Error> Start();

  /// Full reports can be given from now on.
  void SetReady();
  void ResourceChanged(const std::string& name);
  void FactsChanged();
  void Tell(const replication::ProgressMessage& progress);
  /// Also kept, so that a client that comes later is told: the one before it may have missed it.
  void Tell(const replication::ResultMessage& result);
  /// Keeps a result without telling those who are there: from before this process.
  void Keep(const replication::ResultMessage& result);

 private:
  struct Client;

  void Accept();
  void MakeRoom();
  void Read(int number);
  bool OnLine(Client* client, std::string_view line);
  bool OnOperatorHello(Client* client, const replication::OperatorHello& hello);
  void LogRequest(const Client& client, const replication::TransactionRequest& request) const;
  void BeginReport(Client* client);
  void QueueLine(Client* client, const std::string& key, std::string line);
  void QueueResource(Client* client, const std::string& name);
  void FlushSoon(Client* client);
  void Flush(int number);
  void Fill(Client* client);
  void AppendResource(Client* client, const std::string& name);
  void Drop(int number, std::string_view why);

  Loop* const loop_;
  const ServerOptions options_;
  ServerBackend* const backend_;
  UniqueFd listener_{};
  bool ready_ = false;
  int next_number_ = 0;
  /// The client that said hello last, of those with the newest epoch: what others still say is of a
  /// stream that was given up.
  int obeyed_ = 0;
  std::map<int, std::unique_ptr<Client>> clients_;
  std::deque<replication::ResultMessage> results_{};
};

}  // namespace breakwater::agent
