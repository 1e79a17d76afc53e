#include "operator/webhook/admit.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "operator/api/error_limit.h"
#include "operator/api/linstor_cluster.h"
#include "operator/api/linstor_node_connection.h"
#include "operator/api/linstor_satellite.h"
#include "operator/api/linstor_satellite_configuration.h"
#include "operator/core/admission/validate.h"
#include "operator/core/render/patches.h"
#include "operator/core/replication/plan/properties.h"

namespace breakwater::webhook {
namespace {

using api::Json;

template <typename Spec, typename Validate>
api::FieldErrors Errors(const api::Decoded<Spec>& decoded, Validate validate) {
  return core::AllErrors(decoded.errors, validate(decoded.value));
}

api::FieldErrors CheckCluster(const Json& object) {
  return Errors(api::DecodeLinstorCluster(object), core::ValidateCluster);
}

api::FieldErrors CheckConfiguration(const Json& object) {
  return Errors(api::DecodeLinstorSatelliteConfiguration(object),
                core::ValidateSatelliteConfiguration);
}

api::FieldErrors CheckSatellite(const Json& object) {
  return Errors(api::DecodeLinstorSatellite(object), core::ValidateSatellite);
}

api::FieldErrors CheckNodeConnection(const Json& object) {
  return Errors(api::DecodeLinstorNodeConnection(object), core::ValidateNodeConnection);
}

void WarnAboutBarePods(const std::vector<api::Patch>& patches, std::vector<std::string>* warnings) {
  for (std::size_t i = 0; i < patches.size(); ++i) {
    const Result<core::ParsedPatch, Error> parsed = core::ParsePatch(patches[i]);
    if (parsed && core::IsBarePodPatch(*parsed)) {
      warnings->push_back("spec.patches[" + std::to_string(i) +
                          "]: satellites are no bare Pods: the patch is applied to the pod "
                          "template of DaemonSet linstor-satellite; write it for that");
    }
  }
}

std::optional<bool> WantsTls(const Json& cluster) {
  for (const api::Property& property : api::DecodeLinstorCluster(cluster).value.properties) {
    if (property.name == replication::kTlsProperty) {
      return replication::ParseTlsValue(property.value);
    }
  }
  return std::nullopt;
}

void WarnAboutDecryption(const AdmissionRequest& request, std::vector<std::string>* warnings) {
  if (WantsTls(request.old_object) != true || WantsTls(request.object) == true) {
    return;
  }
  // See core/replication/cluster_plan.cc, ValueRemoved.
  warnings->push_back(
      WantsTls(request.object) == false
          ? "spec.properties: with DrbdOptions/Net/tls: \"no\" the volumes that have no value of "
            "their own go back to replication in plaintext"
          : "spec.properties: removing DrbdOptions/Net/tls does not take the encryption off; set "
            "it to \"yes\" or \"no\"");
}

std::optional<api::TlsConfig> TlsOf(const Json& configuration) {
  return api::DecodeLinstorSatelliteConfiguration(configuration).value.internal_tls;
}

bool HasDaemon(const Json& configuration) {
  const auto tls = TlsOf(configuration);
  return tls && tls->tls_handshake_daemon;
}

bool RefusesDaemon(const Json& configuration) {
  const auto tls = TlsOf(configuration);
  return tls && tls->refuses_handshake_daemon;
}

/// Patches with ktls-utils in them that take something away, as far as that can be seen.
bool PatchesDaemonAway(const Json& configuration) {
  const Json* spec = api::FindMember(configuration, "spec");
  for (const char* field : {"patches", "podTemplate"}) {
    const Json* patches = spec == nullptr ? nullptr : api::FindMember(*spec, field);
    const std::string text = patches == nullptr
                                 ? std::string()
                                 : patches->dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.find("ktls-utils") != std::string::npos &&
        (text.find("$patch") != std::string::npos || text.find("remove") != std::string::npos)) {
      return true;
    }
  }
  return false;
}

bool SameNodes(const Json& before, const Json& after) {
  for (const char* field : {"nodeSelector", "nodeAffinity"}) {
    const Json* was = api::FindPath(before, {"spec", field});
    const Json* is = api::FindPath(after, {"spec", field});
    if ((was == nullptr) != (is == nullptr) || (was != nullptr && *was != *is)) {
      return false;
    }
  }
  return true;
}

/// Another configuration may still ask for it, and nobody here knows what is encrypted. Not longer
/// than 256 characters, or the way out is cut off.
void WarnAboutDaemon(const AdmissionRequest& request, std::vector<std::string>* warnings) {
  const Json& before = request.old_object;
  const Json& after = request.object;
  const bool had = HasDaemon(before);
  if ((RefusesDaemon(after) && !RefusesDaemon(before)) || (had && !HasDaemon(after)) ||
      (PatchesDaemonAway(after) && !PatchesDaemonAway(before)) ||
      (had && !SameNodes(before, after))) {
    warnings->push_back(
        "tlsHandshakeDaemon: where volumes are replicated with TLS, the handshake daemon stays "
        "until they are not; to take it away all the same set "
        "spec.replicationTLS.allowHandshakeDaemonRemoval of the LinstorCluster");
  }
}

void ConfigurationWarnings(const AdmissionRequest& request, std::vector<std::string>* warnings) {
  WarnAboutDaemon(request, warnings);
  WarnAboutBarePods(api::DecodeLinstorSatelliteConfiguration(request.object).value.patches,
                    warnings);
}

void SatelliteWarnings(const AdmissionRequest& request, std::vector<std::string>* warnings) {
  WarnAboutBarePods(api::DecodeLinstorSatellite(request.object).value.patches, warnings);
}

void NoWarnings(const AdmissionRequest& /*request*/, std::vector<std::string>* /*warnings*/) {}

struct Rules {
  std::string_view kind;
  api::FieldErrors (*check)(const Json& object);
  void (*warn)(const AdmissionRequest& request, std::vector<std::string>* warnings);
};

constexpr std::array<Rules, 4> kRules{{
    {"LinstorCluster", CheckCluster, WarnAboutDecryption},
    {"LinstorSatelliteConfiguration", CheckConfiguration, ConfigurationWarnings},
    {"LinstorSatellite", CheckSatellite, SatelliteWarnings},
    {"LinstorNodeConnection", CheckNodeConnection, NoWarnings},
}};

bool BeingDeleted(const Json& object) {
  return api::FindPath(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

}  // namespace

Verdict Admit(const AdmissionRequest& request) {
  Verdict verdict;
  const auto* rules = std::find_if(kRules.begin(), kRules.end(), [&](const Rules& candidate) {
    return candidate.kind == request.kind;
  });
  if (request.group != "piraeus.io" || rules == kRules.end()) {
    return verdict;
  }
  if (request.operation == "DELETE" && request.kind == "LinstorSatelliteConfiguration") {
    WarnAboutDaemon(request, &verdict.warnings);
  }
  if (!request.object.is_object() || BeingDeleted(request.object)) {
    return verdict;
  }
  const api::FieldErrors before =
      request.old_object.is_object() ? rules->check(request.old_object) : api::FieldErrors();
  std::set<std::string> known;
  for (const api::FieldError& error : before) {
    known.insert(error.ToString());
  }
  for (api::FieldError& error : rules->check(request.object)) {
    // Which of countless mistakes are new cannot be told from those that are listed.
    std::string text = error.ToString();
    if (known.contains(text) || api::IsCut(before)) {
      verdict.warnings.push_back(std::move(text) + " (as before this change)");
    } else {
      verdict.errors.push_back(std::move(error));
    }
  }
  rules->warn(request, &verdict.warnings);
  return verdict;
}

}  // namespace breakwater::webhook
