#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/e2e/sim/linstor/entry.h"
#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

/// Which property keys an object accepts and which values a key takes. The table is what a real
/// controller answered (testdata/property-rules.json), compiled in.
class PropertyRules {
 public:
  struct Verdict {
    bool known_key = false;
    bool valid_value = false;
    std::string value;  // normalised
    std::string hint;   // "This value must be …"
  };

  PropertyRules();

  /// `object`: CTRL, NODE, NODE_CONN, RSC, RSC_CONN, RSC_DFN, STOR_POOL, VLM_DFN.
  [[nodiscard]] Verdict Check(const std::string& object,
                              const std::string& key,
                              const std::string& value) const;
  [[nodiscard]] bool Knows(const std::string& object, const std::string& key) const;
  [[nodiscard]] std::vector<std::string> Keys(const std::string& object) const;

 private:
  struct Rule {
    std::string type, value;
  };

  [[nodiscard]] const Rule* Find(const std::string& object, const std::string& key) const;

  std::map<std::string, std::map<std::string, Rule>> rules_;
};

/// A parsed "override_props / delete_props / delete_namespaces" request.
struct PropsChange {
  std::map<std::string, std::optional<std::string>> overrides;  // nullopt: JSON null
  std::vector<std::string> deletes, namespaces;
};

PropsChange ParsePropsChange(const nlohmann::json& body);

/// Whose properties change, for messages.
struct PropsTarget {
  std::string rules;         // table of PropertyRules
  std::uint64_t object = 0;  // rc::kRscDfn …
  std::uint64_t error_op = rc::kModify;
  std::string details;  // "Resource definition: r1"
  nlohmann::json refs = nlohmann::json::object();
};

struct PropsOutcome {
  bool changed = false;  // some value really differs now (L21: an equal value adjusts nobody)
  Entries entries;       // an error entry means: nothing was applied
};

/// Applies a change in LINSTOR's all-or-nothing way, with the words of every object except the
/// controller.
PropsOutcome ChangeProps(const PropertyRules& rules,
                         const PropsTarget& target,
                         const PropsChange& change,
                         Props& props);

/// The same for the controller, whose words differ (L1–L3).
PropsOutcome ChangeControllerProps(const PropertyRules& rules,
                                   const PropsChange& change,
                                   Props& props);

}  // namespace breakwater::sim
