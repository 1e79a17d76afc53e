// Key-value stores of clients (CSI.md, row 12). Not recorded.

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

nlohmann::json StoreJson(const KeyValueStore& store) {
  return {{"name", store.name}, {"props", store.props}};
}

HttpReply List(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto list = nlohmann::json::array();
  for (const auto& [key, store] : call.sim.database.state.key_values) {
    list.push_back(StoreJson(store));
  }
  return JsonReply(200, list);
}

/// One store, but as a list.
HttpReply GetOne(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& stores = call.sim.database.state.key_values;
  const auto it = stores.find(Key(call.args[0]));
  return it == stores.end() ? NotFound(rc::kNotFoundKeyValues,
                                       fmt::format("KeyValueStore '{}' not found.", call.args[0]))
                            : JsonReply(200, nlohmann::json::array({StoreJson(it->second)}));
}

/// Makes the store when it is not there. Every key is fine.
HttpReply Modify(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto [it, is_new] = call.sim.database.state.key_values.try_emplace(Key(call.args[0]));
  KeyValueStore& store = it->second;
  store.name = is_new ? call.args[0] : store.name;
  const auto change = ParsePropsChange(call.body);
  for (const auto& [key, value] : change.overrides) {
    store.props[key] = value.value_or("");
  }
  for (const auto& key : change.deletes) {
    store.props.erase(key);
  }
  for (const auto& space : change.namespaces) {
    std::erase_if(store.props,
                  [&](const auto& prop) { return prop.first.rfind(space + "/", 0) == 0; });
  }
  call.sim.database.Save();
  return ListReply(200, {{.code = rc::Make(rc::kModify | rc::kController | rc::kModified),
                          .message = "Successfully updated properties"}});
}

HttpReply Delete(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  if (call.sim.database.state.key_values.erase(Key(call.args[0])) == 0) {
    return ListReply(
        200, {{.code = rc::Make(rc::kWarning | rc::kDelete | rc::kKeyValues | rc::kHadNoEffect),
               .message = fmt::format("Deletion of kvs '{}' had no effect.", call.args[0]),
               .cause = fmt::format("Kvs '{}' does not exist.", call.args[0])}});
  }
  call.sim.database.Save();
  return ListReply(200, {{.code = rc::Make(rc::kDelete | rc::kKeyValues | rc::kDeleted),
                          .message = fmt::format("Kvs '{}' deleted.", call.args[0])}});
}

}  // namespace

void RegisterKeyValues(Router& router) {
  router.Add("GET", "/v1/key-value-store", List);
  router.Add("GET", "/v1/key-value-store/{}", GetOne);
  router.Add("PUT", "/v1/key-value-store/{}", Modify, {"KeyValueStoreModify"});
  router.Add("DELETE", "/v1/key-value-store/{}", Delete);
}

}  // namespace breakwater::sim
