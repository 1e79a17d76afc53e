#include "tests/e2e/sim/drbd/tls_check.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <vector>

namespace breakwater::sim {
namespace {

constexpr char kCa[] = "/etc/tlshd.d/ca.crt";
constexpr char kCert[] = "/etc/tlshd.d/tls.crt";
constexpr char kKey[] = "/etc/tlshd.d/tls.key";

struct Free {
  void operator()(BIO* p) const { BIO_free(p); }

  void operator()(X509* p) const { X509_free(p); }

  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }

  void operator()(X509_STORE* p) const { X509_STORE_free(p); }

  void operator()(X509_STORE_CTX* p) const { X509_STORE_CTX_free(p); }

  void operator()(STACK_OF(X509) * p) const { sk_X509_free(p); }

  void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
};

template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string FileText(const TlsFiles& files, const char* path) {
  const auto it = files.find(path);
  return it == files.end() ? std::string() : it->second;
}

std::vector<Owned<X509>> ReadCertificates(const std::string& pem) {
  std::vector<Owned<X509>> result;
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    result.emplace_back(certificate);
  }
  return result;
}

Owned<EVP_PKEY> ReadKey(const std::string& pem) {
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return Owned<EVP_PKEY>(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

// Extended key usage is not looked at (F7.3), so no purpose is set.
TlsFault VerifyChain(const std::vector<Owned<X509>>& roots,
                     const std::vector<Owned<X509>>& chain,
                     std::int64_t clock_ahead_s) {
  const Owned<X509_STORE> store(X509_STORE_new());
  for (const auto& root : roots) {
    X509_STORE_add_cert(store.get(), root.get());
  }
  const Owned<STACK_OF(X509)> others(sk_X509_new_null());
  for (std::size_t i = 1; i < chain.size(); ++i) {
    sk_X509_push(others.get(), chain[i].get());
  }
  const Owned<X509_STORE_CTX> context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), others.get());
  // GnuTLS takes any certificate of the truststore as an anchor, not only self-signed ones.
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_STORE_CTX_set_time(context.get(), 0, std::time(nullptr) + clock_ahead_s);
  if (X509_verify_cert(context.get()) == 1) {
    return TlsFault::kNone;
  }
  const int error = X509_STORE_CTX_get_error(context.get());
  return error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID
             ? TlsFault::kExpired
             : TlsFault::kUntrusted;
}

bool HasAnySan(X509* certificate) {
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  return names != nullptr;
}

bool NameFits(X509* certificate, const std::string& name) {
  const unsigned flags = HasAnySan(certificate) ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
                                                : X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT;
  return X509_check_host(certificate, name.data(), name.size(), flags, nullptr) == 1;
}

}  // namespace

TlsFault CheckOwnFiles(const TlsFiles& own) {
  const auto chain = ReadCertificates(FileText(own, kCert));
  const auto key = ReadKey(FileText(own, kKey));
  if (chain.empty() || key == nullptr ||
      X509_check_private_key(chain.front().get(), key.get()) != 1) {
    return TlsFault::kOwnKey;
  }
  return ReadCertificates(FileText(own, kCa)).empty() ? TlsFault::kOwnTruststore : TlsFault::kNone;
}

TlsFault CheckServer(const TlsFiles& own,
                     const TlsFiles& server,
                     const std::string& expected_name,
                     std::int64_t clock_ahead_s) {
  const auto roots = ReadCertificates(FileText(own, kCa));
  const auto chain = ReadCertificates(FileText(server, kCert));
  if (chain.empty()) {
    return TlsFault::kUntrusted;
  }
  const TlsFault fault = VerifyChain(roots, chain, clock_ahead_s);
  if (fault != TlsFault::kNone) {
    return fault;
  }
  return NameFits(chain.front().get(), expected_name) ? TlsFault::kNone : TlsFault::kWrongName;
}

TlsFault CheckClient(const TlsFiles& own, const TlsFiles& client, std::int64_t clock_ahead_s) {
  const auto chain = ReadCertificates(FileText(client, kCert));
  return chain.empty() ? TlsFault::kNone
                       : VerifyChain(ReadCertificates(FileText(own, kCa)), chain, clock_ahead_s);
}

}  // namespace breakwater::sim
