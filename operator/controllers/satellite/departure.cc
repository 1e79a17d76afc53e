#include "operator/controllers/satellite/departure.h"

#include <algorithm>

namespace breakwater::controllers {
namespace {

using linstor::Resource;

constexpr std::size_t kNamed = 5;

bool HasData(const Resource& resource) {
  return !resource.diskless() && !resource.HasFlag("DELETE") && !resource.HasFlag("INACTIVE");
}

/// LINSTOR reports no state of a satellite that is not connected. Without DRBD there is none, and a
/// copy is as good as its device.
bool Good(const Resource& resource) {
  return HasData(resource) &&
         (!resource.has_drbd ||
          (!resource.volumes.empty() &&
           std::all_of(resource.volumes.begin(), resource.volumes.end(),
                       [](const auto& volume) { return volume.disk_state == "UpToDate"; })));
}

bool Moves(const Resource& resource) {
  return resource.HasFlag("DELETE") || (HasData(resource) && !Good(resource));
}

std::string Names(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kNamed; ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  return names.size() > kNamed ? text + " and " + std::to_string(names.size() - kNamed) + " more"
                               : text;
}

}  // namespace

std::vector<std::string> OnlyCopies(const std::vector<Resource>& all,
                                    const std::string& node,
                                    const std::set<std::string>& doomed) {
  std::set<std::string> here;
  std::set<std::string> elsewhere;
  for (const Resource& resource : all) {
    if (resource.node == node) {
      if (HasData(resource)) {
        here.insert(resource.name);
      }
    } else if (Good(resource) && !doomed.contains(resource.node)) {
      elsewhere.insert(resource.name);
    }
  }
  std::vector<std::string> only;
  std::set_difference(here.begin(), here.end(), elsewhere.begin(), elsewhere.end(),
                      std::back_inserter(only));
  return only;
}

std::vector<std::string> OpenedOn(const std::vector<Resource>& all, const std::string& node) {
  std::vector<std::string> names;
  for (const Resource& resource : all) {
    if (resource.node == node && resource.in_use.value_or(false)) {
      names.push_back(resource.name);
    }
  }
  return names;
}

std::string Departure::ToString() const {
  const std::size_t count = in_use.size() + moving.size() + unplaced.size() + placed.size();
  std::string text = std::to_string(count) + " resources left on the node";
  const auto add = [&](const std::vector<std::string>& names, const std::string& what) {
    if (!names.empty()) {
      text += "; " + Names(names) + ": " + what;
    }
  };
  add(in_use, "in use there, LINSTOR waits until it is closed (drain the node)");
  add(moving, "copies are being made or removed");
  add(unplaced, "too few copies on other nodes; is there a pool with room?");
  add(placed,
      "enough copies on other nodes; if this stays so, `linstor resource delete` it on this node");
  return text;
}

Departure DescribeDeparture(const std::vector<Resource>& all,
                            const std::string& node,
                            const std::map<std::string, std::int64_t>& copies,
                            const std::vector<linstor::Node>& nodes) {
  std::set<std::string> leaving{node};
  for (const linstor::Node& other : nodes) {
    if (other.HasFlag("EVACUATE")) {
      leaving.insert(other.name);
    }
  }
  std::set<std::string> left;
  std::set<std::string> opened;
  std::set<std::string> moving;
  std::map<std::string, std::int64_t> good;
  for (const Resource& resource : all) {
    if (resource.node == node) {
      left.insert(resource.name);
      if (resource.in_use.value_or(false)) {
        opened.insert(resource.name);
      }
    }
    if (Moves(resource)) {
      moving.insert(resource.name);
    }
    good[resource.name] += Good(resource) && !leaving.contains(resource.node) ? 1 : 0;
  }
  Departure departure;
  for (const std::string& name : left) {
    const auto wanted = copies.find(name);
    const std::int64_t least =
        wanted == copies.end() ? 1 : std::max<std::int64_t>(1, wanted->second);
    auto& list = opened.contains(name)   ? departure.in_use
                 : moving.contains(name) ? departure.moving
                 : good[name] < least    ? departure.unplaced
                                         : departure.placed;
    list.push_back(name);
  }
  return departure;
}

}  // namespace breakwater::controllers
