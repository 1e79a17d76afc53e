#include "operator/controllers/replication/linstor_view.h"

#include <utility>
#include <vector>

#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {
namespace {

using replication::Level;
using replication::LinstorOp;
using replication::Pair;
using replication::ResourceLevels;

// Each resource's connections are read again after so many rounds at the latest.
constexpr std::size_t kRereadRounds = 10;

std::optional<bool> TlsIn(const linstor::Props& props) {
  return replication::ReadLevel(props, replication::kPinMarker).value;
}

std::map<std::string, Level> PairLevels(const std::vector<linstor::Connection>& connections) {
  std::map<std::string, Level> levels;
  for (const linstor::Connection& connection : connections) {
    Level level = replication::ReadLevel(connection.props, replication::kPairMarker);
    if (level.value || level.ours) {
      levels[Pair::Of(connection.node_a, connection.node_b).ToString()] = level;
    }
  }
  return levels;
}

linstor::PropsChange Set(bool value, bool previous, std::string_view marker) {
  linstor::PropsChange change;
  change.override_props[std::string(replication::kTlsProperty)] = replication::TlsValue(value);
  change.override_props[std::string(marker)] = replication::TlsValue(previous);
  return change;
}

linstor::PropsChange Remove(std::string_view marker) {
  linstor::PropsChange change;
  change.delete_props = {std::string(replication::kTlsProperty), std::string(marker)};
  return change;
}

Result<void, Error> Done(linstor::LinstorResult<linstor::Reply> reply) {
  if (!reply) {
    return Unexpected{reply.error().ToError()};
  }
  return {};
}

}  // namespace

LinstorView::LinstorView(LinstorProvider& provider, std::string cluster)
    : provider_(provider), cluster_(std::move(cluster)) {}

// What could not be read comes from the last reading, marked as not known.
LevelsSnapshot LinstorView::Remember(LevelsSnapshot snapshot) {
  const std::lock_guard lock(mutex_);
  if (snapshot.known) {
    last_ = snapshot;
    return snapshot;
  }
  last_.known = false;
  last_.error = snapshot.error;
  LevelsSnapshot old = last_;
  for (auto& [name, resource] : old.resources) {
    resource.levels.known = false;
  }
  return old;
}

LevelsSnapshot LinstorView::ReadAll(const Context& ctx,
                                    const std::set<std::string>& with_connections) {
  LevelsSnapshot snapshot;
  const auto fail = [&](const std::string& why) {
    snapshot.error = why;
    return Remember(snapshot);
  };
  Result<std::shared_ptr<linstor::Client>, Error> client = provider_.ClientFor(cluster_);
  if (!client) {
    return fail(client.error().message);
  }
  linstor::Client& api = **client;
  const auto props = api.GetControllerProps(ctx);
  if (!props) {
    return fail(props.error().message());
  }
  const auto groups = api.ListResourceGroups(ctx);
  const auto definitions = api.ListResourceDefinitions(ctx);
  const auto resources = api.ListResources(ctx, "", "");
  const auto node_connections = api.ListNodeConnections(ctx);
  if (!groups || !definitions || !resources || !node_connections) {
    return fail("LINSTOR's objects could not be listed");
  }
  const Level controller = replication::ReadLevel(*props, replication::kClusterMarker);
  snapshot.controller = controller.value;
  snapshot.controller_ours = controller.ours;
  std::map<std::string, std::optional<bool>> group_values;
  for (const linstor::ResourceGroup& group : *groups) {
    group_values[group.name] = TlsIn(group.props);
  }
  std::map<std::string, bool> node_values;
  for (const linstor::Connection& connection : *node_connections) {
    if (const std::optional<bool> value = TlsIn(connection.props)) {
      node_values[Pair::Of(connection.node_a, connection.node_b).ToString()] = *value;
    }
  }
  std::map<std::string, std::map<std::string, std::string>> definition_props;
  for (const linstor::ResourceDefinition& definition : *definitions) {
    if (!definition.layers.empty() && !definition.HasDrbd()) {
      continue;
    }
    definition_props[definition.name] = definition.props;
    LinstorResource& resource = snapshot.resources[definition.name];
    resource.levels.controller = snapshot.controller;
    resource.levels.group = group_values[definition.resource_group];
    resource.levels.definition =
        replication::ReadLevel(definition.props, replication::kPinMarker);
    resource.levels.node_connections = node_values;
  }
  for (const linstor::Resource& replica : *resources) {
    if (const auto it = snapshot.resources.find(replica.name);
        it != snapshot.resources.end() && !replica.HasFlag("DELETE")) {
      it->second.nodes.insert(replica.node);
    }
  }
  if (const auto read = ReadPairs(ctx, api, definition_props, with_connections, &snapshot); !read) {
    return fail(read.error().message);
  }
  snapshot.known = true;
  return Remember(std::move(snapshot));
}

