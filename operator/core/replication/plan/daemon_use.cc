#include "operator/core/replication/plan/daemon_use.h"

#include "operator/core/replication/volume/evidence.h"

namespace breakwater::replication {
namespace {

bool UsesTls(const ClusterPlan& plan, const std::string& resource, const ConnectionView& seen) {
  for (const EndView* end : {&seen.a, &seen.b}) {
    if (end->tls.value_or(false) || end->res_tls.value_or(false) ||
        end->sockets == SocketProof::kEncrypted || end->sockets == SocketProof::kWeak) {
      return true;
    }
  }
  const auto wanted = plan.wanted.find(resource);
  if (wanted == plan.wanted.end()) {
    return false;
  }
  const auto value = wanted->second.find(seen.pair);
  return value != wanted->second.end() && value->second;
}

}  // namespace

std::map<std::string, std::string> DaemonUse(const ClusterInput& input,
                                             const ClusterPlan& plan,
                                             const std::set<std::string>& answering) {
  std::map<std::string, std::set<std::string>> volumes;
  for (const auto& seen : input.resources) {
    for (const auto& [pair, connection] : seen->connections) {
      if (UsesTls(plan, seen->resource, connection)) {
        volumes[pair.a].insert(seen->resource);
        volumes[pair.b].insert(seen->resource);
      }
    }
  }
  std::map<std::string, std::string> use;
  if (input.linstor_known) {
    const bool everywhere = ClusterValue(input).value_or(false);
    for (const std::string& node : answering) {
      use[node] =
          everywhere ? std::string(kTlsProperty) + " is yes, new volumes need it" : std::string();
    }
  }
  for (const auto& [node, names] : volumes) {
    // Without a count: it moves while volumes do, and conditions would be written each time.
    use[node] = "volume " + *names.begin() + (names.size() > 1 ? " and others are" : " is") +
                " replicated with TLS";
  }
  return use;
}

}  // namespace breakwater::replication
