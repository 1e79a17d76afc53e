#pragma once

/// What operator and agent say to each other: one JSON object per line, in both directions, over
/// the standard streams of one exec of `breakwater-agent connect` per node.
///
///   agent                                       operator
///   {"hello": {...}}                       ->   first line of every connection
///                                          <-   {"hello": {...}}
///   {"node": {...}} {"resource": {...}}…   ->   the full report, ended by {"synced": true}
///   {"resource": {...}} {"gone": "r1"}     ->   changes, from then on
///                                          <-   {"request": {...}} {"cancel": "id"}
///   {"progress": {...}} {"result": {...}}  ->
///                                          <-   {"ping": 7}
///   {"pong": 7, "time": 1767225600}        ->
///
/// Compatibility: unknown members are ignored, unknown messages too. A member never changes its
/// meaning; whoever needs that raises kProtocolVersion. Both sides say the lowest version that they
/// still speak; the connection uses the highest that both know.
/// Thread safety: pure functions. Decoding never throws; what a peer sent wrong is an error value.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/replication/node/drbd_types.h"
#include "operator/core/replication/transaction/transaction.h"

namespace breakwater::replication {

inline constexpr int kProtocolVersion = 3;
/// The first one whose agents know TransactionRequest::rekey; older ones would do nothing and say
/// that it is done.
inline constexpr int kRekeyProtocol = 3;
inline constexpr int kOldestProtocol = 1;
/// One resource with 32 peers and 16 volumes takes about 100 KiB.
inline constexpr std::size_t kMaxLineBytes = 1U << 20U;

struct AgentHello {
  int protocol = 0;
  int oldest = 0;
  std::string version{};  ///< of the binary
  std::string node{};
  std::string boot{};      ///< the kernel's boot id: another one means that nothing of ours is left
  std::int64_t epoch = 0;  ///< the highest that it has seen
  std::int64_t max_line = 0;

  bool operator==(const AgentHello&) const = default;
};

struct OperatorHello {
  int protocol = 0;
  int oldest = 0;
  std::string version{};
  std::int64_t epoch = 0;

  bool operator==(const OperatorHello&) const = default;
};

/// Facts of the node that are not about one resource.
struct NodeFactsMessage {
  DrbdVersions versions{};
  bool tls_module = false;
  std::optional<bool> handshake_family{};  ///< the kernel's generic netlink family (F10)
  std::optional<std::string>
      usermode_helper{};  ///< /sys/module/drbd/parameters/usermode_helper (F33)
  std::optional<TlsStat> tls_stat{};
  bool sockets_reliable = false;  ///< `ss` shows what the kernel's diag interface says (F24.2)
  bool complete = false;          ///< DRBD's tools answered
  std::string problem{};          ///< why not; for people
  std::string broken_res{};       ///< a .res file that drbdadm cannot read, "" = none (F33)

  bool operator==(const NodeFactsMessage&) const = default;
};

struct ResourceMessage {
  std::string name{};
  ResourceReport report{};

  bool operator==(const ResourceMessage&) const = default;
};

struct GoneMessage {
  std::string name{};

  bool operator==(const GoneMessage&) const = default;
};

/// The full report is complete: what was not in it is not on the node.
struct SyncedMessage {
  bool operator==(const SyncedMessage&) const = default;
};

/// Also sent for every transaction that is under way when a connection begins.
struct ProgressMessage {
  std::string id{};
  TransactionKind kind = TransactionKind::kFollow;
  std::string resource{};
  std::vector<std::string> peers{};
  bool tls = false;
  bool armed = false;
  bool undoing = false;
  std::string phase{};
  std::string why{};

  bool operator==(const ProgressMessage&) const = default;
};

struct ResultMessage {
  std::string id{};
  TransactionKind kind = TransactionKind::kFollow;
  std::string resource{};
  std::vector<std::string> peers{};
  TransactionResult result{};

  bool operator==(const ResultMessage&) const = default;
};

struct PongMessage {
  std::int64_t number = 0;
  std::optional<std::int64_t> time{};  ///< the node's wall clock, Unix seconds; older: not said

  bool operator==(const PongMessage&) const = default;
};

using AgentMessage = std::variant<AgentHello,
                                  NodeFactsMessage,
                                  ResourceMessage,
                                  GoneMessage,
                                  SyncedMessage,
                                  ProgressMessage,
                                  ResultMessage,
                                  PongMessage>;

struct CancelMessage {
  std::string id{};

  bool operator==(const CancelMessage&) const = default;
};

struct PingMessage {
  std::int64_t number = 0;

  bool operator==(const PingMessage&) const = default;
};

using OperatorMessage = std::variant<OperatorHello, TransactionRequest, CancelMessage, PingMessage>;

/// One line with its line end.
std::string Encode(const AgentMessage& message);
std::string Encode(const OperatorMessage& message);

/// Nothing: a message of a newer version, to be ignored. kInvalid: no JSON, a member of the wrong
/// kind, a name that is no name, nested too deep.
Result<std::optional<AgentMessage>, Error> DecodeAgentMessage(std::string_view line);
Result<std::optional<OperatorMessage>, Error> DecodeOperatorMessage(std::string_view line);

/// The version both speak, or nothing.
std::optional<int> AgreeOnProtocol(int own, int own_oldest, int peer, int peer_oldest);

/// The journal entry of a transaction as JSON text, and back. A text that is not understood is an
/// error: the file is then kept aside and reported, never acted upon.
std::string EncodeJournal(const TransactionState& state);
Result<TransactionState, Error> DecodeJournal(std::string_view text);

/// Cuts a byte stream into lines. After a line longer than `max_line` it is broken for good.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line = kMaxLineBytes) : max_line_(max_line) {}

  /// The complete lines so far, without their ends.
  Result<std::vector<std::string>, Error> Feed(std::string_view bytes);

 private:
  const std::size_t max_line_;
  std::string rest_{};
  bool broken_ = false;
};

}  // namespace breakwater::replication
