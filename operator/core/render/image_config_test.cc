#include "operator/core/render/image_config.h"

#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/testing/source_dir.h"

namespace breakwater::core {
namespace {

using api::Json;

ImageConfig Config(const Json& data) {
  return ImageConfig::FromConfigMap({{"data", data}}).value();
}

// Air-gapped users override single images with a later document, whole registries with
// spec.repository.
TEST(ImageConfig, LastDocumentWinsAndRepositoryReplacesEveryBase) {
  const ImageConfig config = Config({
      {"9_user.yaml", "base: user.example.com\ncomponents: {b: {image: bb, digest: 'sha256:1'}}"},
      {"0_default.yaml",
       "base: quay.io/x\ncomponents: {a: {image: aa, tag: v1}, b: {image: bb, tag: v1}, c: {tag: "
       "v1}}"},
  });
  const auto images = config.Resolve("", "").references;
  EXPECT_EQ(images.at("a"), "quay.io/x/aa:v1");
  EXPECT_EQ(images.at("b"), "user.example.com/bb@sha256:1");
  EXPECT_FALSE(images.contains("c"));
  EXPECT_EQ(config.Resolve("mirror", "").references.at("b"), "mirror/bb@sha256:1");
  EXPECT_EQ(config.Resolve("", "", {{"b", "v9"}}).references.at("b"), "user.example.com/bb:v9");
}

TEST(ImageConfig, FirstMatchOfTheOperatingSystem) {
  const ImageConfig config = Config({{"a", R"(
base: r
components:
  loader:
    image: fallback
    tag: v1
    match: [{osImage: 'Ubuntu 22\.04', image: jammy}, {osImage: Ubuntu, image: other, precompiled: true}]
)"}});
  EXPECT_EQ(config.Resolve("", "Ubuntu 22.04.3 LTS").references.at("loader"), "r/jammy:v1");
  EXPECT_FALSE(config.Resolve("", "Ubuntu 22.04.3 LTS").precompiled);
  EXPECT_TRUE(config.Resolve("", "Ubuntu 24.04").precompiled);
  EXPECT_EQ(config.Resolve("", "Arch").references.at("loader"), "r/fallback:v1");
}

TEST(ImageConfig, EnvironmentOverridesEverything) {
  ImageConfig config =
      Config({{"a", "components: {drbd-reactor: {image: drbd-reactor, tag: v1}}"}});
  config.SetOverrides({{"RELATED_IMAGE_drbd_reactor", "other/reactor@sha256:2"}, {"PATH", "/bin"}});
  EXPECT_EQ(config.Resolve("mirror", "").references.at("drbd-reactor"), "other/reactor@sha256:2");
}

std::string ReadSource(const std::string& path) {
  std::ifstream file(testing::SourceDir() + "/" + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The agent's version is written in two places: with another tag in the image configuration, a new
// agent would be built and never rolled out, or one be asked for that does not exist.
TEST(ImageConfig, DefaultAgentIsTheOneOfThisSource) {
  const std::string text = ReadSource("operator/agent/VERSION");
  const std::string version = text.substr(0, text.find('\n'));
  ASSERT_FALSE(version.empty());
  const ImageConfig config =
      Config({{"0_breakwater_images.yaml", ReadSource("deploy/default/agent-image.yaml")},
              {"0_default_images.yaml", ReadSource("deploy/default/images.yaml")}});
  const auto images = config.Resolve("", "").references;
  ASSERT_TRUE(images.contains("breakwater-agent"));
  EXPECT_EQ(images.at("breakwater-agent"), "breakwater-agent:" + version);
  // The other components keep their registry, and one mirror serves all.
  EXPECT_TRUE(images.at("ktls-utils").starts_with("quay.io/piraeusdatastore/"));
  EXPECT_EQ(config.Resolve("mirror", "").references.at("breakwater-agent"),
            "mirror/breakwater-agent:" + version);
}

TEST(ImageConfig, ErrorsNameTheDocument) {
  for (const char* text : {"components: [", "components: {a: {image: 5}}",
                           "components: {a: {image: a, match: [{osImage: '('}]}}"}) {
    const auto config = ImageConfig::FromConfigMap({{"data", {{"my.yaml", text}}}});
    ASSERT_FALSE(config.has_value()) << text;
    EXPECT_THAT(config.error().message, ::testing::HasSubstr("my.yaml"));
  }
  EXPECT_FALSE(ImageConfig::FromConfigMap(Json::object()).has_value());
}

}  // namespace
}  // namespace breakwater::core
