#include "operator/core/tls_migration/actions.h"

namespace breakwater::tls_migration {
namespace {

std::string Joined(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers) {
    text += (text.empty() ? "" : ",") + std::to_string(number);
  }
  return text.empty() ? "-" : text;
}

}  // namespace

std::vector<std::string> ToArguments(const NodeOp& op, const std::string& resource) {
  const std::string id = std::to_string(op.peer_id);
  using Kind = NodeOp::Kind;
  switch (op.kind) {
    case Kind::kDisconnect:
      return {"disconnect", resource, op.peer, "-"};
    case Kind::kForceDisconnect:
      return {"force-disconnect", resource, "-", "-"};
    case Kind::kNetOptions:
      return {"net-options", resource, id, std::string(TlsValue(op.tls))};
    case Kind::kConnect:
      return {"connect", resource, id, "-"};
    case Kind::kArm:
      return {"arm", resource, std::to_string(op.seconds), Joined(op.peer_ids)};
    case Kind::kDisarm:
      return {"disarm", resource, "-", "-"};
    case Kind::kSuspend:
      return {"suspend", resource, "-", "-"};
    case Kind::kResume:
      return {"resume", resource, "-", "-"};
    case Kind::kInvalidateRemote:
      return {"invalidate-remote", resource, op.peer, "-"};
    case Kind::kInvalidate:
      return {"invalidate", resource, "-", "-"};
  }
  return {"none", resource, "-", "-"};
}

std::string Describe(const NodeOp& op) {
  std::string text = op.node + ": " + ToArguments(op, "").front();
  if (!op.peer.empty()) {
    text += " " + op.peer;
  } else if (op.peer_id >= 0) {
    text += " peer " + std::to_string(op.peer_id);
  }
  if (op.kind == NodeOp::Kind::kNetOptions) {
    text += " tls=" + std::string(TlsValue(op.tls));
  }
  return text;
}

}  // namespace breakwater::tls_migration
