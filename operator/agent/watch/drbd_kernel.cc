#include "operator/agent/watch/drbd_kernel.h"

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::agent {
namespace {

using replication::LocalView;

// Longest observed: a graceful disconnect of 1.13 s on an emulated machine (F26.1).
constexpr ChildLimits kCommandLimits{std::chrono::milliseconds(4000), 65536};
constexpr ChildLimits kLookLimits{std::chrono::milliseconds(4000), std::size_t{16} << 20U};

struct Pending {
  std::string resource{};
  Kernel::LookDone done{};
  LocalView view{};
  std::string problem{};
  int running = 0;
};

using PendingPtr = std::shared_ptr<Pending>;

std::string Problem(std::string_view program, const ChildResult& result) {
  const std::string how = result.timed_out        ? "does not answer"
                          : result.truncated      ? "prints too much"
                          : result.exit_code == 0 ? "prints what is not understood"
                                                  : "exit code " + std::to_string(result.exit_code);
  return std::string(program) + ": " + how + " " + std::string(replication::Trim(result.error));
}

bool NoSuchResource(const ChildResult& result) {
  return result.exit_code == 10 && result.error.find("No such resource") != std::string::npos;
}

void TakeStatus(const ChildResult& result, Pending* pending) {
  if (NoSuchResource(result)) {
    return;
  }
  const auto parsed = replication::ParseStatus(result.output);
  if (result.exit_code != 0 || !parsed) {
    pending->problem = Problem("drbdsetup status", result);
  } else if (const auto it = parsed->find(pending->resource); it != parsed->end()) {
    pending->view.status = it->second;
  }
}

void TakeShow(const ChildResult& result, Pending* pending) {
  if (NoSuchResource(result)) {
    return;
  }
  const auto parsed = replication::ParseShow(result.output);
  if (result.exit_code != 0 || !parsed) {
    pending->problem = Problem("drbdsetup show", result);
  } else if (const auto it = parsed->find(pending->resource); it != parsed->end()) {
    pending->view.show = it->second;
  }
}

void Finish(Pending* pending, const std::optional<replication::SocketTable>& sockets) {
  if (!pending->problem.empty()) {
    pending->done(Unexpected{Error{ErrorClass::kTransient, pending->problem}});
    return;
  }
  if (sockets && pending->view.status) {
    std::map<std::string, replication::DrbdShow> show;
    if (pending->view.show) {
      show.emplace(pending->resource, *pending->view.show);
    }
    const auto joined =
        replication::JoinResources({{pending->resource, *pending->view.status}}, show, *sockets);
    pending->view.sockets = joined.at(pending->resource)->sockets;
  }
  pending->done(std::move(pending->view));
}

}  // namespace

void DrbdKernel::Look(const std::string& resource, replication::LookScope scope, LookDone done) {
  const auto pending = std::make_shared<Pending>();
  pending->resource = resource;
  pending->done = std::move(done);
  pending->view.at = loop_->Now();
  pending->running = 1 + (scope.show ? 1 : 0) + (scope.sockets ? 1 : 0);
  const auto sockets = std::make_shared<std::optional<replication::SocketTable>>();
  const auto ended = [pending, sockets] {
    if (--pending->running == 0) {
      Finish(pending.get(), *sockets);
    }
  };
  children_->Run({"drbdsetup", "status", resource, "--json"}, kLookLimits,
                 [pending, ended](const ChildResult& result) {
                   TakeStatus(result, pending.get());
                   ended();
                 });
  if (scope.show) {
    children_->Run({"drbdsetup", "show", resource, "--json", "--show-defaults"}, kLookLimits,
                   [pending, ended](const ChildResult& result) {
                     TakeShow(result, pending.get());
                     ended();
                   });
  }
  if (scope.sockets) {
    children_->Run({"ss", "-tni"}, kLookLimits, [sockets, ended](const ChildResult& result) {
      // Without it the view has no reliable sockets, which proves nothing and is no reason to stop.
      if (result.exit_code == 0 && !result.truncated) {
        *sockets = replication::ParseSockets(result.output);
      }
      ended();
    });
  }
}

void DrbdKernel::Run(const replication::DrbdCommand& command, RunDone done) {
  children_->Run(replication::ToArguments(command), kCommandLimits,
                 [done = std::move(done)](const ChildResult& result) {
                   done(result.exit_code, result.timed_out
                                              ? "does not come back; ended"
                                              : std::string(replication::Trim(result.error)));
                 });
}

}  // namespace breakwater::agent
