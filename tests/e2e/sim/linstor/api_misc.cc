// Health, error reports, encryption, and lists that are always empty here.

#include <algorithm>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

nlohmann::json ReportJson(const ErrorReport& report, bool content) {
  nlohmann::json out{{"node_name", report.node},
                     {"error_time", report.time_ms},
                     {"filename", fmt::format("ErrorReport-{}.log", report.id)},
                     {"module", report.module},
                     {"version", "1.34.0-rc.1"},
                     {"exception", report.exception},
                     {"exception_message", report.message}};
  if (!report.peer.empty()) {
    out["peer"] = report.peer;
  }
  if (content) {
    out["text"] = report.text;
  }
  return out;
}

HttpReply ListReports(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& reports = call.sim.database.state.reports;
  const bool content = call.QueryFlag("withContent");
  auto list = nlohmann::json::array();
  for (const auto& report : reports) {
    const auto since = call.QueryOne("since");  // both in milliseconds
    const auto to = call.QueryOne("to");
    if (Selected(call, "node", report.node) && Selected(call, "module", report.module) &&
        (since.empty() || report.time_ms >= std::stoll(since)) &&
        (to.empty() || report.time_ms <= std::stoll(to))) {
      list.push_back(ReportJson(report, content));
    }
  }
  const auto limit = call.QueryOne("limit");
  if (!limit.empty() && limit.find_first_not_of("0123456789") == std::string::npos) {
    const auto count = std::min<std::size_t>(std::stoul(limit), list.size());  // the newest ones
    nlohmann::json newest = nlohmann::json::array();
    for (std::size_t i = list.size() - count; i < list.size(); ++i) {
      newest.push_back(list[i]);
    }
    list = newest;
  }
  return JsonReply(200, list);
}

HttpReply GetReport(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto list = nlohmann::json::array();
  for (const auto& report : call.sim.database.state.reports) {
    if (report.id.rfind(call.args[0], 0) == 0) {
      list.push_back(ReportJson(report, true));
    }
  }
  return JsonReply(200, list);  // an unknown id is an empty list, not a 404
}

HttpReply Health(Call&) {
  HttpReply reply;
  reply.content_type = "";
  return reply;
}

HttpReply PassphraseStatus(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto reply = JsonReply(
      200, {{"status", call.sim.database.state.passphrase.empty() ? "unset" : "unlocked"}});
  reply.content_type = "text/plain";
  return reply;
}

Entry PassphraseError(std::uint64_t bits, const std::string& message) {
  return {.code = rc::Make(rc::kError | rc::kController | bits), .message = message};
}

Entry WrongPassphrase() {
  auto bad = PassphraseError(
      rc::kModify | rc::kMissingProps,
      "Could not restore master passphrase as the given old passphrase was incorrect");
  bad.cause = "Wrong passphrase";
  bad.correction = "Enter the correct passphrase";
  return bad;
}

HttpReply CreatePassphrase(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& passphrase = call.sim.database.state.passphrase;
  if (!passphrase.empty()) {
    auto bad = PassphraseError(rc::kCreate | rc::kExistsCryptPassphrase,
                               "Could not create new crypt passphrase as it already exists");
    bad.cause = "A passphrase was already defined";
    bad.correction = "Use the crypt-modify-passphrase command instead of crypt-create-passphrase";
    return ListReply(201, {bad});
  }
  passphrase = call.body.value("new_passphrase", "");
  call.sim.database.Save();
  return ListReply(201, {{.code = rc::Make(rc::kCreate | rc::kController | rc::kCreated),
                          .message = "Crypt passphrase created."}});
}

HttpReply ChangePassphrase(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& passphrase = call.sim.database.state.passphrase;
  if (passphrase != call.body.value("old_passphrase", "")) {
    return ListReply(200, {WrongPassphrase()});
  }
  passphrase = call.body.value("new_passphrase", "");
  call.sim.database.Save();
  return ListReply(200, {{.code = rc::Make(rc::kModify | rc::kController | rc::kModified),
                          .message = "Crypt passphrase updated"}});
}

/// The body is a plain JSON string, so it is read here.
HttpReply EnterPassphrase(Call& call) {
  const auto given = nlohmann::json::parse(call.request.body, nullptr, false);
  if (!given.is_string()) {
    return JsonReply(
        500, nlohmann::json::array(
                 {ToJson({.code = rc::kBadJson,
                          .message = "Unable to parse input json.",
                          .details = "Cannot deserialize value of type `java.lang.String`"})}));
  }
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& passphrase = call.sim.database.state.passphrase;
  if (passphrase.empty()) {
    return ListReply(200,
                     {PassphraseError(rc::kModify | rc::kMissingProps,
                                      "encrypted namespace is empty, you need to set a passphrase "
                                      "first")});
  }
  if (given.get<std::string>() != passphrase) {
    return ListReply(200, {WrongPassphrase()});
  }
  return ListReply(200, {{.code = rc::Make(rc::kModify | rc::kController | rc::kAccepted),
                          .message = "Passphrase accepted"}});
}

}  // namespace

void RegisterMisc(Router& router) {
  router.Add("GET", "/health", Health);
  router.Add("GET", "/v1/error-reports", ListReports);
  router.Add("GET", "/v1/error-reports/{}", GetReport);
  router.Add("GET", "/v1/encryption/passphrase", PassphraseStatus);
  router.Add("POST", "/v1/encryption/passphrase", CreatePassphrase, {"PassPhraseCreate"});
  router.Add("PUT", "/v1/encryption/passphrase", ChangePassphrase, {"PassPhraseCreate"});
  router.Add("PATCH", "/v1/encryption/passphrase", EnterPassphrase);
  for (const char* path :
       {"/v1/files", "/v1/remotes/s3", "/v1/remotes/linstor", "/v1/remotes/ebs"}) {
    router.Add("GET", path, [](Call&) { return JsonReply(200, nlohmann::json::array()); });
  }
  for (const char* path : {"/v1/remotes", "/v1/schedules"}) {
    router.Add("GET", path, [](Call&) { return JsonReply(200, nlohmann::json::object()); });
  }
}

}  // namespace breakwater::sim
