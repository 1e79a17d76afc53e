#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "operator/api/error_limit.h"
#include "operator/api/resources.h"
#include "operator/core/cluster/node_matching.h"
#include "operator/core/render/component.h"
#include "operator/core/render/components.h"
#include "operator/core/render/controller.h"
#include "operator/core/render/patch_guard.h"
#include "operator/core/render/render.h"
#include "operator/core/satellite/merge.h"

namespace breakwater::core {
namespace {

using api::Json;

constexpr const char* kController = "linstor-controller";
constexpr const char* kSatellite = "linstor-satellite";

/// On a LinstorSatellite: how many of its patches are of each of its configurations, in their order
/// ("0,2"). The first patch, the tolerations, is nobody's.
constexpr std::string_view kPatchOrigins = "breakwater.io/patch-origins";

/// What a LinstorSatellite has from each configuration; nothing when that cannot be told, because
/// it was made by another operator or patched.
std::optional<std::map<std::string, std::vector<api::Patch>>> PatchesByConfiguration(
    const api::Object& satellite) {
  const std::vector<std::string> names = AppliedConfigurations(satellite);
  const std::vector<api::Patch> patches =
      api::DecodeLinstorSatellite(satellite.raw()).value.patches;
  std::map<std::string, std::vector<api::Patch>> result;
  std::size_t next = 1;
  std::istringstream counts(satellite.annotation(kPatchOrigins));
  const bool none = counts.str().empty();
  for (const std::string& name : names) {
    std::size_t count = 0;
    char comma = ',';
    if (!none && (!(counts >> count) || next + count > patches.size())) {
      return std::nullopt;
    }
    counts >> comma;
    const auto begin = patches.begin() + static_cast<std::ptrdiff_t>(next);
    result[name] = {begin, begin + static_cast<std::ptrdiff_t>(count)};
    next += count;
  }
  return next == patches.size() ? std::optional(std::move(result)) : std::nullopt;
}

/// Whether nothing but patches and podTemplate of a configuration is wrong.
bool OnlyPatchesBroken(const NamedConfiguration& configuration) {
  return !api::IsCut(configuration.errors) &&
         std::all_of(configuration.errors.begin(), configuration.errors.end(),
                     [](const api::FieldError& error) {
                       return error.path != "spec" &&
                              api::AnyErrorAt({error}, {"spec.patches", "spec.podTemplate"});
                     });
}

/// The user's patches of a LinstorCluster, read once for all components.
struct UserPatches {
  std::vector<ParsedPatch> parsed{};
  std::vector<std::size_t> indices{};  ///< where they stand in the spec
  std::vector<int> matches{};

  /// Patches that cannot be read: which component they were for is only known by their target, if
  /// at all.
  struct Broken {
    std::optional<TargetMatcher> matcher{};
    std::string message{};
  };

