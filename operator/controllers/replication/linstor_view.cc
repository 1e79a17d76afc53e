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

// What could not be read comes from the last reading, marked as not known. What we changed while
// this was being read may be from before the change: what we know of it stays.
LevelsSnapshot LinstorView::Remember(LevelsSnapshot snapshot, std::uint64_t since) {
  const std::lock_guard lock(mutex_);
  if (!snapshot.known) {
    last_.known = false;
    last_.error = snapshot.error;
    for (auto& [name, resource] : last_.resources) {
      resource.levels.known = false;
    }
    return last_;
  }
  for (auto& [name, resource] : snapshot.resources) {
    const auto changed = changed_at_.find(name);
    const auto old = last_.resources.find(name);
    if (changed != changed_at_.end() && changed->second > since && old != last_.resources.end()) {
      resource.levels.definition = old->second.levels.definition;
      resource.levels.pairs = old->second.levels.pairs;
      resource.levels.known = old->second.levels.known;
      changed_.insert(name);
    }
  }
  std::erase_if(changed_at_, [&](const auto& item) { return item.second <= since; });
  last_ = std::move(snapshot);
  return last_;
}

LevelsSnapshot LinstorView::ReadAll(const Context& ctx,
                                    const std::set<std::string>& with_connections) {
  LevelsSnapshot snapshot;
  std::uint64_t since = 0;
  {
    const std::lock_guard lock(mutex_);
    since = changes_;
  }
  const auto fail = [&](const std::string& why) {
    snapshot.error = why;
    return Remember(snapshot, since);
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
  const auto nodes = api.ListNodes(ctx);
  if (!groups || !definitions || !resources || !node_connections || !nodes) {
    return fail("LINSTOR's objects could not be listed");
  }
  for (const linstor::Node& node : *nodes) {
    if (node.online()) {
      snapshot.online.insert(node.name);
    } else if (node.connection_status == "OFFLINE") {
      snapshot.offline.insert(node.name);
    }
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
    resource.group = definition.resource_group;
    resource.levels.controller = snapshot.controller;
    resource.levels.group = group_values[definition.resource_group];
    resource.levels.definition = replication::ReadLevel(definition.props, replication::kPinMarker);
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
  return Remember(std::move(snapshot), since);
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

std::optional<LinstorResource> LinstorView::Resource(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto it = last_.resources.find(name);
  return it == last_.resources.end() ? std::nullopt : std::optional(it->second);
}

LevelsSnapshot LinstorView::Last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

void LinstorView::ReadAgain(const Context& ctx, const std::string& name) {
  std::optional<LinstorResource> known = Resource(name);
  if (!known) {
    return;
  }
  ResourceLevels& levels = known->levels;
  levels.known = false;
  if (const Result<std::shared_ptr<linstor::Client>, Error> client =
          provider_.ClientFor(cluster_)) {
    const auto connections = (*client)->ListResourceConnections(ctx, name);
    const auto definitions = (*client)->ListResourceDefinitions(ctx);
    if (connections && definitions) {
      for (const linstor::ResourceDefinition& definition : *definitions) {
        if (definition.name == name) {
          levels.definition = replication::ReadLevel(definition.props, replication::kPinMarker);
          levels.pairs = PairLevels(*connections);
          levels.known = true;
        }
      }
    }
  }
  const std::lock_guard lock(mutex_);
  if (const auto it = last_.resources.find(name); it != last_.resources.end()) {
    it->second.levels = levels;
    changed_at_[name] = ++changes_;
  }
}

void LinstorView::NoteChange(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  changed_.insert(resource);  // an error may have changed it, too
  changed_at_[resource] = ++changes_;
}

Result<void, Error> LinstorView::Change(const Context& ctx,
                                        const std::string& resource,
                                        const LinstorOp& op) {
  NoteChange(resource);
  Result<void, Error> done = Write(ctx, resource, op);
  if (!done) {
    ReadAgain(ctx, resource);
    return done;
  }
  const std::lock_guard lock(mutex_);
  if (const auto it = last_.resources.find(resource); it != last_.resources.end()) {
    it->second.levels = After(std::move(it->second.levels), op);
  }
  changed_at_[resource] = ++changes_;
  return done;
}

Result<void, Error> LinstorView::Write(const Context& ctx,
                                       const std::string& resource,
                                       const LinstorOp& op) {
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
  Result<void, Error> done = Done(
      (*client)->ModifyControllerProps(ctx, value ? Set(*value, *value, replication::kClusterMarker)
                                                  : Remove(replication::kClusterMarker)));
  if (done) {
    const std::lock_guard lock(mutex_);
    last_.controller = value;
    last_.controller_ours = value.has_value();
    for (auto& [name, resource] : last_.resources) {
      resource.levels.controller = value;
    }
  }
  return done;
}

}  // namespace breakwater::controllers
