#include "operator/runtime/store_metrics.h"

#include <gtest/gtest.h>

namespace breakwater::runtime {
namespace {

api::Json Node(const std::string& name, const std::string& version) {
  return {{"metadata", {{"name", name}, {"uid", "uid-" + name}, {"resourceVersion", version}}}};
}

api::ResourceInfo Nodes() {
  return {.kind = "Node", .plural = "nodes", .namespaced = false};
}

TEST(StoreMetricsTest, FingerprintIsTheOneThatTheTestsInPythonCompute) {
  // Vector from an independent implementation; a silent change would make every comparison fail.
  EXPECT_EQ(FingerprintOf({"", ""}, ""), (0xcbf29ce484222325 ^ std::uint64_t{'@'}) * 0x100000001b3);
}

TEST(StoreMetricsTest, FingerprintTellsVersionsAndObjectsApartButNotTheirOrder) {
  Store one(Nodes());
  one.Replace({Node("a", "1"), Node("b", "2")}, "2");
  Store other(Nodes());
  other.Upsert(Node("b", "2"));
  other.Upsert(Node("a", "1"));
  EXPECT_EQ(Fingerprint(one), Fingerprint(other));
  other.Upsert(Node("a", "3"));
  EXPECT_NE(Fingerprint(one), Fingerprint(other));
  other.Replace({Node("a", "1")}, "4");
  EXPECT_NE(Fingerprint(one), Fingerprint(other));
}

TEST(StoreMetricsTest, GaugesFollowTheStoreUntilTheRegistrationEnds) {
  Metrics metrics;
  Store store(Nodes());
  {
    const Metrics::Registration registration =
        ExportStore(metrics, store, {.label_selector = "a=b"});
    store.Replace({Node("a", "1"), Node("b", "20")}, "23");
    const std::string text = metrics.Serialize();
    const std::string labels =
        R"({field_selector="",label_selector="a=b",namespace="",resource="nodes"})";
    EXPECT_NE(text.find("breakwater_store_objects" + labels + " 2\n"), std::string::npos) << text;
    EXPECT_NE(text.find("breakwater_store_resource_version" + labels + " 23\n"), std::string::npos)
        << text;
  }
  store.Remove(Node("a", "30"));
  EXPECT_EQ(metrics.Serialize().find(" 30\n"), std::string::npos);
}

}  // namespace
}  // namespace breakwater::runtime
