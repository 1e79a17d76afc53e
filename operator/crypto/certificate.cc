#include "operator/crypto/certificate.h"

#include <algorithm>
#include <array>
#include <utility>

#include <arpa/inet.h>
#include <openssl/pem.h>

#include "operator/crypto/openssl_ptr.h"

namespace breakwater::crypto {
namespace {

using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>>;

std::string TextOf(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}

GeneralNamesPtr AlternativeNames(const X509* certificate) {
  return GeneralNamesPtr(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
}

std::string NameText(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  return BioText(bio.get());
}

SystemTime TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return SystemTime{};
  }
  using namespace std::chrono;  // NOLINT(google-build-using-namespace): calendar types
  const sys_days day =
      year_month_day(year(parts.tm_year + 1900), month(static_cast<unsigned>(parts.tm_mon + 1)),
                     std::chrono::day(static_cast<unsigned>(parts.tm_mday)));
  // A far end ("99991231235959Z": never) lies outside what the clock can count.
  if (parts.tm_year + 1900 > 2261) {
    return SystemTime::max();
  }
  return day + hours(parts.tm_hour) + minutes(parts.tm_min) + seconds(parts.tm_sec);
}

/// A key protected by a passphrase must fail, not ask on the terminal.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*rwflag*/, void* /*data*/) {
  return -1;
}

bool AllowsUse(X509* certificate, std::uint32_t use) {
  return (X509_get_extended_key_usage(certificate) & use) != 0;  // all bits set when absent
}

VerifyError::Kind KindOf(int code) {
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return VerifyError::Kind::kExpired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return VerifyError::Kind::kNotYetValid;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return VerifyError::Kind::kUntrusted;
    default:
      return VerifyError::Kind::kOther;
  }
}

}  // namespace

Certificate WrapCertificate(x509_st* owned) {
  Certificate result;
  result.certificate_.reset(owned, X509_free);
  return result;
}

Result<PrivateKey, Error> WrapKey(evp_pkey_st* owned) {
  if (owned == nullptr) {
    return Unexpected{Error{ErrorClass::kInvalid, "private key: " + LastOpensslError()}};
  }
  PrivateKey result;
  result.key_.reset(owned, EVP_PKEY_free);
  return result;
}

Result<PrivateKey, Error> PrivateKey::Parse(const Secret<>& pem) {
  const BioPtr bio = MemoryBio(pem.Expose());
  return WrapKey(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
}

Secret<> PrivateKey::ToPem() const {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return Secret<>(BioText(bio.get()));
}

Result<std::vector<Certificate>, Error> Certificate::ParsePem(std::string_view pem) {
  std::vector<Certificate> result;
  const BioPtr bio = MemoryBio(pem);
  ERR_clear_error();
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) {
    result.push_back(WrapCertificate(next));
  }
  // The end of the text is reported as an error of its own kind; anything else is a broken block.
  const unsigned long code = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  const std::string text = LastOpensslError();
  if (!at_end) {
    return Unexpected{
        Error{ErrorClass::kInvalid,
              "certificate " + std::to_string(result.size() + 1) + " of the PEM text: " + text}};
  }
  if (result.empty()) {
    return Unexpected{Error{ErrorClass::kInvalid, "no certificate in the PEM text"}};
  }
  return result;
}

std::string Certificate::ToPem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), native());
  return BioText(bio.get());
}

std::string Certificate::common_name() const {
  const X509_NAME* name = X509_get_subject_name(native());
  std::string result;
  int at = -1;
  while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0) {
    unsigned char* utf8 = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size >= 0) {
      result.assign(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
      OPENSSL_free(utf8);
    }
  }
  return result;
}

std::string Certificate::subject() const {
  return NameText(X509_get_subject_name(native()));
}

std::string Certificate::issuer() const {
  return NameText(X509_get_issuer_name(native()));
}

std::vector<std::string> Certificate::dns_names() const {
  std::vector<std::string> result;
  const GeneralNamesPtr names = AlternativeNames(native());
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      result.push_back(TextOf(name->d.dNSName));
    }
  }
  return result;
}

std::vector<std::string> Certificate::ip_addresses() const {
  std::vector<std::string> result;
  const GeneralNamesPtr names = AlternativeNames(native());
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_IPADD) {
      continue;
    }
    const std::string bytes = TextOf(name->d.iPAddress);
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
    if ((bytes.size() == 4 || bytes.size() == 16) &&
        inet_ntop(family, bytes.data(), text.data(), text.size()) != nullptr) {
      result.emplace_back(text.data());
    }
  }
  return result;
}

bool Certificate::allows_server_auth() const {
  return AllowsUse(native(), XKU_SSL_SERVER);
}

bool Certificate::allows_client_auth() const {
  return AllowsUse(native(), XKU_SSL_CLIENT);
}

bool Certificate::is_ca() const {
  return X509_check_ca(native()) > 0;
}

SystemTime Certificate::not_before() const {
  return TimeOf(X509_get0_notBefore(native()));
}

SystemTime Certificate::not_after() const {
  return TimeOf(X509_get0_notAfter(native()));
}

std::string Certificate::serial() const {
  const std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(native()), nullptr));
  char* text = BN_bn2hex(number.get());
  std::string result = text == nullptr ? "" : text;
  OPENSSL_free(text);
  return result;
}

bool Certificate::Matches(const PrivateKey& key) const {
  const bool matches = X509_check_private_key(native(), key.native()) == 1;
  ERR_clear_error();  // a mismatch is an answer, not an error for a later caller to find
  return matches;
}

bool Certificate::operator==(const Certificate& other) const {
  return X509_cmp(native(), other.native()) == 0;
}

Result<void, VerifyError> VerifyChain(std::span<const Certificate> chain,
                                      std::span<const Certificate> roots,
                                      SystemTime at) {
  if (chain.empty()) {
    return Unexpected{VerifyError{VerifyError::Kind::kNoCertificate, "no certificate given"}};
  }
  const X509StorePtr store(X509_STORE_new());
  for (const Certificate& root : roots) {
    X509_STORE_add_cert(store.get(), root.native());
  }
  const X509StackPtr rest(sk_X509_new_null());
  for (const Certificate& link : chain.subspan(1)) {
    sk_X509_push(rest.get(), link.native());
  }
  const X509StoreCtxPtr context(X509_STORE_CTX_new());
  if (!context ||
      X509_STORE_CTX_init(context.get(), store.get(), chain.front().native(), rest.get()) != 1) {
    return Unexpected{VerifyError{VerifyError::Kind::kOther, LastOpensslError()}};
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_time(param, std::chrono::system_clock::to_time_t(at));
  if (X509_verify_cert(context.get()) == 1) {
    return {};
  }
  const int code = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  X509* culprit = X509_STORE_CTX_get_current_cert(context.get());
  const std::string who =
      culprit == nullptr ? "" : " (" + NameText(X509_get_subject_name(culprit)) + ")";
  return Unexpected{VerifyError{KindOf(code), X509_verify_cert_error_string(code) + who}};
}

bool MatchesNameAsTlshd(const Certificate& certificate, std::string_view name) {
  const bool has_alternative_names = AlternativeNames(certificate.native()) != nullptr;
  if (!has_alternative_names) {
    return !name.empty() && certificate.common_name() == name;
  }
  const std::vector<std::string> names = certificate.dns_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace breakwater::crypto
