#include "operator/controllers/certificates/pem_files.h"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "operator/base/base64.h"

namespace breakwater::controllers {
namespace {

constexpr std::string_view kGenerationMark = "# breakwater generation ";

}  // namespace

std::optional<std::string> SecretText(const api::Object& secret, const std::string& key) {
  const api::Json* value = api::FindPath(secret.raw(), {"data", key});
  return value == nullptr || !value->is_string()
             ? std::nullopt
             : DecodeBase64(value->get_ref<const std::string&>());
}

std::optional<PemFiles> ReadPemFiles(const api::Object& secret,
                                     const std::optional<std::string>& roots_text) {
  const std::optional<std::string> chain_text = SecretText(secret, "tls.crt");
  const std::optional<std::string> bundle = roots_text ? roots_text : SecretText(secret, "ca.crt");
  if (!chain_text || !bundle) {
    return std::nullopt;
  }
  auto chain = crypto::Certificate::ParsePem(*chain_text);
  auto roots = crypto::Certificate::ParsePem(*bundle);
  if (!chain || !roots) {
    return std::nullopt;
  }
  return PemFiles{
      .chain = *std::move(chain), .roots = *std::move(roots), .generation = GenerationOf(*bundle)};
}

std::string BundleText(const replication::Authorities& bundle, std::int64_t generation) {
  std::string text = std::string(kGenerationMark) + std::to_string(generation) + "\n";
  for (const std::string& pem : bundle) {
    text += pem;
  }
  return text;
}

std::int64_t GenerationOf(const std::string& bundle_text) {
  if (!bundle_text.starts_with(kGenerationMark)) {
    return 0;
  }
  std::int64_t generation = 0;
  const char* begin = bundle_text.data() + kGenerationMark.size();
  std::from_chars(begin, bundle_text.data() + bundle_text.size(), generation);
  return generation;
}

void TrustUniverse::Add(const std::vector<crypto::Certificate>& authorities) {
  for (const crypto::Certificate& authority : authorities) {
    authorities_.emplace(authority.ToPem(), authority);
  }
  known_.clear();
}

replication::Authorities TrustUniverse::AnchorsOf(
    const std::vector<crypto::Certificate>& chain) const {
  using Kind = crypto::VerifyError::Kind;
  std::string name;
  for (const crypto::Certificate& certificate : chain) {
    name += certificate.ToPem();
  }
  if (const auto known = known_.find(name); known != known_.end()) {
    return known->second;
  }
  replication::Authorities anchors;
  for (const auto& [pem, authority] : authorities_) {
    const std::array<crypto::Certificate, 1> root{authority};
    const auto verified = crypto::VerifyChain(chain, root, chain.front().not_before());
    if (verified || verified.error().kind == Kind::kExpired ||
        verified.error().kind == Kind::kNotYetValid) {
      anchors.insert(pem);
    }
  }
  known_.emplace(std::move(name), anchors);
  return anchors;
}

replication::TrustLeaf TrustUniverse::Leaf(const std::vector<crypto::Certificate>& chain,
                                           SystemTime now) const {
  const crypto::Certificate& leaf = chain.front();
  return {.id = leaf.ToPem(),
          .anchors = AnchorsOf(chain),
          .valid = now >= leaf.not_before() && now < leaf.not_after()};
}

replication::TrustFiles TrustUniverse::View(const PemFiles& files, SystemTime now) const {
  return {.leaf = Leaf(files.chain, now),
          .bundle = Fingerprints(files.roots),
          .generation = files.generation};
}

replication::Authorities Fingerprints(const std::vector<crypto::Certificate>& authorities) {
  replication::Authorities result;
  for (const crypto::Certificate& authority : authorities) {
    result.insert(authority.ToPem());
  }
  return result;
}

}  // namespace breakwater::controllers
