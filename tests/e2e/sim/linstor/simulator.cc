#include "tests/e2e/sim/linstor/simulator.h"

#include <thread>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "tests/e2e/sim/linstor/api.h"

namespace breakwater::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Router MakeRouter() {
  Router router;
  RegisterController(router);
  RegisterNodes(router);
  RegisterNetInterfaces(router);
  RegisterStoragePools(router);
  RegisterGroups(router);
  RegisterDefinitions(router);
  RegisterVolumes(router);
  RegisterResources(router);
  RegisterConnections(router);
  RegisterSnapshots(router);
  RegisterRestore(router);
  RegisterClone(router);
  RegisterMakeAvailable(router);
  RegisterRemoval(router);
  RegisterKeyValues(router);
  RegisterMisc(router);
  return router;
}

HttpReply Unhandled(Simulator& sim, const std::exception& error) {
  const std::lock_guard lock(sim.database.mutex);
  return ListReply(200,
                   {{.code = rc::Make(rc::kError | rc::kUnknownError),
                     .message = "An unknown error occurred.",
                     .details = error.what(),
                     .report_ids = {sim.database.FileReport("RuntimeException", error.what())}}});
}

}  // namespace

CommandResult FaultyPort::Run(const std::string& node,
                              const std::vector<std::string>& argv,
                              milliseconds timeout) {
  if (argv.size() >= 4 && argv[0] == "drbdadm" && argv[2] == "adjust" &&
      faults_.TakeRefusal(node, argv[3])) {
    return {.exit = 10,
            .out = "",
            .err = fmt::format("{}: Failure: (162) Invalid configuration request\n"
                               "additional info from kernel:\nrefused by a fault switch\n",
                               argv[3])};
  }
  return real_.Run(node, argv, timeout);
}

Simulator::Simulator(const std::filesystem::path& state_dir,
                     DrbdPort& real_port,
                     const SimOptions& sim_options)
    : database(state_dir),
      port(real_port, faults),
      satellites(database, port, sim_options),
      status(port),
      options(sim_options),
      router_(MakeRouter()) {}

HttpReply Simulator::Handle(const HttpRequest& request) {
  if (request.path.rfind("/sim/", 0) == 0) {
    return SideDoor(request);
  }
  const auto start = steady_clock::now();
  const auto fault = faults.Take(request);
  HttpReply reply;
  if (fault && fault->delay_ms > 0) {
    std::this_thread::sleep_for(milliseconds(fault->delay_ms));
  }
  if (fault && (fault->kind == "http-500" || fault->kind == "http-status")) {
    reply = ListReply(200, {{.code = rc::Make(rc::kError | rc::kUnknownError),
                             .message = "An unknown error occurred.",
                             .details = "fault switch"}});
    reply.status = fault->kind == "http-500" ? 500 : fault->status;
  } else if (fault && (fault->kind == "drop" || fault->kind == "hang")) {
    reply.fault = fault->kind == "drop" ? WireFault::kDrop : WireFault::kHang;
  } else {
    try {
      reply = router_.Dispatch(*this, request);
    } catch (const std::exception& error) {
      spdlog::error("{} {}: {}", request.method, request.path, error.what());
      reply = Unhandled(*this, error);
    }
    if (fault && fault->kind == "half") {
      reply.fault = WireFault::kHalf;
    }
  }
  const double seconds = std::chrono::duration<double>(steady_clock::now() - start).count();
  faults.Log(request, reply.status, seconds);
  spdlog::debug("{} {} {} {:.3f}s", request.method, request.path, reply.status, seconds);
  return reply;
}

void Simulator::InBackground(std::function<void()> work) {
  const std::lock_guard lock(background_mutex_);
  background_.emplace_back([work = std::move(work)] {
    try {
      work();
    } catch (const std::exception& error) {
      spdlog::error("in the background: {}", error.what());
    }
  });
}

HttpReply Simulator::SideDoor(const HttpRequest& request) {
  if (request.path == "/sim/requests") {
    if (request.method == "DELETE") {
      faults.ClearLog();
      return JsonReply(200, nlohmann::json::object());
    }
    const auto since = request.query.find("since");
    return JsonReply(
        200, faults.Requests(since == request.query.end() ? 0 : std::stoul(since->second.front())));
  }
  if (request.path == "/sim/restart" && request.method == "POST") {
    satellites.Restart();
    return JsonReply(200, nlohmann::json::object());
  }
  if (request.path == "/sim/snapshots" && request.method == "GET") {
    return ListTornSnapshots(*this);
  }
  if (request.path != "/sim/fault") {
    return JsonReply(404, {{"error", "no such side door"}});
  }
  if (request.method == "DELETE") {
    for (const auto& fault : faults.List()) {
      const auto node = fault.at("node").get<std::string>();
      if (fault.at("kind") == "hang-satellite") {
        satellites.SetHung(node, false);
      } else if (fault.at("kind") == "slow-satellite") {
        satellites.SetSlow(node, milliseconds(0));
      }
    }
    faults.Clear();
  } else if (request.method == "POST") {
    const auto body = nlohmann::json::parse(request.body, nullptr, false);
    UnknownField unknown;
    if (!body.is_object() || !body.contains("kind") ||
        FindUnknownField(body, "SimFault", unknown)) {
      return JsonReply(400, {{"error", "not a fault: " + unknown.field}});
    }
    Faults::Fault fault{body.value("kind", ""),     body.value("method", ""),
                        body.value("path", ""),     body.value("node", ""),
                        body.value("resource", ""), body.value("times", -1),
                        body.value("delay_ms", 0),  body.value("status", 500)};
    if (fault.kind == "hang-satellite") {
      satellites.SetHung(fault.node, true);
    } else if (fault.kind == "slow-satellite") {
      satellites.SetSlow(fault.node, milliseconds(fault.delay_ms));
    }
    faults.Add(std::move(fault));
  }
  return JsonReply(200, faults.List());
}

}  // namespace breakwater::sim
