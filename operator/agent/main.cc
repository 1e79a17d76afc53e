// breakwater-agent: eye and hand of the operator on one node. See the usage below.

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/utsname.h>

#include "operator/agent/process/install.h"
#include "operator/agent/process/log.h"
#include "operator/agent/supervisor.h"
#include "operator/agent/talk/connect.h"
#include "operator/agent/worker.h"
#include "operator/base/core_dumps.h"

namespace breakwater::agent {
namespace {

constexpr int kUsageError = 2;
constexpr std::chrono::milliseconds kConnectWait{5000};

constexpr const char* kUsage = R"(Usage: breakwater-agent COMMAND [FLAGS]

Commands:
  run            process 1 of the agent's container: starts the worker, and starts it again when it
                 dies or hangs; ends a suspension that the worker did not end in time.
                 SIGTERM: the worker brings everything to its safe end, within 25 s.
                 Exit code 0 when it did.
  worker         watches DRBD, serves operators, does transactions; started by "run"
  connect        copies between standard input/output and the worker's socket until one side ends.
                 Exit codes: 0 the caller ended, 3 the agent ended, 4 nobody listens, 1 other.
  install DIR    copies this program to DIR/breakwater-agent, mode 0555, atomically
  version        prints the version

Flags of run, worker and connect:
  --run-dir DIR  socket (agent.sock) and journal; default /run/breakwater
Flags of run and worker:
  --res-dir DIR  LINSTOR's .res files; default /var/lib/linstor.d
  --node NAME    LINSTOR's name of this node; default: environment NODE_NAME, else the host's name
  --check-every SECONDS
                 how often everything is read without an event; default 60
  --files-by-cat reads .res files and files of /proc and /sys by the programs cat and ls: for test
                 beds, where these answer for a simulated node
Flags of worker:
  --guard-fd N   the link to the supervisor, given by "run"

Exit code 2: wrong usage.
)";

struct Options {
  std::string command{};
  std::string directory{};  ///< of install
  WorkerOptions worker{};
  std::vector<std::string> flags{};  ///< as given, for the worker
};

std::optional<int> ToInt(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

bool SetFlag(const std::string& flag, const std::string& value, Options* options) {
  const std::optional<int> number = ToInt(value);
  if (flag == "--run-dir" && !value.empty()) {
    options->worker.run_dir = value;
  } else if (flag == "--res-dir" && !value.empty()) {
    options->worker.res_dir = value;
  } else if (flag == "--node" && !value.empty()) {
    options->worker.node = value;
  } else if (flag == "--guard-fd" && number && *number > 2) {
    options->worker.guard_fd = *number;
  } else if (flag == "--check-every" && number && *number > 0 && *number <= 86400) {
    options->worker.pace = std::chrono::seconds(*number);
  } else {
    return false;
  }
  return true;
}

// "--flag VALUE" and "--flag=VALUE".
std::optional<Options> Parse(const std::vector<std::string>& words) {
  Options options;
  if (words.empty()) {
    return std::nullopt;
  }
  options.command = words[0];
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--files-by-cat") {
      options.worker.files_by_cat = true;
      continue;
    }
    if (!word.starts_with("--")) {
      if (options.command != "install" || !options.directory.empty()) {
        return std::nullopt;
      }
      options.directory = word;
      continue;
    }
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos && i + 1 == words.size()) {
      return std::nullopt;
    }
    const std::string value = equals == std::string::npos ? words[++i] : word.substr(equals + 1);
    if (!SetFlag(word.substr(0, equals), value, &options)) {
      return std::nullopt;
    }
  }
  options.flags.assign(words.begin() + 1, words.end());
  return options;
}

std::string NodeName() {
  if (const char* name = std::getenv("NODE_NAME"); name != nullptr && *name != '\0') {
    return name;
  }
  utsname kernel{};
  return uname(&kernel) == 0 ? static_cast<const char*>(kernel.nodename) : "";
}

int Supervise(const Options& options) {
  StartLog("supervisor");
  SupervisorOptions supervisor;
  supervisor.worker_arguments.insert(supervisor.worker_arguments.end(), options.flags.begin(),
                                     options.flags.end());
  return RunSupervisor(supervisor);
}

int DoInstall(const Options& options) {
  const Result<void, Error> installed = Install(options.directory);
  if (!installed) {
    std::fprintf(stderr, "breakwater-agent: %s\n", installed.error().message.c_str());
    return 1;
  }
  return 0;
}

int Main(const std::vector<std::string>& words) {
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h" || words[0] == "help")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  std::optional<Options> options = Parse(words);
  if (options && options->command == "version") {
    std::printf("%s\n", BREAKWATER_AGENT_VERSION);
    return 0;
  }
  if (options && options->command == "run") {
    return Supervise(*options);
  }
  if (options && options->command == "worker") {
    StartLog("agent");
    if (options->worker.node.empty()) {
      options->worker.node = NodeName();
    }
    return RunWorker(options->worker);
  }
  if (options && options->command == "connect") {
    return RunConnect(options->worker.run_dir + "/agent.sock", kConnectWait);
  }
  if (options && options->command == "install" && !options->directory.empty()) {
    return DoInstall(*options);
  }
  std::fputs(kUsage, stderr);
  return kUsageError;
}

}  // namespace
}  // namespace breakwater::agent

int main(int argc, char** argv) {
  breakwater::ForbidCoreDumps();
  return breakwater::agent::Main(std::vector<std::string>(argv + 1, argv + argc));
}
