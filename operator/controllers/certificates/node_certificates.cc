#include "operator/controllers/certificates/node_certificates.h"

#include <algorithm>
#include <utility>

#include "operator/base/base64.h"
#include "operator/controllers/common/replication_secret.h"
#include "operator/core/render/render.h"
#include "operator/core/status/ownership.h"

namespace breakwater::controllers {
namespace {

using api::CertificateMode;
using replication::TrustLeaf;

/// A certificate with its authorities, from a Secret that somebody else keeps.
struct Foreign {
  PemFiles files{};
  std::string chain{};
  Secret<> key{};
  std::string problem{};  ///< not "": it is of no use
};

std::string ForeignSecretName(const api::CertificateSettings& settings, const std::string& node) {
  if (settings.mode == CertificateMode::kCertManager) {
    return core::IssuedReplicationSecretName(node);
  }
  constexpr std::string_view kMark = "{node}";
  std::string name = settings.secret_name;
  for (std::size_t at = name.find(kMark); at != std::string::npos;
       at = name.find(kMark, at + node.size())) {
    name.replace(at, kMark.size(), node);
  }
  return name;
}

Foreign ReadForeign(const api::ObjectPtr& secret,
                    const std::string& name,
                    const std::string& node,
                    const std::optional<std::string>& roots) {
  Foreign result;
  if (secret == nullptr) {
    result.problem = "the Secret " + name + " is missing";
    return result;
  }
  auto files = ReadPemFiles(*secret, roots);
  std::optional<std::string> key = SecretText(*secret, "tls.key");
  if (!files || !key) {
    result.problem =
        "the Secret " + name + " lacks ca.crt, tls.crt or tls.key, or they are not PEM";
    return result;
  }
  result.files = *std::move(files);
  result.chain = *SecretText(*secret, "tls.crt");
  result.key = Secret<>(*std::move(key));
  const auto parsed = crypto::PrivateKey::Parse(result.key);
  if (!parsed || !result.files.leaf().Matches(*parsed)) {
    result.problem = "tls.key of the Secret " + name + " does not belong to its tls.crt";
  } else if (!crypto::MatchesNameAsTlshd(result.files.leaf(), node)) {
    result.problem = "the certificate in the Secret " + name + " has no DNS name " + node;
  }
  return result;
}

/// Gathers what one node has; the universe must know every authority by then.
class Gatherer {
 public:
  Gatherer(const CertificateInputs& inputs, SystemTime now) : inputs_(inputs), now_(now) {}

  std::vector<NodeCertificates> Run() {
    for (const api::ObjectPtr& satellite : inputs_.satellites.satellites.List()) {
      api::LinstorSatelliteSpec spec = api::DecodeLinstorSatellite(satellite->raw()).value;
      if (satellite->deleting() || spec.cluster_ref.name != inputs_.cluster) {
        continue;
      }
      if (!spec.internal_tls || !spec.internal_tls->tls_handshake_daemon) {
        KeepDaemon(*satellite, &spec);
      }
      if (spec.internal_tls && spec.internal_tls->tls_handshake_daemon) {
        Read(satellite, spec);
      }
    }
    for (Raw& raw : raw_) {
      Finish(&raw);
    }
    std::vector<NodeCertificates> nodes;
    for (Raw& raw : raw_) {
      nodes.push_back(std::move(raw.node));
    }
    return nodes;
  }

 private:
  struct Raw {
    NodeCertificates node{};
    std::optional<PemFiles> secret{};
    std::optional<PemFiles> container{};
    Foreign internal{};
    std::optional<Foreign> foreign{};  // in the modes CertManager and Secret
  };

  /// The daemon of a satellite may be kept against its spec, as long as volumes are encrypted there
  /// (controllers/satellite): it is trusted, and trusts, as before.
  void KeepDaemon(const api::Object& satellite, api::LinstorSatelliteSpec* spec) const {
    const api::ObjectPtr live = inputs_.satellites.daemon_sets.Get(
        {inputs_.satellites.ns, core::SatelliteDaemonSetName(satellite.name(), *spec)});
    if (!SpecHasContainer(live, kHandshakeContainer)) {
      return;
    }
    if (!spec->internal_tls) {
      spec->internal_tls = MountedTls(live).value_or(api::TlsConfig());
    }
    spec->internal_tls->tls_handshake_daemon = true;
  }

  bool Is(CertificateMode mode) const { return inputs_.settings.mode == mode; }

  api::ObjectPtr SecretNamed(const std::string& name) const {
    return inputs_.secrets.Get({inputs_.satellites.ns, name});
  }

