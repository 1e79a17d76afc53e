#include "operator/net/tls_material.h"

#include <utility>

#include <arpa/inet.h>

#include "operator/crypto/openssl_ptr.h"

namespace breakwater::net {
namespace {

/// What the verify callback needs; owned by the SSL_CTX, so that it lives as long as the last
/// connection even when the transport is gone.
struct PeerCheck {
  std::string name;
  std::shared_ptr<TlsFailure> failure;
};

void FreePeerCheck(void* /*parent*/,
                   void* data,
                   CRYPTO_EX_DATA* /*ad*/,
                   int /*index*/,
                   long /*argl*/,
                   void* /*argp*/) {
  delete static_cast<PeerCheck*>(data);
}

int PeerCheckIndex() {
  static const int kIndex = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, FreePeerCheck);
  return kIndex;
}

bool IsAddress(const std::string& name) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

/// Replaces both OpenSSL's and the HTTP library's checks: one place decides, on our name and our
/// roots. (cpprestsdk checks the Host header, cannot check IPv6 literals, and hides the reason of a
/// failure.)
int VerifyPeer(X509_STORE_CTX* chain, void* /*arg*/) {
  const auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* check =
      static_cast<PeerCheck*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), PeerCheckIndex()));
  X509_STORE_CTX_set_verify_cb(chain, [](int preverified, X509_STORE_CTX*) { return preverified; });
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(chain);
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  const bool named =
      IsAddress(check->name)
          ? X509_VERIFY_PARAM_set1_ip_asc(param, check->name.c_str()) == 1
          : !check->name.empty() && X509_VERIFY_PARAM_set1_host(param, check->name.c_str(), 0) == 1;
  if (!named) {
    X509_STORE_CTX_set_error(chain, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
  }
  const int accepted = X509_verify_cert(chain);
  if (accepted != 1 && check->failure != nullptr) {
    check->failure->Set("certificate of " + check->name + ": " +
                        X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain)));
  }
  return accepted;
}

int AcceptAnyPeer(X509_STORE_CTX* chain, void* /*arg*/) {
  X509_STORE_CTX_set_error(chain, X509_V_OK);
  return 1;
}

}  // namespace

void TlsFailure::Set(std::string reason) {
  const std::lock_guard lock(mutex_);
  reason_ = std::move(reason);
}

std::string TlsFailure::Take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(reason_, {});
}

Result<std::shared_ptr<const TlsMaterial>, Error> TlsMaterial::Create(const TlsPem& pem) {
  std::shared_ptr<TlsMaterial> material(new TlsMaterial);
  material->pem_ = pem;
  material->roots_.reset(X509_STORE_new(), X509_STORE_free);
  if (!pem.ca.empty()) {
    BREAKWATER_ASSIGN_OR_RETURN(const auto roots, crypto::Certificate::ParsePem(pem.ca));
    for (const crypto::Certificate& root : roots) {
      X509_STORE_add_cert(material->roots_.get(), root.native());
    }
  }
  if (pem.certificate_chain.empty() != pem.private_key.empty()) {
    return Unexpected{Error{ErrorClass::kInvalid, "a certificate and its key go together"}};
  }
  if (!pem.certificate_chain.empty()) {
    BREAKWATER_ASSIGN_OR_RETURN(material->chain_,
                                crypto::Certificate::ParsePem(pem.certificate_chain));
    BREAKWATER_ASSIGN_OR_RETURN(material->key_, crypto::PrivateKey::Parse(pem.private_key));
    if (!material->chain_.front().Matches(*material->key_)) {
      return Unexpected{Error{ErrorClass::kInvalid, "the private key does not fit certificate " +
                                                        material->chain_.front().subject()}};
    }
  }
  return std::shared_ptr<const TlsMaterial>(std::move(material));
}

Result<void, Error> TlsMaterial::UseIdentity(ssl_ctx_st* context) const {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set1_cert_store(context, roots_.get());
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);  // most connections are idle watches
  if (chain_.empty()) {
    return {};
  }
  const crypto::X509StackPtr rest(sk_X509_new_null());
  for (std::size_t i = 1; i < chain_.size(); ++i) {
    sk_X509_push(rest.get(), chain_[i].native());
  }
  if (SSL_CTX_use_cert_and_key(context, chain_.front().native(), key_->native(), rest.get(), 1) !=
      1) {
    return Unexpected{Error{ErrorClass::kInvalid, "TLS identity: " + crypto::LastOpensslError()}};
  }
  return {};
}

Result<void, Error> TlsMaterial::ConfigureClient(ssl_ctx_st* context,
                                                 const std::string& server_name,
                                                 std::shared_ptr<TlsFailure> failure) const {
  BREAKWATER_RETURN_IF_ERROR(UseIdentity(context));
  if (pem_.insecure_skip_verify) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_cert_verify_callback(context, AcceptAnyPeer, nullptr);
    return {};
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  auto check = std::make_unique<PeerCheck>(PeerCheck{server_name, std::move(failure)});
  if (SSL_CTX_set_ex_data(context, PeerCheckIndex(), check.get()) != 1) {
    return Unexpected{Error{ErrorClass::kTransient, "TLS context: " + crypto::LastOpensslError()}};
  }
  check.release();  // NOLINT(bugprone-unused-return-value): the context owns it now
  SSL_CTX_set_cert_verify_callback(context, VerifyPeer, nullptr);
  return {};
}

Result<void, Error> TlsMaterial::ConfigureServer(ssl_ctx_st* context) const {
  if (chain_.empty()) {
    return Unexpected{Error{ErrorClass::kInvalid, "a TLS server needs a certificate"}};
  }
  BREAKWATER_RETURN_IF_ERROR(UseIdentity(context));
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_verify(context, pem_.ca.empty() ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  return {};
}

TlsMaterialHolder::TlsMaterialHolder(std::shared_ptr<const TlsMaterial> material)
    : material_(std::move(material)) {}

std::shared_ptr<const TlsMaterial> TlsMaterialHolder::Get() const {
  const std::lock_guard lock(mutex_);
  return material_;
}

void TlsMaterialHolder::Set(std::shared_ptr<const TlsMaterial> material) {
  const std::lock_guard lock(mutex_);
  material_ = std::move(material);
}

}  // namespace breakwater::net
