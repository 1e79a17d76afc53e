#pragma once

/// Selectors: label selector syntax, and the targets of patches.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/patch.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace breakwater::core {

/// A parsed label selector: "a=b,c!=d,e in (x, y),f notin (z),g,!h,i>1". The empty selector matches
/// everything.
class LabelSelector {
 public:
  /// kInvalid with the part that cannot be read.
  static Result<LabelSelector, Error> Parse(std::string_view text);

  bool Matches(const std::map<std::string, std::string>& labels) const;

 private:
  enum class Op { kIn, kNotIn, kExists, kDoesNotExist, kLess, kGreater };

  struct Requirement {
    std::string key{};
    Op op = Op::kExists;
    std::vector<std::string> values{};
  };

  static Result<Requirement, Error> ParseRequirement(std::string_view text);

  std::vector<Requirement> requirements_;
};

/// What a patch target is compared with.
struct ResourceIdentity {
  std::string group{};
  std::string version{};
  std::string kind{};
  std::string ns{};
  std::string name{};
};

/// A compiled patch target. Expressions are anchored at both ends; empty ones match everything.
class TargetMatcher {
 public:
  /// kInvalid names the expression or selector that cannot be read.
  static Result<TargetMatcher, Error> Compile(const api::PatchTarget& target);

  /// `identities`: the original and, when a patch has renamed the object, the current identity; one
  /// of them must match. Labels and annotations are those of the object now.
  bool Matches(const std::vector<ResourceIdentity>& identities,
               const std::map<std::string, std::string>& labels,
               const std::map<std::string, std::string>& annotations) const;

 private:
  using Expression = std::shared_ptr<const re2::RE2>;  ///< null: matches everything

  static Result<Expression, Error> CompileExpression(std::string_view field,
                                                     const std::string& text);
  bool MatchesIdentity(const ResourceIdentity& identity) const;

  Expression group_;
  Expression version_;
  Expression kind_;
  Expression name_;
  Expression ns_;
  LabelSelector labels_;
  LabelSelector annotations_;
};

}  // namespace breakwater::core
