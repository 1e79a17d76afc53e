#include "operator/linstor/props.h"

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

}  // namespace breakwater::linstor
