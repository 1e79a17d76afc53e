// What changes on a node, as `drbdsetup events2` tells it.
//
// The kernel says which resource was touched; what is new is found by comparing what events2 would
// print with what it printed last. Costs nothing while nobody listens. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/sim/drbd/render.h"

namespace breakwater::sim {

struct StreamRequest {
  std::string resource;  // empty: all
  bool timestamps = false;
  std::function<void(const std::string& text)> sink;
};

class EventFeed {
 public:
  // Registers itself as the world's on_touch; both must outlive it.
  EventFeed(World& world, Kernel& kernel);

  // `changed` is called after every change of a resource of the node, sometimes once too often, but
  // not for counters. It survives crashes of the node.
  std::uint64_t Subscribe(const std::string& node,
                          std::function<void(const std::string& resource)> changed);

  void Unsubscribe(std::uint64_t id) { subscribers_.erase(id); }

  // Begins an events2 process: the sink gets the present state, then the changes, until Close().
  std::uint64_t Open(const std::string& node, StreamRequest request);

  void Close(std::uint64_t id) { streams_.erase(id); }

  // The kernel calls a helper program for a connection: two lines.
  void Helper(const End& end, const std::string& name, const std::string& status);
  void NodeCrashed(const std::string& node);

 private:
  struct Subscriber {
    std::string node;
    std::function<void(const std::string& resource)> changed;
  };

  struct Stream {
    std::string node;
    StreamRequest request;
    // F34: a filtered process says nothing more after the first event of another resource.
    bool deaf = false;
    std::map<std::string, std::vector<EventObject>> shown;  // by resource
  };

  void Touch(const std::string& node, const std::string& resource);
  void Flush();
  void Update(Stream& stream, const std::string& resource);
  void Say(Stream& stream, const std::string& resource, const std::string& lines);
  [[nodiscard]] std::string Stamp() const;
  [[nodiscard]] std::vector<EventObject> Look(const std::string& node, const std::string& resource);

  World& world_;
  Kernel& kernel_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Subscriber> subscribers_;
  std::map<std::uint64_t, Stream> streams_;
  std::set<std::pair<std::string, std::string>> touched_;  // node, resource
};

}  // namespace breakwater::sim
