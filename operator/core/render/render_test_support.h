#pragma once

/// Shared by the tests of rendering: golden files, nodes and images.

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/render/render.h"
#include "operator/core/render/yaml.h"
#include "operator/testing/source_dir.h"

namespace breakwater::core {

using api::Json;

/// Compares with a golden file; BREAKWATER_UPDATE_GOLDEN=1 writes it instead, for review in the
/// diff.
inline void ExpectGolden(const std::string& name, const std::vector<Json>& objects) {
  const std::string path =
      testing::SourceDir() + "/operator/core/render/testdata/" + name + ".json";
  const std::string actual = Json(objects).dump(2) + "\n";
  if (std::getenv("BREAKWATER_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << actual;
    return;
  }
  std::ifstream file(path);
  std::ostringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(expected.str(), actual) << "golden file " << path;
}

inline Json Yaml(std::string_view text) {
  return ParseYaml(text).value().at(0);
}

inline api::ObjectPtr Node(const std::string& name,
                           Json labels = Json::object(),
                           Json taints = Json::array()) {
  labels["kubernetes.io/hostname"] = name;
  return std::make_shared<const api::Object>(
      Json{{"metadata", {{"name", name}, {"labels", labels}}},
           {"spec", {{"taints", taints}}},
           {"status", {{"nodeInfo", {{"osImage", "Debian GNU/Linux 12 (bookworm)"}}}}}});
}

/// `later` is a document that a user has added.
inline ImageConfig Images(const std::string& later = "{}") {
  return ImageConfig::FromConfigMap({{"data", {{"1_user.yaml", later}, {"0_images.yaml", R"(
base: registry.example.com/storage
components:
  linstor-controller: {image: server, tag: v1.34.2}
  linstor-satellite: {image: server, tag: v1.34.2}
  drbd-reactor: {image: drbd-reactor, tag: v1.12.0}
  drbd-shutdown-guard: {image: drbd-shutdown-guard, tag: v1.1.2}
  ktls-utils: {image: ktls-utils, digest: "sha256:0123"}
  breakwater-agent: {image: breakwater-agent, tag: 0.7.0}
  linstor-csi: {image: csi, tag: v1.12.0}
  nfs-server: {image: nfs, tag: v1.12.0}
  ha-controller: {image: ha, tag: v1.3.3}
  linstor-affinity-controller: {image: affinity, tag: v1.5.0}
  csi-attacher: {image: csi-attacher, tag: v4}
  csi-livenessprobe: {image: livenessprobe, tag: v2}
  csi-provisioner: {image: csi-provisioner, tag: v6}
  csi-snapshotter: {image: csi-snapshotter, tag: v8}
  csi-resizer: {image: csi-resizer, tag: v2}
  csi-external-health-monitor-controller: {image: csi-health-monitor, tag: v0}
  csi-node-driver-registrar: {image: csi-node-driver-registrar, tag: v2}
  drbd-module-loader:
    image: drbd9-noble
    tag: v9.2.16
    match:
      - osImage: "Debian GNU/Linux 12"
        image: drbd9-bookworm
      - osImage: Talos
        image: drbd9-talos
        precompiled: true
)"}}}})
      .value();
}

inline const Json* Find(const std::vector<Json>& objects,
                        std::string_view kind,
                        std::string_view name) {
  for (const Json& object : objects) {
    if (object.at("kind") == kind && object.at("metadata").at("name") == name) {
      return &object;
    }
  }
  return nullptr;
}

}  // namespace breakwater::core
