// drbdsetup: status, show, and the calls that change the kernel directly.
#include <cstdlib>
#include <utility>

#include "tests/e2e/sim/drbd/render.h"
#include "tests/e2e/sim/drbd/shell.h"

namespace breakwater::sim {
namespace {

bool WantsJson(const Shell::Job& job) {
  return job.Has("--json") || job.Has("-j");
}

// "--tls=yes" -> {"tls", "yes"}; "--force" -> {"force", "yes"}.
Options ParseOptions(const Shell::Job& job) {
  Options options;
  for (const std::string& option : job.options) {
    if (!option.starts_with("--")) {
      continue;
    }
    const std::size_t equals = option.find('=');
    const bool has_value = equals != std::string::npos;
    options[option.substr(2, has_value ? equals - 2 : std::string::npos)] =
        has_value ? option.substr(equals + 1) : "yes";
  }
  return options;
}

bool IsNumber(const std::string& word) {
  return !word.empty() && word.find_first_not_of("0123456789") == std::string::npos;
}

// How many words must follow a command (F32).
std::size_t Arguments(const std::string& command) {
  if (command == "invalidate-remote" || command == "verify") {
    return 3;
  }
  if (command == "disconnect" || command == "connect" || command == "net-options") {
    return 2;
  }
  return command == "suspend-io" || command == "resume-io" || command == "invalidate" ? 1 : 0;
}

std::string Failure(const std::string& what, const char* code, const char* info) {
  return what + ": Failure: " + code + "\nadditional info from kernel:\n" + info + "\n";
}

}  // namespace

// Connections are named by the peer's node id or by its name (F32).
End Shell::NamedEnd(const std::string& node, Resource& resource, const std::string& word) {
  for (auto& [id, connection] : resource.connections) {
    if (IsNumber(word) ? std::to_string(id) == word : connection.peer == word) {
      return kernel_.FindEnd(node, resource.name, id);
    }
  }
  return {};
}

void Shell::Drbdsetup(Job& job) {
  const std::string command = job.words.empty() ? "" : job.words[0];
  if (job.words.size() <= Arguments(command)) {
    Fail(job, 20, "Missing argument " + std::to_string(job.words.size() + 1) + " to command\n");
    return;
  }
  if (command == "status" || command == "events2") {
    SetupStatus(job);
  } else if (command == "show") {
    SetupShow(job);
  } else if (command == "xml-help") {
    SetupXmlHelp(job);
  } else if (job.Has("--version")) {
    const Node& node = NodeOf(job);
    job.result.out = "DRBDSETUP_API_VERSION=2\nDRBD_KERNEL_VERSION=" + node.drbd_version +
                     "\nDRBDADM_VERSION=" + node.utils_version + "\n";
  } else if (command == "suspend-io" || command == "resume-io" || command == "invalidate") {
    SetupMinor(job, command);
  } else if (command.empty()) {
    Fail(job, 20,
         "drbdsetup - Configure the DRBD kernel module.\n\nUSAGE: drbdsetup command "
         "{arguments} [options]\n\ninvalid command\n");
  } else {
    SetupChange(job, command);
  }
}

void Shell::SetupStatus(Job& job) {
  Node& node = NodeOf(job);
  const std::string wanted = job.words.size() > 1 && job.words[1] != "all" ? job.words[1] : "";
  std::vector<Resource*> resources;
  for (auto& [name, resource] : node.resources) {
    if (wanted.empty() || wanted == name) {
      resources.push_back(&resource);
    }
  }
  if (!wanted.empty() && resources.empty()) {
    Fail(job, 10, wanted + ": No such resource\n");
    return;
  }
  if (job.words[0] == "events2" && !job.Has("--now") && job.launch.stream) {
    SetupEvents(job, wanted);
    return;
  }
  if (job.words[0] == "events2") {
    for (Resource* resource : resources) {
      job.result.out += Events2(world_, kernel_, node, *resource);
    }
    job.result.out += "exists -\n";
    return;
  }
  if (WantsJson(job)) {
    job.result.out = StatusJson(world_, kernel_, node, resources);
    return;
  }
  const StatusOptions options{.verbose = job.Has("--verbose") || job.Has("-v"),
                              .statistics = job.Has("--statistics") || job.Has("-s")};
  for (Resource* resource : resources) {
    job.result.out += StatusText(world_, kernel_, node, *resource, options);
  }
  if (resources.empty()) {
    job.result.out = "# No currently configured DRBD found.\n";
  }
}

void Shell::SetupEvents(Job& job, const std::string& resource) {
  job.stream = feed_.Open(job.node, {.resource = resource,
                                     .timestamps = job.Has("--timestamps") || job.Has("-T"),
                                     .sink = job.launch.stream});
  job.steps.push_back({Time{0}, [](Job&) { return Flow::kMuchLater; }});
}

void Shell::SetupShow(Job& job) {
  Node& node = NodeOf(job);
  const std::string wanted = job.words.size() > 1 && job.words[1] != "all" ? job.words[1] : "";
  std::vector<Resource*> resources;
  for (auto& [name, resource] : node.resources) {
    if (wanted.empty() || wanted == name) {
      resources.push_back(&resource);
    }
  }
  if (!wanted.empty() && resources.empty()) {
    Fail(job, 10, wanted + ": No such resource\n");
  } else if (WantsJson(job)) {
    job.result.out = ShowJson(node, resources, job.Has("--show-defaults") || job.Has("-D"));
  } else {
    for (const Resource* resource : resources) {
      job.result.out += ShowText(node, *resource);
    }
  }
}

// LINSTOR asks for the options that the tools know; the tls family appeared in 9.26 (L29).
void Shell::SetupXmlHelp(Job& job) {
  const std::string command = job.words.size() > 1 ? job.words[1] : "";
  job.result.out = "<command name=\"" + command + "\">\n";
  if (command == "new-peer" || command == "net-options") {
    job.result.out += "\t<option name=\"protocol\" type=\"handler\">\n\t</option>\n";
    if (AtLeast(NodeOf(job).utils_version, "9.26.0")) {
      job.result.out +=
          "\t<option name=\"tls\" type=\"boolean\">\n\t\t<default>no</default>\n\t</option>\n";
    }
  }
  job.result.out += "</command>\n";
}

void Shell::SetupMinor(Job& job, const std::string& command) {
  if (!IsNumber(job.words[1])) {
    Fail(job, 20, "Cannot determine minor device number of device '" + job.words[1] + "'\n");
    return;
  }
  const int minor = std::atoi(job.words[1].c_str());
  for (auto& [name, resource] : NodeOf(job).resources) {
    for (const auto& [volume, device] : resource.devices) {
      if (device.minor != minor) {
        continue;
      }
      if (command == "suspend-io") {
        QueueSuspend(job, name, minor);
      } else if (command == "resume-io") {
        kernel_.ResumeIo(NodeOf(job), resource, job.launch.detached);
      } else if (KernelResult error = kernel_.Invalidate(NodeOf(job), resource, volume,
                                                         !job.Has("--reset-bitmap=no"))) {
        Fail(job, error->exit, error->text);
      }
      return;
    }
  }
  Fail(job, 10,
       Failure(std::to_string(minor), "(127) Device minor not allocated", "unknown minor"));
}

void Shell::SetupNetOptions(Job& job, const End& end) {
  Options options = ParseOptions(job);
  const bool set_defaults = options.erase("set-defaults") > 0;
  if (options.contains("tls") && !AtLeast(NodeOf(job).utils_version, "9.26.0")) {
    Fail(job, 20, "drbdsetup: unrecognized option '--tls'\n");
  } else if (KernelResult error = kernel_.NetOptions(end, options, set_defaults)) {
    Fail(job, error->exit, error->text);
  }
}

void Shell::SetupConnection(Job& job, Resource& resource, const std::string& command) {
  const std::string& name = resource.name;
  const End end = NamedEnd(job.node, resource, job.words[2]);
  KernelResult error;
  if (end.connection == nullptr) {
    error =
        KernelError{10, Failure(name, "(162) Invalid configuration request", "unknown connection")};
  } else if (command == "net-options") {
    SetupNetOptions(job, end);
  } else if (command == "connect") {
    if (end.connection->state != ConnState::kStandAlone) {
      error = KernelError{
          10, name + ": Failure: (125) Device has a net-config (use disconnect first)\n"};
    } else {
      kernel_.Connect(end);
    }
  } else if (command == "disconnect") {
    const int peer = end.connection->peer_id;
    error = kernel_.Disconnect(end, job.Has("--force") || job.Has("--force=yes"));
    if (!error) {
      WaitStandAlone(job, name, peer);
    }
  } else if (command == "invalidate-remote") {
    const int volume = std::atoi(job.words[3].c_str());
    if (end.connection->volumes.contains(volume)) {
      error = kernel_.InvalidateRemote(end, volume, !job.Has("--reset-bitmap=no"));
    }
  } else if (command == "verify") {
    const int volume = std::atoi(job.words[3].c_str());
    if (end.connection->volumes.contains(volume)) {
      error = kernel_.Verify(end, volume);
    }
  }
  if (error) {
    Fail(job, error->exit, error->text);
  }
}

void Shell::SetupChange(Job& job, const std::string& command) {
  const std::string name = job.words.size() > 1 ? job.words[1] : "";
  Resource* resource = kernel_.Find(job.node, name);
  if (resource == nullptr) {
    Fail(job, 10, Failure(name, "(158) Unknown resource", "unknown resource"));
    return;
  }
  Node& node = NodeOf(job);
  KernelResult error;
  if (Arguments(command) > 1) {
    SetupConnection(job, *resource, command);
    return;
  }
  if (command == "resource-options") {
    Options options = ParseOptions(job);
    Options merged = options.erase("set-defaults") > 0 ? Options{} : resource->options;
    for (const auto& [key, value] : options) {
      merged[key] = value;
    }
    kernel_.ResourceOptions(node, *resource, merged);
  } else if (command == "down") {
    error = kernel_.DeleteResource(node, name);
  } else if (command == "primary") {
    error = kernel_.Promote(node, *resource, job.Has("--force"));
    resource->explicit_primary = resource->explicit_primary || !error;
  } else if (command == "secondary") {
    error = kernel_.Demote(node, *resource);
  } else {
    error = KernelError{20, "drbdsetup: invalid command '" + command + "'\n"};
  }
  if (error) {
    Fail(job, error->exit, error->text);
  }
}

}  // namespace breakwater::sim
