#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

HttpReply Version(Call&) {
  return JsonReply(200, {{"version", "1.34.0-rc.1"},
                         {"git_hash", "35cabe346258a29862529deb373f9f922bd7a08b"},
                         {"build_time", "2026-05-22T10:46:05+00:00"},
                         {"rest_api_version", "1.28.0"}});
}

HttpReply GetProperties(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  return JsonReply(200, call.sim.database.state.controller);
}

HttpReply Change(Call& call, const PropsChange& change, int ok_status) {
  auto& database = call.sim.database;
  PropsOutcome outcome;
  std::vector<Satellites::Work> work;
  {
    const std::lock_guard lock(database.mutex);
    outcome = ChangeControllerProps(call.sim.rules, change, database.state.controller);
    FileReports(call.sim, call.request, outcome.entries);
    if (outcome.changed) {
      work = WorkForAll(database.state);
      database.Save();
    }
  }
  if (outcome.changed) {
    Apply(call.sim, work, 1,
          {.object = rc::kController,
           .details = "Controller",
           .closing = ApplyStyle::Closing::kController,
           .warn_offline = false},
          outcome.entries);
  }
  return ListReply(ok_status, outcome.entries);
}

HttpReply PostProperties(Call& call) {
  return Change(call, ParsePropsChange(call.body), 201);
}

HttpReply DeleteProperty(Call& call) {
  PropsChange change;
  change.deletes = {call.args[0]};
  return Change(call, change, 200);
}

HttpReply GetConfig(Call&) {
  return JsonReply(200, {{"config", {{"dir", "/etc/linstor"}}},
                         {"debug", {{"console_enabled", false}}},
                         {"log",
                          {{"print_stack_trace", false},
                           {"directory", "/var/log/linstor-controller"},
                           {"level", "INFO"},
                           {"level_linstor", "DEBUG"},
                           {"rest_access_log_path", "rest-access.log"},
                           {"rest_access_mode", "NO_LOG"}}},
                         {"http", {{"enabled", true}, {"listen_address", "::"}, {"port", 3370}}}});
}

}  // namespace

void RegisterController(Router& router) {
  router.Add("GET", "/v1/controller/version", Version);
  router.Add("GET", "/v1/controller/properties", GetProperties);
  router.Add("POST", "/v1/controller/properties", PostProperties, {"ControllerPropsModify"});
  router.Add("DELETE", "/v1/controller/properties/{*}", DeleteProperty);
  router.Add("GET", "/v1/controller/config", GetConfig);
}

}  // namespace breakwater::sim