  std::vector<Broken> broken{};
};

UserPatches ReadPatches(const std::vector<api::Patch>& patches) {
  UserPatches result;
  for (std::size_t i = 0; i < patches.size(); ++i) {
    const std::string path = "spec.patches[" + std::to_string(i) + "]";
    auto parsed = ParsePatch(patches[i]);
    if (parsed) {
      parsed->path = path;  // those before it may not be in this list
      result.parsed.push_back(std::move(*parsed));
      result.indices.push_back(i);
      continue;
    }
    UserPatches::Broken broken{.message = parsed.error().WithContext(path).message};
    if (patches[i].target) {
      if (auto matcher = TargetMatcher::Compile(*patches[i].target)) {
        broken.matcher = std::move(*matcher);
      }
    }
    result.broken.push_back(std::move(broken));
  }
  result.matches.assign(result.parsed.size(), 0);
  return result;
}

/// A patch that cannot be read holds back the objects that it would change: rendering them without
/// it would undo what it did while it was still correct.
std::string BrokenPatchFor(const UserPatches& patches, const ResourceSet& resources) {
  for (const UserPatches::Broken& broken : patches.broken) {
    const bool concerned =
        !broken.matcher ||
        std::any_of(resources.begin(), resources.end(), [&](const RenderedResource& resource) {
          const api::Object object(resource.object);
          return broken.matcher->Matches({resource.original}, object.labels(),
                                         object.annotations());
        });
    if (concerned) {
      return broken.message;
    }
  }
  return {};
}

/// Whether a configuration that cannot be used may be meant for the node. When not even its
/// selectors can be read, those that have it keep it and new satellites wait.
bool Concerns(const NamedConfiguration& broken,
              const api::Object& node,
              const api::Object* satellite) {
  if (satellite != nullptr) {
    const std::vector<std::string> applied = AppliedConfigurations(*satellite);
    if (std::find(applied.begin(), applied.end(), broken.name) != applied.end()) {
      return true;
    }
  }
  return api::AnyErrorAt(broken.errors, {"spec.nodeSelector", "spec.nodeAffinity"})
             ? satellite == nullptr
             : MatchesNode(broken.spec, node);
}

/// Secrets with keys of this cluster.
std::set<std::string> KeysOf(const ClusterInputs& inputs) {
  std::set<std::string> keys = KeySecrets();
  keys.insert(inputs.spec.linstor_passphrase_secret);
  if (inputs.spec.internal_tls) {
    keys.insert(inputs.spec.internal_tls->secret_name);
  }
  if (inputs.spec.api_tls) {
    const api::ApiTls& tls = *inputs.spec.api_tls;
    keys.insert({tls.api_secret_name, tls.client_secret_name, tls.csi_controller_secret_name,
                 tls.csi_node_secret_name, tls.affinity_controller_secret_name,
                 tls.nfs_server_secret_name});
  }
  for (const api::ObjectPtr& node : inputs.nodes) {
    keys.insert(SatelliteTlsSecretName(node->name(), {}));
    keys.insert(ReplicationTlsSecretName(node->name()));
    keys.insert(IssuedReplicationSecretName(node->name()));
  }
  keys.erase("");
  return keys;
}

/// The component that an object was rendered for, "" when it is none of ours.
std::string ComponentOf(const api::Object& object, const std::string& kind) {
  static const std::set<std::string> kComponents{"linstor-controller",
                                                 kSatellite,
                                                 "linstor-csi-controller",
                                                 "linstor-csi-node",
                                                 "ha-controller",
                                                 "linstor-csi-nfs-server",
                                                 "linstor-affinity-controller",
                                                 "linstor-csi-nfs"};
  if (kind == api::kLinstorSatellite.kind) {
    return kSatellite;
  }
  if (const std::string label = object.label(api::kLabelComponent); !label.empty()) {
    return kComponents.contains(label) ? label : "";
  }
  // The Piraeus Operator labels neither its Certificates nor all of its roles.
  const std::string name = object.name();
  if (name == "linstor-controller-internal-tls" || name == "linstor-api-tls" ||
      name == "linstor-client-tls") {
    return kController;
  }
  if (kind == api::kCertificate.kind && name.ends_with("-tls")) {
    const std::string owner = name.substr(0, name.size() - 4);
    return kComponents.contains(owner) ? owner : "";
  }
  const bool role = kind == api::kClusterRole.kind || kind == api::kRole.kind;
  return role && kComponents.contains(name) ? name : "";
}

class ClusterRenderer {
 public:
  explicit ClusterRenderer(const ClusterInputs& inputs)
      : inputs_(inputs), patches_(ReadPatches(inputs.spec.patches)) {
    settings_.ns = inputs.ns;
    settings_.selector_labels = SelectorLabels(inputs.name);
    settings_.metadata_labels = MetadataLabels();
    settings_.images = inputs.images.Resolve(inputs.spec.repository, "").references;
    settings_.pull_secret = inputs.pull_secret;
    settings_.keys = KeysOf(inputs);
  }

  ClusterRendering Run() {
    Component common{.name = "satellite-common"};
    common.AddManifest("satellite-common");
    Add(std::move(common));
    // Without it nobody knows where LINSTOR is, and whether one is to be deployed.
    const bool address = api::AnyErrorAt(inputs_.errors, {"spec.externalController"});
    if (address) {
      HoldBack(kController);
    } else if (inputs_.spec.external_controller_url) {
      Add(ApiClientComponent(inputs_));
    } else if (inputs_.spec.controller.enabled) {
      Add(ControllerComponent(inputs_));
    }
    const bool placement =
        api::AnyErrorAt(inputs_.errors, {"spec.nodeSelector", "spec.nodeAffinity"});
    for (Component& component : WorkloadComponents(inputs_)) {
      if (address || placement) {
        HoldBack(component.name);
      } else {
        Add(std::move(component));
      }
    }
    AddSatellites();
    ReportUnusedPatches();
    return std::move(result_);
  }

