#include "operator/agent/watch/node_files.h"

#include <utility>

#include <unistd.h>

#include "operator/agent/process/journal_files.h"

namespace breakwater::agent {
namespace {

constexpr std::size_t kMaxFile = std::size_t{1} << 20U;

}  // namespace

void NodeFiles::Read(const std::string& path, TextDone done) {
  if (!by_cat_) {
    done(ReadSmallFile(path, kMaxFile));
    return;
  }
  children_->Run({"cat", path}, ChildLimits{}, [done = std::move(done)](const ChildResult& result) {
    done(result.exit_code == 0 ? std::optional(result.output) : std::nullopt);
  });
}

void NodeFiles::ReadAll(const std::vector<std::string>& paths, TextDone done) {
  std::vector<std::string> arguments{"cat"};
  arguments.insert(arguments.end(), paths.begin(), paths.end());
  children_->Run(arguments, ChildLimits{}, [done = std::move(done)](const ChildResult& result) {
    const bool whole = result.exit_code >= 0 && result.exit_code < 100 && !result.truncated;
    done(whole ? std::optional(result.output) : std::nullopt);
  });
}

void NodeFiles::Exists(const std::string& path, std::function<void(bool)> done) {
  if (!by_cat_) {
    done(access(path.c_str(), F_OK) == 0);
    return;
  }
  children_->Run(
      {"ls", "-d", path}, ChildLimits{},
      [done = std::move(done)](const ChildResult& result) { done(result.exit_code == 0); });
}

}  // namespace breakwater::agent
