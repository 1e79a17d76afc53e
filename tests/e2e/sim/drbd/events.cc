#include "tests/e2e/sim/drbd/events.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace breakwater::sim {
namespace {

// Splits into lines, puts the stamp before each.
std::string Stamped(const std::string& lines, const std::string& stamp) {
  std::string out;
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = lines.find('\n', begin) + 1;
    out += stamp + lines.substr(begin, end - begin);
    begin = end;
  }
  return out;
}

const EventObject* FindObject(const std::vector<EventObject>& objects, const EventObject& wanted) {
  const auto it =
      std::find_if(objects.begin(), objects.end(), [&wanted](const EventObject& object) {
        return object.kind == wanted.kind && object.key == wanted.key;
      });
  return it == objects.end() ? nullptr : &*it;
}

}  // namespace

EventFeed::EventFeed(World& world, Kernel& kernel) : world_(world), kernel_(kernel) {
  world_.on_touch = [this](const std::string& node, const std::string& resource) {
    Touch(node, resource);
  };
  kernel_.on_helper = [this](const End& end, const std::string& name, const std::string& status) {
    Helper(end, name, status);
  };
}

std::uint64_t EventFeed::Subscribe(const std::string& node,
                                   std::function<void(const std::string& resource)> changed) {
  subscribers_[next_id_] = {node, std::move(changed)};
  return next_id_++;
}

std::uint64_t EventFeed::Open(const std::string& node, StreamRequest request) {
  const std::uint64_t id = next_id_++;
  Stream& stream = streams_[id];
  stream.node = node;
  stream.request = std::move(request);
  const std::string& only = stream.request.resource;
  std::string lines;
  bool others = false;
  for (auto& [name, resource] : world_.GetNode(node).resources) {
    stream.shown[name] = Look(node, name);
    others = others || (!only.empty() && name != only);
    for (const EventObject& object : stream.shown[name]) {
      lines += only.empty() || name == only ? EventLine("exists", object) : "";
    }
  }
  // The end of the list is numbered after the resources that were left out, and so gets lost.
  lines += others ? "" : "exists -\n";
  Say(stream, only, lines);
  return id;
}

void EventFeed::NodeCrashed(const std::string& node) {
  std::erase_if(streams_, [&node](const auto& entry) { return entry.second.node == node; });
}

void EventFeed::Touch(const std::string& node, const std::string& resource) {
  if (subscribers_.empty() && streams_.empty()) {
    return;
  }
  if (touched_.empty()) {
    world_.events.After(world_.config.event_delay, [this] { Flush(); });
  }
  touched_.emplace(node, resource);
}

void EventFeed::Flush() {
  const auto touched = std::exchange(touched_, {});
  for (const auto& [node, resource] : touched) {
    // A callback may subscribe, unsubscribe or close.
    std::vector<std::uint64_t> ids;
    for (const auto& [id, subscriber] : subscribers_) {
      if (subscriber.node == node) {
        ids.push_back(id);
      }
    }
    for (const std::uint64_t id : ids) {
      if (const auto it = subscribers_.find(id); it != subscribers_.end()) {
        const auto changed = it->second.changed;
        changed(resource);
      }
    }
    for (auto& [id, stream] : streams_) {
      if (stream.node == node) {
        Update(stream, resource);
      }
    }
  }
}

void EventFeed::Update(Stream& stream, const std::string& resource) {
  std::vector<EventObject> now = Look(stream.node, resource);
  std::vector<EventObject>& before = stream.shown[resource];
  std::string lines;
  for (const EventObject& object : now) {
    const EventObject* old = FindObject(before, object);
    if (old == nullptr) {
      lines += EventLine("create", object);
    } else if (old->state != object.state) {
      lines += EventLine("change", object);
    }
  }
  for (auto it = before.rbegin(); it != before.rend(); ++it) {
    lines += FindObject(now, *it) == nullptr ? EventLine("destroy", *it) : "";
  }
  before = std::move(now);
  Say(stream, resource, lines);
}

void EventFeed::Helper(const End& end, const std::string& name, const std::string& status) {
  const std::string what = " helper name:" + end.resource->name +
                           " peer-node-id:" + std::to_string(end.connection->peer_id) +
                           " conn-name:" + end.connection->peer + " helper:" + name;
  for (auto& [id, stream] : streams_) {
    if (stream.node == end.node->name) {
      Say(stream, end.resource->name,
          "call" + what + "\nresponse" + what + " status:" + status + "\n");
    }
  }
}

// F25: now and then an event is simply not there.
void EventFeed::Say(Stream& stream, const std::string& resource, const std::string& lines) {
  const bool foreign = !stream.request.resource.empty() && stream.request.resource != resource;
  stream.deaf = stream.deaf || (foreign && !lines.empty());
  if (stream.deaf || foreign || lines.empty()) {
    return;
  }
  if (world_.config.event_lost > 0 && !lines.starts_with("exists") &&
      world_.rng.Chance(world_.config.event_lost)) {
    return;
  }
  stream.request.sink(stream.request.timestamps ? Stamped(lines, Stamp()) : lines);
}

std::string EventFeed::Stamp() const {
  const Time wall = world_.wall_base + world_.events.now();
  const std::time_t seconds = wall.count() / 1000000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char day[32];
  std::strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts);
  char text[64];
  std::snprintf(text, sizeof(text), "%s.%06lld+00:00 ", day,
                static_cast<long long>(wall.count() % 1000000));
  return text;
}

std::vector<EventObject> EventFeed::Look(const std::string& node, const std::string& resource) {
  Resource* found = kernel_.Find(node, resource);
  return found == nullptr ? std::vector<EventObject>{}
                          : EventObjects(world_, kernel_, world_.GetNode(node), *found);
}

}  // namespace breakwater::sim
