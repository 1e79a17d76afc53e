#include <algorithm>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

using Closing = ApplyStyle::Closing;

nlohmann::json With(nlohmann::json refs, const nlohmann::json& more) {
  refs.update(more);
  return refs;
}

void AddResource(const std::string& node,
                 const AdjustedResource& resource,
                 const ApplyStyle& style,
                 Entries& out) {
  if (resource.removed) {
    out.push_back({.code = rc::Make(rc::kDelete | rc::kResource | rc::kDeleted),
                   .message = fmt::format("({}) Resource '{}' [{}] deleted.", node, resource.name,
                                          resource.layer),
                   .refs = style.refs});
    return;
  }
  if (!resource.kind.empty()) {
    for (const int volume : resource.volumes) {
      out.push_back({.code = rc::Make(style.op | rc::kVolume |
                                      (resource.created ? rc::kCreated : rc::kModified)),
                     .message = fmt::format("({}) Volume number {} of resource '{}' [{}] {}", node,
                                            volume, resource.name, resource.kind,
                                            resource.created ? "created" : "resized"),
                     .refs = With(style.refs,
                                  {{"RscDfn", resource.name}, {"VlmNr", std::to_string(volume)}})});
    }
  }
  out.push_back({.code = rc::Make(style.op | rc::kResource | rc::kModified),
                 .message = fmt::format("({}) Resource '{}' [{}] adjusted.", node, resource.name,
                                        resource.layer),
                 .refs = style.refs});
  if (style.closing == Closing::kGroup) {
    out.push_back(
        {.code = rc::Make(rc::kCreate | rc::kRscGrp | rc::kModified),
         .message = fmt::format("Updated Resource definition '{}' on '{}'", resource.name, node),
         .refs = style.refs});
  }
}

std::size_t NumberOf(const Call& call, const std::string& name, std::size_t otherwise) {
  const auto text = call.QueryOne(name);
  if (text.empty()) {
    return otherwise;
  }
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    throw std::runtime_error("HTTP 404 Not Found");
  }
  return std::stoul(text);
}

}  // namespace

void AddResult(const CycleResult& result, const ApplyStyle& style, Entries& out) {
  if (result.offline) {
    if (style.warn_offline && !result.syncing) {  // L33: 200, and not a word
      out.push_back(NotConnected(result.node, style));
    }
    return;
  }
  if (!result.error.empty()) {
    out.push_back({.code = rc::Make(rc::kError | style.op | style.object | rc::kUnknownError),
                   .message = result.error,
                   .details = style.details,
                   .report_ids = result.report_ids,
                   .refs = style.refs});
    return;
  }
  if (style.closing == Closing::kNodeConn || style.closing == Closing::kNode) {
    out.push_back({.code = rc::Make(rc::kModify | style.object | rc::kModified),
                   .message = fmt::format("({}) Node changes applied.", result.node),
                   .refs = style.refs});
  }
  for (const auto& resource : result.done) {
    AddResource(result.node, resource, style, out);
  }
  if (style.closing == Closing::kController) {
    out.push_back({.code = rc::Make(rc::kInfo | rc::kModify | rc::kController),
                   .message = fmt::format("({}) Controller properties applied", result.node)});
  }
}

std::vector<Satellites::Work> WorkForDefinition(const Definition& definition) {
  std::vector<Satellites::Work> work;
  for (const auto& [key, resource] : definition.resources) {
    work.push_back({resource.node, {.resources = {Key(definition.name)}}});
  }
  return work;
}

std::vector<Satellites::Work> WorkForAll(const State& state) {
  std::vector<Satellites::Work> work;
  for (const auto& [node_key, node] : state.nodes) {
    Satellites::Work one{node.name, {.with_definitions = false}};
    for (const auto& [key, definition] : state.definitions) {
      if (definition.resources.contains(node_key)) {
        one.request.resources.push_back(key);
      }
    }
    work.push_back(std::move(one));
  }
  return work;
}

Entry NotConnected(const std::string& node, const ApplyStyle& style) {
  return {.code = rc::Make(rc::kWarning | style.op | style.object | rc::kNotConnected),
          .message = fmt::format("No active connection to satellite '{}'", node),
          .details =
              "The controller is trying to (re-) establish a connection to the satellite. The "
              "controller stored the changes and as soon the satellite is connected, it will "
              "receive this update.",
          .refs = style.refs};
}

