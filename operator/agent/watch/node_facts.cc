#include "operator/agent/watch/node_facts.h"

#include <memory>
#include <string_view>
#include <utility>

#include "operator/agent/watch/genetlink.h"
#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::agent {
namespace {

constexpr ChildLimits kToolLimits{std::chrono::milliseconds(20000), std::size_t{1} << 20U};
constexpr std::size_t kMaxText = 256;

// Calls `done` when the last copy is gone: when everything that was started has ended.
std::shared_ptr<void> WhenAllEnded(std::function<void()> done) {
  return std::shared_ptr<void>(nullptr, [done = std::move(done)](void*) { done(); });
}

}  // namespace

void NodeFacts::Refresh(std::function<void()> done) {
  const std::shared_ptr<void> all = WhenAllEnded(std::move(done));
  files_->Read("/proc/drbd", [this, all](const std::optional<std::string>& text) {
    const std::string utils = facts_.versions.utils;
    facts_.versions = {};
    facts_.versions.utils = utils;
    replication::ParseProcDrbd(text.value_or(""), &facts_.versions);
  });
  files_->Exists("/sys/module/tls", [this, all](bool there) { facts_.tls_module = there; });
  files_->Read("/sys/module/drbd/parameters/usermode_helper",
               [this, all](const std::optional<std::string>& text) {
                 facts_.usermode_helper.reset();
                 if (text) {
                   facts_.usermode_helper =
                       std::string(replication::Trim(*text).substr(0, kMaxText));
                 }
               });
  if (!files_->by_cat() && !facts_.handshake_family.value_or(false)) {
    facts_.handshake_family = HasGenericNetlinkFamily("handshake");
  }
  if (!utils_known_) {
    children_->Run({"drbdadm", "--version"}, kToolLimits, [this, all](const ChildResult& result) {
      utils_known_ = result.exit_code == 0;
      replication::DrbdVersions read;
      replication::ParseDrbdadmVersion(result.output, &read);
      facts_.versions.utils = read.utils;
    });
  }
}

void NodeFacts::CheckResFiles(std::function<void()> done) {
  children_->Run({"drbdadm", "sh-nop"}, kToolLimits,
                 [this, done = std::move(done)](const ChildResult& result) {
                   // 10: it cannot read its configuration (F33). Anything else is another trouble.
                   facts_.broken_res = result.exit_code == 10 ? BrokenFile(result.error) : "";
                   done();
                 });
}

void NodeFacts::ReadTlsStat(std::function<void(std::optional<replication::TlsStat>)> done) {
  files_->Read("/proc/net/tls_stat",
               [done = std::move(done)](const std::optional<std::string>& text) {
                 done(text ? replication::ParseTlsStat(*text) : std::nullopt);
               });
}

std::string BrokenFile(const std::string& error_text) {
  for (const std::string_view line : replication::Lines(error_text, 100)) {
    const std::size_t end = line.find(".res:");
    if (end == std::string_view::npos) {
      continue;
    }
    const std::string_view path = line.substr(0, end + 4);
    return std::string(path.substr(path.find_last_of(" \t'\"") + 1).substr(0, kMaxText));
  }
  const std::string_view text = replication::Trim(error_text);
  return text.empty() ? "drbdadm cannot read its configuration"
                      : std::string(text.substr(0, text.find('\n')).substr(0, kMaxText));
}

}  // namespace breakwater::agent
