#include "operator/linstor/props.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace breakwater::linstor {

Props WithBookkeeping(Props wanted) {
  const std::string bookkeeping(kPropertyLastApplied);
  wanted.erase(bookkeeping);
  if (wanted.empty()) {
    return wanted;
  }
  nlohmann::json keys = nlohmann::json::array();
  for (const auto& [key, value] : wanted) {
    keys.push_back(key);
  }
  wanted[bookkeeping] = keys.dump();
  return wanted;
}

std::set<std::string> LastApplied(const Props& current) {
  std::set<std::string> keys;
  const auto found = current.find(std::string(kPropertyLastApplied));
  if (found == current.end()) {
    return keys;
  }
  const auto list = nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (list.is_array()) {
    for (const auto& item : list) {
      if (item.is_string()) {
        keys.insert(item.get<std::string>());
      }
    }
  }
  return keys;
}

PropsChange DiffProps(const Props& current, Props wanted, const std::set<std::string>& foreign) {
  for (const std::string& key : foreign) {
    wanted.erase(key);
  }
  wanted = WithBookkeeping(std::move(wanted));
  PropsChange change;
  for (const auto& [key, value] : wanted) {
    const auto found = current.find(key);
    if (found == current.end() || found->second != value) {
      change.override_props[key] = value;
    }
  }
  std::set<std::string> obsolete = LastApplied(current);
  obsolete.insert(std::string(kPropertyLastApplied));
  for (const std::string& key : obsolete) {
    if (current.contains(key) && !wanted.contains(key) && !foreign.contains(key)) {
      change.delete_props.push_back(key);
    }
  }
  return change;
}

PropsSent SendProps(const PropsChange& change,
                    const std::string& object,
                    const std::function<LinstorResult<Reply>(const PropsChange&)>& send) {
  PropsSent sent;
  const auto name = [&](const std::string& key) { return "property " + key + " of " + object; };
  std::vector<std::pair<std::string, PropsChange>> parts;
  for (const auto& [key, value] : change.override_props) {
    parts.emplace_back(key, PropsChange{.override_props = {{key, value}}});
  }
  for (const std::string& key : change.delete_props) {
    parts.emplace_back(key, PropsChange{.delete_props = {key}});
  }
  const LinstorResult<Reply> whole = send(change);
  if (whole) {
    sent.changed = true;
    return sent;
  }
  if (whole.error().api() == nullptr || parts.size() == 1) {
    sent.errors.push_back((parts.size() == 1 ? name(parts[0].first) : "properties of " + object) +
                          ": " + whole.error().message());
    return sent;
  }
  for (const auto& [key, part] : parts) {
    const LinstorResult<Reply> done = send(part);
    if (done) {
      sent.changed = true;
      continue;
    }
    sent.errors.push_back(name(key) + ": " + done.error().message());
    if (done.error().api() == nullptr) {
      break;
    }
  }
  return sent;
}

}  // namespace breakwater::linstor
