// The operator's own roles against those that it renders. Nobody can grant what he has not: a right
// that is missing in deploy/ keeps a component from being deployed. One that is too many is a gift
// to whoever steals the operator's token.

#include <fstream>
#include <set>
#include <sstream>
#include <tuple>

#include "operator/core/render/render_test_support.h"

namespace breakwater::core {
namespace {

using ::testing::IsEmpty;

/// group, resource, name ("" = all), verb
using Right = std::tuple<std::string, std::string, std::string, std::string>;
using Rights = std::set<Right>;

std::vector<std::string> Strings(const Json& rule, const char* key) {
  return rule.contains(key) ? rule.at(key).get<std::vector<std::string>>()
                            : std::vector<std::string>{""};
}

void Collect(const Json& role, Rights* rights) {
  for (const Json& rule : role.at("rules")) {
    for (const std::string& group : Strings(rule, "apiGroups")) {
      for (const std::string& resource : Strings(rule, "resources")) {
        for (const std::string& name : Strings(rule, "resourceNames")) {
          for (const std::string& verb : Strings(rule, "verbs")) {
            rights->insert({group, resource, name, verb});
          }
        }
      }
    }
  }
}

Rights FromFile(const std::string& file, const std::string& kind) {
  std::ifstream stream(testing::SourceDir() + "/deploy/default/" + file);
  std::ostringstream text;
  text << stream.rdbuf();
  Rights rights;
  const auto documents = ParseYaml(text.str());
  EXPECT_TRUE(documents) << file;
  for (const Json& document : *documents) {
    if (document.at("kind") == kind) {
      Collect(document, &rights);
    }
  }
  return rights;
}

Rights Rendered(const std::string& kind) {
  ClusterInputs inputs;
  inputs.name = "linstorcluster";
  inputs.ns = "piraeus-datastore";
  inputs.images = Images();
  inputs.controller_hosts = {"linstor-controller-a"};
  Rights rights;
  for (const Json& object : RenderCluster(inputs).objects) {
    if (object.at("kind") == kind) {
      Collect(object, &rights);
    }
  }
  return rights;
}

bool Covers(const Rights& have, const Right& wanted) {
  const auto& [group, resource, name, verb] = wanted;
  return have.contains(wanted) || have.contains({group, resource, "", verb});
}

std::string Print(const Right& right) {
  const auto& [group, resource, name, verb] = right;
  return verb + " " + resource + "." + group + " " + name;
}

Rights Merged(Rights rights, const Rights& more) {
  rights.insert(more.begin(), more.end());
  return rights;
}

std::vector<std::string> Missing(const Rights& wanted, const Rights& have) {
  std::vector<std::string> missing;
  for (const Right& right : wanted) {
    if (!Covers(have, right)) {
      missing.push_back(Print(right));
    }
  }
  return missing;
}

TEST(PassedOnRights, TheOperatorHasWhatItGrants) {
  const Rights everywhere = Merged(FromFile("cluster-role.yaml", "ClusterRole"),
                                   FromFile("rights-to-pass-on.yaml", "ClusterRole"));
  EXPECT_THAT(Missing(Rendered("ClusterRole"), everywhere), IsEmpty());
  Rights here = Merged(FromFile("role.yaml", "Role"), FromFile("rights-to-pass-on.yaml", "Role"));
  here.insert(everywhere.begin(), everywhere.end());
  EXPECT_THAT(Missing(Rendered("Role"), here), IsEmpty());
}

TEST(PassedOnRights, NothingIsHeldThatNobodyIsGranted) {
  EXPECT_THAT(Missing(FromFile("rights-to-pass-on.yaml", "ClusterRole"), Rendered("ClusterRole")),
              IsEmpty());
  EXPECT_THAT(Missing(FromFile("rights-to-pass-on.yaml", "Role"), Rendered("Role")), IsEmpty());
}

}  // namespace
}  // namespace breakwater::core
