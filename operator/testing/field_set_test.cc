#include "operator/testing/field_set.h"

#include <gtest/gtest.h>

namespace breakwater::testing {
namespace {

using Json = nlohmann::json;

const Json kDocument = Json::parse(R"({
  "spec": {"a": 1, "list": [1, 2], "empty": {},
           "containers": [{"name": "x", "image": "i"}]},
  "metadata": {"finalizers": ["f1", "f2"]}})");

// A fake whose ownership differs from the server's makes controllers pass here and fail in a
// cluster.
TEST(FieldSetTest, FindsLeaves) {
  const FieldSet expected = {{"f:spec", "f:a"},
                             {"f:spec", "f:list"},
                             {"f:spec", "f:empty"},
                             {"f:spec", "f:containers", "k:\"x\"", "f:name"},
                             {"f:spec", "f:containers", "k:\"x\"", "f:image"},
                             {"f:metadata", "f:finalizers", "v:\"f1\""},
                             {"f:metadata", "f:finalizers", "v:\"f2\""}};
  EXPECT_EQ(FieldsOf(kDocument), expected);
  for (const FieldPath& path : expected) {
    EXPECT_NE(FieldAt(kDocument, path), nullptr);
  }
}

TEST(FieldSetTest, RemovesAndPrunes) {
  Json document = kDocument;
  RemoveField(document, {"f:metadata", "f:finalizers", "v:\"f1\""});
  EXPECT_EQ(document["metadata"]["finalizers"], Json::parse(R"(["f2"])"));
  RemoveField(document, {"f:metadata", "f:finalizers", "v:\"f2\""});
  EXPECT_FALSE(document.contains("metadata"));
  RemoveField(document, {"f:spec", "f:containers", "k:\"x\"", "f:name"});
  EXPECT_FALSE(document["spec"].contains("containers"));
  RemoveField(document, {"f:spec", "f:missing", "f:deeper"});
  EXPECT_EQ(document["spec"]["a"], 1);
}

TEST(FieldSetTest, MergesKeyedListsAndReplacesOthers) {
  Json document = kDocument;
  MergeFields(document, Json::parse(R"({"spec": {"list": [9],
      "containers": [{"name": "y"}, {"name": "x", "image": "j"}]},
      "metadata": {"finalizers": ["f3", "f1"]}})"));
  EXPECT_EQ(document["spec"]["list"], Json::parse("[9]"));
  EXPECT_EQ(document["spec"]["containers"],
            Json::parse(R"([{"name": "x", "image": "j"}, {"name": "y"}])"));
  EXPECT_EQ(document["metadata"]["finalizers"], Json::parse(R"(["f1", "f2", "f3"])"));
}

}  // namespace
}  // namespace breakwater::testing