 private:
  void Add(Component component) {
    const std::string name = component.name;
    const std::string node = component.node;
    const ResourceSet pristine = component.resources;
    std::string problem = BrokenPatchFor(patches_, pristine);
    if (problem.empty()) {
      std::vector<int> matches = patches_.matches;
      auto built =
          Build(std::move(component), settings_, patches_.parsed, MissingObject::kIgnore, &matches);
      if (built) {
        patches_.matches = std::move(matches);
        for (RenderedResource& resource : *built) {
          result_.objects.push_back(std::move(resource.object));
        }
        return;
      }
      problem = built.error().message;
    }
    result_.problems.push_back({name, node, std::move(problem)});
    for (std::size_t i = 0; i < patches_.parsed.size(); ++i) {
      patches_.matches[i] += static_cast<int>(CountMatches(patches_.parsed[i], pristine));
    }
  }

  /// The objects of the component stay as they are.
  void HoldBack(const std::string& component) {
    result_.problems.push_back(
        {component, "",
         "stays as it is until spec.nodeSelector, spec.nodeAffinity and spec.externalController "
         "are valid"});
  }

  void AddSatellites() {
    if (api::AnyErrorAt(inputs_.errors,
                        {"spec.nodeSelector", "spec.nodeAffinity", "spec.externalController"})) {
      result_.problems.push_back(
          {kSatellite, "",
           "the LinstorSatellites stay as they are until spec.nodeSelector, spec.nodeAffinity and "
           "spec.externalController are valid"});
      return;
    }
    std::vector<NamedConfiguration> usable;
    std::vector<const NamedConfiguration*> broken;
    for (const NamedConfiguration& configuration : inputs_.configurations) {
      if (configuration.errors.empty() || OnlyPatchesBroken(configuration)) {
        usable.push_back(configuration);
        if (!configuration.errors.empty()) {
          result_.held_back.push_back("the patches of LinstorSatelliteConfiguration " +
                                      configuration.name + " are held back, what it had before " +
                                      "stays: " + api::JoinErrors(configuration.errors));
        }
        continue;
      }
      broken.push_back(&configuration);
      result_.problems.push_back(
          {kSatellite, "",
           "the LinstorSatellites that LinstorSatelliteConfiguration " + configuration.name +
               " concerns stay as they are: " + api::JoinErrors(configuration.errors)});
    }
    const std::vector<api::ObjectPtr> nodes =
        MatchNodes(inputs_.nodes, inputs_.spec.node_selector, inputs_.spec.node_affinity,
                   inputs_.spec.tolerations, inputs_.satellites);
    std::map<std::string, const api::Object*> existing;
    for (const api::ObjectPtr& satellite : inputs_.satellites) {
      existing[satellite->name()] = satellite.get();
    }
    for (const api::ObjectPtr& node : nodes) {
      const auto satellite = existing.find(node->name());
      const api::Object* const own = satellite == existing.end() ? nullptr : satellite->second;
      if (std::any_of(broken.begin(), broken.end(), [&](const NamedConfiguration* configuration) {
            return Concerns(*configuration, *node, own);
          })) {
        continue;
      }
      std::vector<NamedConfiguration> held = usable;
      if (!HoldPatches(*node, own, &held)) {
        continue;
      }
      MergedConfiguration merged = MergeConfigurations(*node, std::move(held));
      for (const TlsMerge::Overridden& overridden : merged.overridden) {
        overridden_.insert(overridden.ToString());
      }
      Component component{.name = kSatellite, .node = node->name()};
      component.resources.push_back(SatelliteResource(*node, std::move(merged)));
      Add(std::move(component));
    }
  }

  /// Users address it as LinstorSatellite `satellite`, the name that it has in the Piraeus
  /// Operator's manifest.
  RenderedResource SatelliteResource(const api::Object& node, MergedConfiguration merged) const {
    api::LinstorSatelliteSpec& spec = merged.spec;
    spec.repository = inputs_.spec.repository;
    spec.cluster_ref.name = inputs_.name;
    spec.cluster_ref.external_controller_url = inputs_.spec.external_controller_url;
    if (inputs_.spec.api_tls) {
      spec.cluster_ref.client_secret_name = inputs_.spec.api_tls->client_secret_name;
      spec.cluster_ref.ca_reference = inputs_.spec.api_tls->ca_reference;
    }
    spec.patches.insert(spec.patches.begin(), TolerationsPatch());
    std::string applied;
    std::string origins;
    for (std::size_t i = 0; i < merged.applied.size(); ++i) {
      applied += (applied.empty() ? "" : ",") + merged.applied[i];
      origins += (origins.empty() ? "" : ",") + std::to_string(merged.patches[i]);
    }
    RenderedResource resource(
        Json{{"apiVersion", "piraeus.io/v1"},
             {"kind", "LinstorSatellite"},
             {"metadata",
              {{"name", "satellite"},
               // From its first moment on: a satellite that is deleted must be taken down in order.
               {"finalizers", Json::array({std::string(api::kSatelliteFinalizer)})},
               {"annotations", {{std::string(api::kAnnotationAppliedConfigurations), applied}}}}},
             {"spec", api::ToJson(spec)}});
    if (origins.find_first_not_of("0,") != std::string::npos) {
      resource.object["metadata"]["annotations"][std::string(kPatchOrigins)] = origins;
    }
    resource.object["metadata"]["name"] = node.name();
    return resource;
  }

