// deploy/default/admission-policies.yaml against the scripts that the operator runs: what the
// policy does not know, the API server refuses.

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "operator/core/replication/node/node_scripts.h"
#include "operator/testing/source_dir.h"

namespace breakwater::controllers {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(testing::SourceDir() + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

YAML::Node ExecPolicy() {
  for (const YAML::Node& document : YAML::LoadAll(Read("deploy/default/admission-policies.yaml"))) {
    if (document["kind"].as<std::string>() == "ValidatingAdmissionPolicy" &&
        document["metadata"]["name"].as<std::string>() == "operator-exec.breakwater.io") {
      return document["spec"];
    }
  }
  return {};
}

/// CEL's raw string of three quotes: no escapes.
std::string Literal(std::string_view text) {
  return "r'''" + std::string(text) + "'''";
}

/// The script in another library's source file, which this one may not use.
std::string ScriptIn(const std::string& path) {
  const std::string source = Read(path);
  const auto begin = source.find("R\"sh(") + 5;
  return source.substr(begin, source.find(")sh\"", begin) - begin);
}

// REVIEW-2, Low (exec on every pod of the namespace): whoever changes a script here must change the
// policy too, or a cluster that has it can neither observe nor heal.
TEST(ExecPolicyTest, KnowsTheScriptsOfThisOperator) {
  std::map<std::string, std::string> variables;
  for (const YAML::Node& variable : ExecPolicy()["variables"]) {
    variables[variable["name"].as<std::string>()] = variable["expression"].as<std::string>();
  }
  EXPECT_EQ(variables["observe"], Literal(replication::kObserveScript));
  EXPECT_EQ(variables["certificate"], Literal(replication::kCertificateScript));
  EXPECT_EQ(variables["heal"], Literal(ScriptIn("operator/controllers/replication/exec_heal.cc")));
}

}  // namespace
}  // namespace breakwater::controllers
