#include <algorithm>
#include <string>
#include <utility>

#include "operator/core/replication/protocol/fields.h"

namespace breakwater::replication {
namespace {

// Another version's entry is not guessed at: it is kept aside.
constexpr int kJournalVersion = 1;
constexpr int kMaxNodeId = 31;
constexpr int kMaxMinor = 1 << 20;

Unexpected<Error> Invalid(std::string_view what) {
  return Unexpected{Error{ErrorClass::kInvalid, "journal: " + std::string(what)}};
}

// Would commands made from it be commands of ours?
std::optional<std::string> StateProblem(const TransactionState& state) {
  if (std::optional<std::string> problem = RequestProblem(state.request)) {
    return problem;
  }
  for (const auto& [name, peer] : state.peers) {
    const auto& peers = state.request.peers;
    if (std::find(peers.begin(), peers.end(), name) == peers.end() || peer.peer_id < 0 ||
        peer.peer_id > kMaxNodeId || peer.tries < 0) {
      return "peer " + name + " is not of the request";
    }
  }
  for (const int minor : state.minors) {
    if (minor < 0 || minor > kMaxMinor) {
      return "a minor is no minor";
    }
  }
  if (state.suspended_at && state.minors.empty()) {
    return "something unnamed is suspended";
  }
  if (state.until - state.started != state.request.within) {
    return "its deadline is not that of the request";
  }
  if (state.cuts < 0 || state.attempts < 0 || state.result.healed < 0) {
    return "a count is negative";
  }
  return std::nullopt;
}

}  // namespace

std::string EncodeJournal(const TransactionState& state) {
  Json json = Writer::ToJson(state);
  json["journal"] = kJournalVersion;
  return ToText(json);
}

Result<TransactionState, Error> DecodeJournal(std::string_view text) {
  if (text.size() > kMaxLineBytes) {
    return Invalid("too long");
  }
  const std::optional<Json> json = ParseObject(text);
  if (!json) {
    return Invalid("no JSON object");
  }
  const auto version = json->find("journal");
  if (version == json->end() || *version != Json(kJournalVersion)) {
    return Invalid("another version");
  }
  TransactionState state;
  std::string problem;
  Reader reader(*json, &problem);
  Fields(reader, state);
  if (!problem.empty()) {
    return Invalid(problem);
  }
  if (std::optional<std::string> wrong = StateProblem(state)) {
    return Invalid(*wrong);
  }
  return state;
}

}  // namespace breakwater::replication
