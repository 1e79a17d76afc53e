#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/linstor/http_types.h"

namespace breakwater::sim {

class Simulator;

/// One call on its way to a handler.
struct Call {
  Simulator& sim;
  const HttpRequest& request;
  std::vector<std::string> args;  // what stood in the {} of the pattern
  nlohmann::json body = {};

  /// All values of a query parameter; "a,b" is not split, as in LINSTOR.
  [[nodiscard]] std::vector<std::string> Query(const std::string& name) const;
  [[nodiscard]] std::string QueryOne(const std::string& name) const;
  /// "true" in any case (python-linstor sends "True").
  [[nodiscard]] bool QueryFlag(const std::string& name) const;
};

using Handler = std::function<HttpReply(Call&)>;

/// How the body of a request has to look: a class of LINSTOR's serializer. Unknown fields are
/// errors.
struct BodyRule {
  std::string java_class;    // empty: no body is read
  int unknown_status = 500;  // resource-definitions answer 400 here (05-resource-definitions)
  bool optional = false;     // a missing body is an empty object
  bool list = false;         // an array of such objects
};

/// Method and path to handler. Patterns: "/v1/nodes/{}" and, for a rest with slashes, "/v1/x/{*}".
class Router {
 public:
  void Add(const std::string& method,
           const std::string& pattern,
           Handler handler,
           BodyRule body = {});

  [[nodiscard]] HttpReply Dispatch(Simulator& sim, const HttpRequest& request) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> pattern;
    Handler handler;
    BodyRule body;
  };

  std::vector<Route> routes_;
};

std::vector<std::string> SplitPath(const std::string& path);

/// "chain" of the first unknown field of `value` as LINSTOR's message needs it; empty when all are
/// known.
struct UnknownField {
  std::string field, java_class;
  std::vector<std::string> known;
};

bool FindUnknownField(const nlohmann::json& value,
                      const std::string& java_class,
                      UnknownField& out);

}  // namespace breakwater::sim
