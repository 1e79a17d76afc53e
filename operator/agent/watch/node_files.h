#pragma once

/// Files of /proc and /sys that say what the node can do.
/// Thread safety: none, runs in the loop's thread.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "operator/agent/process/child.h"

namespace breakwater::agent {

class NodeFiles {
 public:
  using TextDone = std::function<void(std::optional<std::string> text)>;

  /// `by_cat`: by the programs cat and ls, for test beds where several simulated nodes share one
  /// machine and these programs answer for them.
  NodeFiles(Children* children, bool by_cat) : children_(children), by_cat_(by_cat) {}

  /// Nothing when it cannot be read. `done` may be called before this returns.
  void Read(const std::string& path, TextDone done);
  /// Several files as one text; those that cannot be read are left out.
  void ReadAll(const std::vector<std::string>& paths, TextDone done);
  void Exists(const std::string& path, std::function<void(bool)> done);

  bool by_cat() const { return by_cat_; }

 private:
  Children* const children_;
  const bool by_cat_;
};

}  // namespace breakwater::agent
