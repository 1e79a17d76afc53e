#include "tests/e2e/sim/linstor/router.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/e2e/sim/linstor/entry.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

constexpr const char* kSource =
    " at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1";

bool Matches(const std::vector<std::string>& pattern,
             const std::vector<std::string>& path,
             std::vector<std::string>& args) {
  args.clear();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == "{*}" && i < path.size()) {
      std::string rest = path[i];
      for (std::size_t j = i + 1; j < path.size(); ++j) {
        rest += "/" + path[j];
      }
      args.push_back(rest);
      return true;
    }
    if (i >= path.size() || (pattern[i] != "{}" && pattern[i] != path[i])) {
      return false;
    }
    if (pattern[i] == "{}") {
      args.push_back(path[i]);
    }
  }
  return pattern.size() == path.size();
}

HttpReply BadJson(int status, std::string details, std::vector<std::string> reports) {
  return JsonReply(status, nlohmann::json::array({ToJson({.code = rc::kBadJson,
                                                          .message = "Unable to parse input json.",
                                                          .details = std::move(details),
                                                          .report_ids = std::move(reports)})}));
}

/// nullopt: the body is fine and stands in call.body.
std::optional<HttpReply> ReadBody(Call& call, const BodyRule& rule) {
  if (call.request.body.empty()) {
    if (rule.optional) {
      call.body = nlohmann::json::object();
      return std::nullopt;
    }
    return BadJson(500, fmt::format("No content to map due to end-of-input\n{}]", kSource), {});
  }
  call.body = nlohmann::json::parse(call.request.body, nullptr, false);
  if (call.body.is_discarded()) {
    return BadJson(500, fmt::format("Unexpected character\n{}, column: 1]", kSource), {});
  }
  if (rule.list ? !call.body.is_array() : !call.body.is_object()) {
    return BadJson(500,
                   fmt::format("Cannot deserialize value of type `{}`\n{}, column: 1]",
                               rule.java_class, kSource),
                   {});
  }
  UnknownField unknown;
  bool bad = false;
  if (rule.list) {
    for (const auto& item : call.body) {
      bad = bad || FindUnknownField(item, rule.java_class, unknown);
    }
  } else {
    bad = FindUnknownField(call.body, rule.java_class, unknown);
  }
  if (!bad) {
    return std::nullopt;
  }
  std::vector<std::string> reports;
  if (rule.unknown_status == 400) {
    const std::lock_guard lock(call.sim.database.mutex);
    reports.push_back(
        call.sim.database.FileReport("UnrecognizedPropertyException", "Unrecognized field"));
  }
  const std::string prefix = "com.linbit.linstor.api.rest.v1.serializer.JsonGenTypes$";
  return BadJson(
      rule.unknown_status,
      fmt::format(
          "Unrecognized field \"{0}\" (class {1}{2}), not marked as ignorable ({3} known "
          "properties: \"{4}\")\n{5}, column: 1] (through reference chain: {1}{2}[\"{0}\"])",
          unknown.field, prefix, unknown.java_class, unknown.known.size(),
          fmt::join(unknown.known, "\", \""), kSource),
      std::move(reports));
}

}  // namespace

std::vector<std::string> Call::Query(const std::string& name) const {
  const auto it = request.query.find(name);
  return it == request.query.end() ? std::vector<std::string>() : it->second;
}

std::string Call::QueryOne(const std::string& name) const {
  const auto values = Query(name);
  return values.empty() ? "" : values.front();
}

bool Call::QueryFlag(const std::string& name) const {
  return Key(QueryOne(name)) == "true";
}

std::vector<std::string> SplitPath(const std::string& path) {
  std::vector<std::string> out;
  std::size_t start = 1;
  while (start <= path.size()) {
    const auto end = std::min(path.find('/', start), path.size());
    out.push_back(path.substr(start, end - start));
    start = end + 1;
  }
  if (out.size() > 1 && out.back().empty()) {
    out.pop_back();
  }
  return out;
}

void Router::Add(const std::string& method,
                 const std::string& pattern,
                 Handler handler,
                 BodyRule body) {
  routes_.push_back({method, SplitPath(pattern), std::move(handler), std::move(body)});
}

HttpReply Router::Dispatch(Simulator& sim, const HttpRequest& request) const {
  const auto path = SplitPath(request.path);
  bool other_method = false;
  Call call{sim, request, {}, {}};
  for (const Route& route : routes_) {
    if (!Matches(route.pattern, path, call.args)) {
      continue;
    }
    if (route.method != request.method) {
      other_method = true;
      continue;
    }
    if (!route.body.java_class.empty()) {
      if (auto bad = ReadBody(call, route.body)) {
        return *bad;
      }
    }
    return route.handler(call);
  }
  Entry entry{.code = rc::Make(rc::kError | rc::kUnknownError), .message = ""};
  if (other_method) {
    entry.message =
        fmt::format("Method '{}' not allowed on path '{}'.", request.method, request.path);
    entry.details = "HTTP 405 Method Not Allowed";
    return JsonReply(405, nlohmann::json::array({ToJson(entry)}));
  }
  entry.message = fmt::format("Path '{}' not found.", request.path);
  entry.details = "HTTP 404 Not Found";
  return JsonReply(404, nlohmann::json::array({ToJson(entry)}));
}

}  // namespace breakwater::sim