  /// Null also for a Secret of that name which a person made: it is not ours to change.
  api::ObjectPtr IssuedFor(const std::string& node) const {
    const std::string name = core::IssuedReplicationSecretName(node);
    const bool given =
        Is(CertificateMode::kGivenSecret) && ForeignSecretName(inputs_.settings, node) == name;
    api::ObjectPtr secret = SecretNamed(name);
    return given || secret == nullptr || secret->annotation(kIssuedFor).empty() ? nullptr : secret;
  }

  /// What internalTLS.caReference says, instead of ca.crt of the satellite's Secret.
  std::optional<std::string> ReferencedRoots(const api::TlsConfig& tls) const {
    if (!tls.ca_reference) {
      return std::nullopt;
    }
    const api::CaReference& reference = *tls.ca_reference;
    if (reference.kind == "Secret") {
      const api::ObjectPtr secret = SecretNamed(reference.name);
      return secret == nullptr ? std::nullopt : SecretText(*secret, reference.key);
    }
    const api::ObjectPtr map = inputs_.config_maps.Get({inputs_.satellites.ns, reference.name});
    const api::Json* text =
        map == nullptr ? nullptr : api::FindPath(map->raw(), {"data", reference.key});
    return text == nullptr || !text->is_string() ? std::nullopt
                                                 : std::optional(text->get<std::string>());
  }

  void ReadPods(const api::LinstorSatelliteSpec& spec, Raw* raw) const {
    const std::string& name = raw->node.trust.name;
    const api::ObjectPtr daemon_set = inputs_.satellites.daemon_sets.Get(
        {inputs_.satellites.ns, core::SatelliteDaemonSetName(name, spec)});
    const api::ObjectPtr pod = FindSatellitePod(inputs_.satellites, name).pod;
    raw->node.trust.fresh = !SpecHasContainer(daemon_set, kHandshakeContainer) &&
                            !SpecHasContainer(pod, kHandshakeContainer);
    raw->node.trust.mounts = MountsReplicationSecret(pod == nullptr ? daemon_set : pod);
    raw->node.mounted = MountsReplicationSecret(pod) || MountsReplicationSecret(daemon_set);
    const auto read = inputs_.containers.find(name);
    // What was read in a pod that mounted something else says nothing about this one.
    if (read != inputs_.containers.end() && pod != nullptr &&
        raw->node.trust.mounts == (read->second.generation != 0)) {
      raw->container = read->second;
    }
  }

  void Read(const api::ObjectPtr& satellite, const api::LinstorSatelliteSpec& spec) {
    Raw& raw = raw_.emplace_back();
    const std::string& name = satellite->name();
    raw.node.satellite = satellite;
    raw.node.trust.name = name;
    raw.node.issued = IssuedFor(name);
    ReadPods(spec, &raw);
    raw.node.trust.shares = Is(CertificateMode::kInternalTls) && !raw.node.mounted;
    const std::string own = core::SatelliteTlsSecretName(name, spec);
    raw.internal = ReadForeign(SecretNamed(own), own, name, ReferencedRoots(*spec.internal_tls));
    universe_.Add(raw.internal.files.roots);
    if (Is(CertificateMode::kCertManager) || Is(CertificateMode::kGivenSecret)) {
      const std::string from = ForeignSecretName(inputs_.settings, name);
      raw.foreign = ReadForeign(SecretNamed(from), from, name, {});
      universe_.Add(raw.foreign->files.roots);
    }
    const auto secret = inputs_.replication.find(core::ReplicationTlsSecretName(name));
    if (secret != inputs_.replication.end()) {
      raw.node.secret = secret->second;
      raw.secret = HoldsCertificate(secret->second) ? ReadPemFiles(*secret->second) : std::nullopt;
    }
    if (raw.secret) {
      universe_.Add(raw.secret->roots);
    }
    if (inputs_.authority) {
      universe_.Add({inputs_.authority->current.certificate});
      if (inputs_.authority->previous) {
        universe_.Add({inputs_.authority->previous->certificate});
      }
    }
  }

  void AddForeign(const Foreign& foreign, CertificateMode source, NodeCertificates* node) const {
    node->options.push_back({.leaf = universe_.Leaf(foreign.files.chain, now_),
                             .source = source,
                             .chain = foreign.chain,
                             .key = foreign.key});
  }

  /// The certificate that the node has stays while `authority` issued it and it is not old.
  bool Keeps(const Raw& raw, const crypto::Identity& authority) const {
    if (!raw.secret ||
        !raw.node.trust.secret->leaf.anchors.contains(authority.certificate.ToPem())) {
      return false;
    }
    const crypto::Certificate& leaf = raw.secret->leaf();
    const auto life = leaf.not_after() - leaf.not_before() - kBackdated;
    const auto key =
        crypto::PrivateKey::Parse(Secret<>(SecretText(*raw.node.secret, "tls.key").value_or("")));
    return now_ < RenewalTime(leaf) &&
           life <= inputs_.settings.duration + std::chrono::seconds(1) &&
           crypto::MatchesNameAsTlshd(leaf, raw.node.trust.name) && key && leaf.Matches(*key);
  }

