#include "tests/e2e/sim/linstor/effective.h"

#include <fmt/format.h>

namespace breakwater::sim {
namespace {

void AddLevel(const Props& props,
              const std::string& prefix,
              const std::string& level,
              EffectiveOptions& out) {
  for (auto it = props.lower_bound(prefix); it != props.end(); ++it) {
    if (it->first.rfind(prefix, 0) != 0) {
      break;
    }
    out[it->first.substr(prefix.size())].push_back({level, it->second});
  }
}

void AddGroup(const State& state,
              const Definition& definition,
              const std::string& prefix,
              EffectiveOptions& out) {
  const auto group = state.groups.find(Key(definition.group));
  if (group != state.groups.end()) {
    AddLevel(group->second.props, prefix, fmt::format("RG ({})", group->second.name), out);
  }
}

}  // namespace

EffectiveOptions ResourceOptions(const State& state,
                                 const Definition& definition,
                                 const std::string& prefix) {
  EffectiveOptions out;
  AddLevel(definition.props, prefix, fmt::format("RD ({})", definition.name), out);
  AddGroup(state, definition, prefix, out);
  AddLevel(state.controller, prefix, "C", out);
  return out;
}

EffectiveOptions ConnectionOptions(const State& state,
                                   const Definition& definition,
                                   const std::string& node_a,
                                   const std::string& node_b,
                                   const std::string& prefix) {
  EffectiveOptions out;
  const std::string pair = PairKey(node_a, node_b);
  if (const auto it = definition.connections.find(pair); it != definition.connections.end()) {
    AddLevel(it->second.props, prefix, fmt::format("RC ({} <-> {})", it->second.a, it->second.b),
             out);
  }
  AddLevel(definition.props, prefix, fmt::format("RD ({})", definition.name), out);
  if (const auto it = state.node_conns.find(pair); it != state.node_conns.end()) {
    AddLevel(it->second.props, prefix, fmt::format("NC ({} <-> {})", it->second.a, it->second.b),
             out);
  }
  AddGroup(state, definition, prefix, out);
  AddLevel(state.controller, prefix, "C", out);
  return out;
}

}  // namespace breakwater::sim
