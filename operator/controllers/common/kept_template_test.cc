#include "operator/controllers/common/kept_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/runtime/apply.h"

namespace breakwater::controllers {
namespace {

using api::Json;

constexpr const char* kVersion = "app.kubernetes.io/version";

Json Container(const char* name, const char* image) {
  return {{"name", name}, {"image", image}};
}

Json Workload(const char* version, const Json& containers) {
  return {{"apiVersion", "apps/v1"},
          {"kind", "DaemonSet"},
          {"metadata", {{"name", "linstor-csi-node"}, {"labels", {{kVersion, version}}}}},
          {"spec",
           {{"updateStrategy", {{"type", "RollingUpdate"}}},
            {"template",
             {{"metadata", {{"creationTimestamp", nullptr}}},
              {"spec", {{"containers", containers}}}}}}}};
}

/// As the Piraeus Operator left it: an argument more than is rendered today.
Json Old() {
  Json container = Container("linstor-csi", "csi:v1");
  container["args"] = Json::array({"--old"});
  return Workload("v2.6.0", Json::array({container}));
}

Json New() {
  return Workload("1.0.0", Json::array({Container("linstor-csi", "csi:v1")}));
}

/// The live object after `rendered` was applied to `live`.
Json Applied(const Json& rendered) {
  Json live = rendered;
  live["metadata"]["annotations"][std::string(runtime::kAppliedHash)] = "x";
  return live;
}

// A take-over that restarts the CSI driver of every node for an argument that means the same.
TEST(KeptTemplateTest, TheSameProgramsAreNotRestarted) {
  Json rendered = New();
  ASSERT_TRUE(KeepPodTemplate(api::Object(Old()), &rendered));
  EXPECT_EQ(rendered["spec"]["template"]["spec"], Old()["spec"]["template"]["spec"]);
  EXPECT_FALSE(rendered["spec"]["template"]["metadata"].contains("creationTimestamp"));
  EXPECT_EQ(rendered["metadata"]["labels"][kVersion], "1.0.0") << "the rest is as rendered";
  Json again = New();
  EXPECT_TRUE(KeepPodTemplate(api::Object(Applied(rendered)), &again)) << "at the next pass";
  EXPECT_EQ(again, rendered);
}

// A setting that has no effect because of a take-over long ago would be worse than a restart.
TEST(KeptTemplateTest, AnotherRenderingIsApplied) {
  Json rendered = New();
  ASSERT_TRUE(KeepPodTemplate(api::Object(Old()), &rendered));
  const api::Object live(Applied(rendered));
  Json changed = New();
  changed["spec"]["template"]["spec"]["tolerations"] = Json::array({{{"key", "a"}}});
  const Json wanted = changed;
  EXPECT_FALSE(KeepPodTemplate(live, &changed));
  EXPECT_EQ(changed, wanted);
}

TEST(KeptTemplateTest, OtherProgramsAreStarted) {
  for (const Json& containers :
       {Json::array({Container("linstor-csi", "csi:v2")}),
        Json::array({Container("linstor-csi", "csi:v1"), Container("new", "x:v1")})}) {
    Json rendered = Workload("1.0.0", containers);
    EXPECT_FALSE(KeepPodTemplate(api::Object(Old()), &rendered)) << containers;
  }
}

// What another one changes by hand is changed back, as always.
TEST(KeptTemplateTest, ATemplateThatSomebodyChangedIsNotKept) {
  Json rendered = New();
  ASSERT_TRUE(KeepPodTemplate(api::Object(Old()), &rendered));
  Json live = Applied(rendered);
  live["spec"]["template"]["spec"]["hostNetwork"] = true;
  Json again = New();
  EXPECT_FALSE(KeepPodTemplate(api::Object(live), &again));
  Json own = Applied(New());
  own["spec"]["template"]["spec"]["hostNetwork"] = true;
  EXPECT_FALSE(KeepPodTemplate(api::Object(own), &again)) << "one that was ours all the time";
  own["metadata"].erase("annotations");
  EXPECT_FALSE(KeepPodTemplate(api::Object(own), &again)) << "nor when it lost its annotation";
}

// The way to today's pods without any other change.
TEST(KeptTemplateTest, WithoutItsAnnotationItIsGivenUp) {
  Json rendered = New();
  ASSERT_TRUE(KeepPodTemplate(api::Object(Old()), &rendered));
  Json live = Applied(rendered);
  live["metadata"]["annotations"].erase(std::string(kKeptPodTemplate));
  Json again = New();
  EXPECT_FALSE(KeepPodTemplate(api::Object(live), &again));
}

TEST(KeptTemplateTest, OnlyWorkloadsHaveTemplates) {
  Json other{{"kind", "ConfigMap"}, {"metadata", {{"name", "c"}}}};
  EXPECT_FALSE(KeepPodTemplate(api::Object(Old()), &other));
}

}  // namespace
}  // namespace breakwater::controllers