  /// Tolerations travel as the first patch of the satellite, so that users' patches can change
  /// them.
  api::Patch TolerationsPatch() const {
    const Json everything_no_schedule =
        Json::array({{{"operator", "Exists"}, {"effect", "NoSchedule"}}});
    const Json tolerations = MergeTolerations(
        {HighAvailabilityTolerations(), everything_no_schedule, inputs_.spec.raw_tolerations});
    const ParsedPatch patch = PodTemplatePatch("DaemonSet", "linstor-satellite",
                                               {{"spec", {{"tolerations", tolerations}}}});
    return {
        .patch = patch.content.dump(),
        .target = api::PatchTarget{
            .group = "apps", .version = "v1", .kind = "DaemonSet", .name = "linstor-satellite"}};
  }

  /// Somebody misspelt a name, or the component is not there (yet).
  void ReportUnusedPatches() {
    for (std::size_t i = 0; i < patches_.parsed.size(); ++i) {
      if (patches_.matches[i] == 0) {
        result_.warnings.push_back("spec.patches[" + std::to_string(patches_.indices[i]) + "], a " +
                                   Describe(patches_.parsed[i]) +
                                   ", matches no object of the cluster");
      }
    }
    result_.warnings.insert(result_.warnings.end(), overridden_.begin(), overridden_.end());
    const std::vector<std::string>& images = inputs_.images.warnings();
    result_.warnings.insert(result_.warnings.end(), images.begin(), images.end());
  }

  /// Puts the patches that a satellite has by now in the place of those that cannot be read:
  /// without them it would change back. A satellite that is not there yet gets none. False when
  /// nobody knows which ones those are: then the satellite stays as it is.
  bool HoldPatches(const api::Object& node,
                   const api::Object* own,
                   std::vector<NamedConfiguration>* configurations) {
    const bool any = std::any_of(
        configurations->begin(), configurations->end(), [&](const NamedConfiguration& candidate) {
          return !candidate.errors.empty() && MatchesNode(candidate.spec, node);
        });
    if (!any) {
      return true;
    }
    std::map<std::string, std::vector<api::Patch>> had;
    if (own != nullptr) {
      auto known = PatchesByConfiguration(*own);
      if (!known) {
        result_.problems.push_back({kSatellite, node.name(),
                                    "the LinstorSatellite stays as it is until all patches of its "
                                    "configurations can be read"});
        return false;
      }
      had = std::move(*known);
    }
    for (NamedConfiguration& configuration : *configurations) {
      if (!configuration.errors.empty()) {
        configuration.spec.pod_template = nullptr;
        configuration.spec.patches = had[configuration.name];
      }
    }
    return true;
  }

  const ClusterInputs& inputs_;
  UserPatches patches_;
  BuildSettings settings_;
  ClusterRendering result_;
  std::set<std::string> overridden_;
};

}  // namespace

ClusterRendering RenderCluster(const ClusterInputs& inputs) {
  return ClusterRenderer(inputs).Run();
}

bool MayPrune(const std::string& kind,
              const api::Object& object,
              const api::LinstorClusterSpec& spec,
              const std::vector<RenderProblem>& problems) {
  if (kind == api::kCsiDriver.kind && (spec.csi_node.enabled || spec.csi_controller.enabled)) {
    return false;
  }
  const std::string component = ComponentOf(object, kind);
  return !component.empty() &&
         std::none_of(problems.begin(), problems.end(), [&](const RenderProblem& problem) {
           return problem.component == component ||
                  (problem.component == "satellite-common" && component == kSatellite);
         });
}

}  // namespace breakwater::core