  void AddManaged(const crypto::Identity& authority, Raw* raw) const {
    LeafOption option{.source = CertificateMode::kManaged};
    if (Keeps(*raw, authority)) {
      option.leaf = raw->node.trust.secret->leaf;
      option.chain = *SecretText(*raw->node.secret, "tls.crt");
      option.key = Secret<>(*SecretText(*raw->node.secret, "tls.key"));
    } else {
      option.leaf = {.id = "to be issued", .anchors = {authority.certificate.ToPem()}};
      option.issuer = authority;
    }
    raw->node.options.push_back(std::move(option));
  }

  void AddWanted(Raw* raw) const {
    NodeCertificates& node = raw->node;
    if (Is(CertificateMode::kManaged)) {
      if (!inputs_.authority) {
        node.problem = "there is no authority yet";
        return;
      }
      AddManaged(inputs_.authority->current, raw);
      node.trust.wanted = {inputs_.authority->current.certificate.ToPem()};
      if (inputs_.authority->previous) {
        AddManaged(*inputs_.authority->previous, raw);
        node.trust.others.insert(inputs_.authority->previous->certificate.ToPem());
      }
      return;
    }
    const Foreign& foreign = raw->foreign ? *raw->foreign : raw->internal;
    if (!foreign.problem.empty()) {
      node.problem = foreign.problem;
      return;
    }
    AddForeign(foreign, inputs_.settings.mode, &node);
    if (node.options.back().leaf.anchors.empty()) {
      node.problem = "its certificate is not issued by an authority in its ca.crt";
      node.options.clear();
      return;
    }
    node.trust.wanted = Fingerprints(foreign.files.roots);
  }

  void Finish(Raw* raw) const {
    NodeCertificates& node = raw->node;
    if (raw->secret) {
      node.trust.secret = universe_.View(*raw->secret, now_);
      if (node.secret->annotation(kCertificateSource) == api::ToString(CertificateMode::kManaged)) {
        node.renewal = RenewalTime(raw->secret->leaf());
      }
    }
    if (raw->container) {
      node.trust.container = universe_.View(*raw->container, now_);
    }
    node.satellite_is_client =
        !raw->internal.files.chain.empty() && raw->internal.files.leaf().allows_client_auth();
    AddWanted(raw);
    const bool presents_internal =
        node.secret == nullptr || !raw->secret ||
        node.secret->annotation(kCertificateSource) == api::ToString(CertificateMode::kInternalTls);
    if (!Is(CertificateMode::kInternalTls) && !node.options.empty() && presents_internal &&
        raw->internal.problem.empty()) {
      AddForeign(raw->internal, CertificateMode::kInternalTls, &node);
      const replication::Authorities roots = Fingerprints(raw->internal.files.roots);
      node.trust.others.insert(roots.begin(), roots.end());
    }
    for (const LeafOption& option : node.options) {
      node.trust.options.push_back(option.leaf);
    }
  }

  const CertificateInputs& inputs_;
  const SystemTime now_;
  TrustUniverse universe_;
  std::vector<Raw> raw_;
};

}  // namespace

std::vector<NodeCertificates> GatherCertificates(const CertificateInputs& inputs, SystemTime now) {
  return Gatherer(inputs, now).Run();
}

Result<api::Json, Error> SecretContent(const NodeCertificates& node,
                                       const replication::TrustStep& step,
                                       std::chrono::nanoseconds life,
                                       SystemTime now) {
  // Counts on also over a Secret that was deleted: a container may still have that one's files.
  const std::int64_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  const std::int64_t before = node.trust.secret ? node.trust.secret->generation : 0;
  api::Json content{
      {"metadata",
       {{"labels", {{kReplicationSecretLabel, "true"}}}, {"annotations", {{kReleased, nullptr}}}}},
      {"data", {{"ca.crt", EncodeBase64(BundleText(step.bundle, std::max(before + 1, seconds)))}}}};
  if (!step.option) {
    return content;
  }
  const LeafOption& option = node.options[*step.option];
  std::string chain = option.chain;
  Secret<> key = option.key;
  if (option.issuer) {
    BREAKWATER_ASSIGN_OR_RETURN(const crypto::Identity issued,
                                IssueForNode(*option.issuer, step.node, life, now));
    chain = issued.certificate.ToPem();
    key = issued.key.ToPem();
  }
  content["data"]["tls.crt"] = EncodeBase64(chain);
  content["data"]["tls.key"] = EncodeBase64(key.Expose());
  content["metadata"]["annotations"][std::string(kCertificateSource)] =
      api::ToString(option.source);
  BREAKWATER_RETURN_IF_ERROR(core::SetControllerOwner(&content, *node.satellite));
  return content;
}

}  // namespace breakwater::controllers