void Apply(Simulator& sim,
           const std::vector<Satellites::Work>& work,
           int rounds,
           const ApplyStyle& style,
           Entries& out) {
  for (int round = 0; round < rounds; ++round) {
    std::vector<Satellites::Work> items = work;
    if (round > 0) {
      for (auto& item : items) {
        item.request.later_round = true;
      }
      std::erase_if(items,
                    [&](const auto& item) { return sim.satellites.status(item.node) != "ONLINE"; });
    }
    bool failed = false;
    sim.satellites.RunRound(items, [&](const CycleResult& result) {
      if (!style.speakers.empty() && std::find(style.speakers.begin(), style.speakers.end(),
                                               result.node) == style.speakers.end()) {
        return;
      }
      failed = failed || !result.error.empty();
      AddResult(result, style, out);
    });
    if (failed) {
      return;
    }
  }
}

void FileReports(Simulator& sim, const HttpRequest& request, Entries& entries) {
  for (Entry& entry : entries) {
    if (entry.report_ids == std::vector<std::string>{""}) {
      entry.report_ids = {sim.database.FileReport(
          "ApiRcException", entry.message,
          fmt::format("RestClient({}; '{}')", request.peer, request.user_agent))};
    }
  }
}

HttpReply NotFound(std::uint64_t number, const std::string& message) {
  return ListReply(200, {{.code = rc::Make(rc::kError | number), .message = message}});
}

Entry NotFoundEntry(std::uint64_t bits,
                    const std::string& what,
                    const std::string& plain,
                    const std::string& correction,
                    const std::string& details,
                    nlohmann::json refs) {
  return {.code = rc::Make(rc::kError | bits),
          .message = what + " not found.",
          .cause = fmt::format("The specified {} could not be found in the database", plain),
          .details = details,
          .correction = fmt::format("Create a {} first.", correction),
          .refs = std::move(refs)};
}

Entry NodeNotFound(std::uint64_t bits,
                   const std::string& node,
                   const std::string& details,
                   nlohmann::json refs) {
  return NotFoundEntry(bits | rc::kNotFoundNode, fmt::format("Node '{}'", node),
                       fmt::format("node '{}'", node), fmt::format("node with the name '{}'", node),
                       details, std::move(refs));
}

Entry DefinitionNotFound(std::uint64_t bits,
                         const std::string& name,
                         const std::string& details,
                         nlohmann::json refs) {
  return NotFoundEntry(bits | rc::kNotFoundRscDfn, fmt::format("Resource definition '{}'", name),
                       fmt::format("resource definition '{}'", name),
                       fmt::format("resource definition with the name '{}'", name), details,
                       std::move(refs));
}

nlohmann::json Page(const Call& call, const nlohmann::json& list) {
  const auto offset = NumberOf(call, "offset", 0);
  const auto limit = NumberOf(call, "limit", 0);
  auto out = nlohmann::json::array();
  for (std::size_t i = offset; i < list.size() && (limit == 0 || out.size() < limit); ++i) {
    out.push_back(list[i]);
  }
  return out;
}

bool MatchesProps(const Call& call, const Props& props) {
  for (const auto& filter : call.Query("props")) {
    const auto split = filter.find('=');
    const auto it = props.find(filter.substr(0, split));
    if (it == props.end() ||
        (split != std::string::npos && it->second != filter.substr(split + 1))) {
      return false;
    }
  }
  return true;
}

bool Selected(const Call& call, const std::string& parameter, const std::string& name) {
  const auto wanted = call.Query(parameter);
  return wanted.empty() || std::any_of(wanted.begin(), wanted.end(),
                                       [&](const auto& one) { return Key(one) == Key(name); });
}

std::string BadNodeName(const std::string& name) {
  if (name.size() < 2) {
    return fmt::format("Hostname length of {} violates RFC1123 minimum length of 2", name.size());
  }
  for (const char c : name) {
    const bool fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '-' || c == '.';
    if (!fine) {
      return fmt::format("Domain name cannot contain character '{}'", c);
    }
  }
  return "";
}

}  // namespace breakwater::sim