Result<void, Error> LinstorView::ReadPairs(
    const Context& ctx,
    linstor::Client& api,
    const std::map<std::string, std::map<std::string, std::string>>& props,
    const std::set<std::string>& fresh,
    LevelsSnapshot* snapshot) {
  std::size_t round = 0;
  {
    const std::lock_guard lock(mutex_);
    round = round_++;
    std::erase_if(pairs_, [&](const auto& item) { return !props.contains(item.first); });
  }
  for (auto& [name, resource] : snapshot->resources) {
    const bool turn = (std::hash<std::string>{}(name) + round) % kRereadRounds == 0;
    {
      const std::lock_guard lock(mutex_);
      const auto old = pairs_.find(name);
      const bool ours = changed_.erase(name) > 0;
      if (old != pairs_.end() && old->second.props == props.at(name) &&
          old->second.nodes == resource.nodes && !fresh.contains(name) && !ours && !turn) {
        resource.levels.pairs = old->second.pairs;
        resource.levels.known = true;
        continue;
      }
      pairs_.erase(name);
    }
    const auto connections = api.ListResourceConnections(ctx, name);
    if (!connections && !connections.error().IsNotFound()) {
      return Unexpected{connections.error().ToError()};
    }
    if (connections) {
      resource.levels.pairs = PairLevels(*connections);
    }
    resource.levels.known = true;
    const std::lock_guard lock(mutex_);
    pairs_[name] = {props.at(name), resource.nodes, resource.levels.pairs};
  }
  return {};
}

LinstorResource LinstorView::ReadResource(const Context& ctx, const std::string& name) {
  LinstorResource result = Remembered(name);
  ResourceLevels& levels = result.levels;
  levels.known = false;
  Result<std::shared_ptr<linstor::Client>, Error> client = provider_.ClientFor(cluster_);
  if (!client) {
    return result;
  }
  const auto connections = (*client)->ListResourceConnections(ctx, name);
  if (!connections) {
    return result;
  }
  const auto definitions = (*client)->ListResourceDefinitions(ctx);
  const auto props = (*client)->GetControllerProps(ctx);
  const auto replicas = (*client)->ListResources(ctx, "", name);
  if (!definitions || !props || !replicas) {
    return result;
  }
  result.nodes.clear();
  for (const linstor::Resource& replica : *replicas) {
    if (replica.name == name && !replica.HasFlag("DELETE")) {
      result.nodes.insert(replica.node);
    }
  }
  for (const linstor::ResourceDefinition& definition : *definitions) {
    if (definition.name != name) {
      continue;
    }
    levels.definition = replication::ReadLevel(definition.props, replication::kPinMarker);
    levels.controller = replication::ReadLevel(*props, replication::kClusterMarker).value;
    levels.pairs = PairLevels(*connections);
    levels.known = true;
  }
  const std::lock_guard lock(mutex_);
  if (levels.known) {
    last_.resources[name] = result;
  }
  return result;
}

LinstorResource LinstorView::Remembered(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  const auto it = last_.resources.find(resource);
  return it == last_.resources.end() ? LinstorResource{} : it->second;
}

Result<void, Error> LinstorView::Change(const Context& ctx,
                                        const std::string& resource,
                                        const LinstorOp& op) {
  {
    const std::lock_guard lock(mutex_);
    changed_.insert(resource);  // an error may have changed it, too
  }
  Result<std::shared_ptr<linstor::Client>, Error> client = provider_.ClientFor(cluster_);
  if (!client) {
    return Unexpected{client.error()};
  }
  linstor::Client& api = **client;
  const auto on_pair = [&](const std::string& key, const linstor::PropsChange& change) {
    const std::optional<Pair> pair = Pair::Parse(key);
    if (!pair) {
      return Result<void, Error>(Unexpected{Error{ErrorClass::kTerminal, "not a pair: " + key}});
    }
    return Done(api.ModifyResourceConnection(ctx, resource, pair->a, pair->b, change));
  };
  if (const auto* set = std::get_if<replication::SetPair>(&op)) {
    return on_pair(set->pair, Set(set->value, set->previous, replication::kPairMarker));
  }
  if (const auto* remove = std::get_if<replication::RemovePair>(&op)) {
    return on_pair(remove->pair, Remove(replication::kPairMarker));
  }
  if (const auto* pin = std::get_if<replication::SetPin>(&op)) {
    return Done(api.ModifyResourceDefinition(
        ctx, resource, Set(pin->value, pin->previous, replication::kPinMarker)));
  }
  return Done(api.ModifyResourceDefinition(ctx, resource, Remove(replication::kPinMarker)));
}

Result<void, Error> LinstorView::SetClusterValue(const Context& ctx, std::optional<bool> value) {
  Result<std::shared_ptr<linstor::Client>, Error> client = provider_.ClientFor(cluster_);
  if (!client) {
    return Unexpected{client.error()};
  }
  return Done((*client)->ModifyControllerProps(
      ctx, value ? Set(*value, *value, replication::kClusterMarker)
                 : Remove(replication::kClusterMarker)));
}

}  // namespace breakwater::controllers
