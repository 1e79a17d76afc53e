#include "operator/crypto/certificate_authority.h"

#include <openssl/rand.h>

#include "operator/crypto/openssl_ptr.h"

namespace breakwater::crypto {
namespace {

Unexpected<Error> Failed(const std::string& what) {
  return Unexpected{Error{ErrorClass::kInvalid, what + ": " + LastOpensslError()}};
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const X509ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// Adds subject alternative names without OpenSSL's configuration syntax, in which a comma in a
/// name would start a new entry.
bool AddAlternativeNames(X509* certificate, const CertificateSpec& spec) {
  if (spec.dns_names.empty() && spec.ip_addresses.empty()) {
    return true;
  }
  const std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>> names(
      GENERAL_NAMES_new());
  const auto add = [&](int type, ASN1_STRING* value) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, value);
    return sk_GENERAL_NAME_push(names.get(), name) > 0;
  };
  for (const std::string& dns : spec.dns_names) {
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, dns.data(), static_cast<int>(dns.size()));
    if (!add(GEN_DNS, text)) {
      return false;
    }
  }
  for (const std::string& ip : spec.ip_addresses) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(ip.c_str());
    if (address == nullptr || !add(GEN_IPADD, address)) {
      return false;
    }
  }
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) == 1;
}

bool SetSerial(X509* certificate) {
  // 128 random bits, top bit clear so that the number stays positive and within 20 bytes (RFC
  // 5280).
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) {
    return false;
  }
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);
  const std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>> number(
      BN_bin2bn(bytes, sizeof bytes, nullptr));
  return BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool SetDates(X509* certificate, const CertificateSpec& spec) {
  using std::chrono::system_clock;
  return ASN1_TIME_set(X509_getm_notBefore(certificate),
                       system_clock::to_time_t(spec.not_before)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), system_clock::to_time_t(spec.not_after)) !=
             nullptr;
}

bool SetSubject(X509* certificate, const std::string& common_name) {
  if (common_name.empty()) {
    return true;
  }
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool AddExtensions(X509* certificate, X509* issuer, const CertificateSpec& spec) {
  std::string uses = spec.server_auth ? "serverAuth" : "";
  if (spec.client_auth) {
    uses += uses.empty() ? "clientAuth" : ",clientAuth";
  }
  return AddExtension(certificate, issuer, NID_basic_constraints,
                      spec.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
         AddExtension(certificate, issuer, NID_key_usage,
                      spec.is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
         AddExtension(certificate, issuer, NID_subject_key_identifier, "hash") &&
         AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
         (spec.is_ca || uses.empty() ||
          AddExtension(certificate, issuer, NID_ext_key_usage, uses)) &&
         AddAlternativeNames(certificate, spec);
}

/// `issuer` null: self-signed.
Result<Certificate, Error> Sign(const CertificateSpec& spec,
                                const PrivateKey& subject_key,
                                X509* issuer,
                                const PrivateKey& issuer_key) {
  X509Ptr certificate(X509_new());
  X509* raw = certificate.get();
  if (!certificate || X509_set_version(raw, 2) != 1 || !SetSerial(raw) || !SetDates(raw, spec) ||
      X509_set_pubkey(raw, subject_key.native()) != 1) {
    return Failed("new certificate");
  }
  if (!SetSubject(raw, spec.common_name)) {
    return Failed("common name \"" + spec.common_name + "\"");
  }
  X509* signer = issuer == nullptr ? raw : issuer;
  if (X509_set_issuer_name(raw, X509_get_subject_name(signer)) != 1 ||
      !AddExtensions(raw, signer, spec)) {
    return Failed("extensions");
  }
  if (X509_sign(raw, issuer_key.native(), EVP_sha256()) <= 0) {
    return Failed("sign");
  }
  return WrapCertificate(certificate.release());
}

/// ECDSA P-256: quick to make.
Result<PrivateKey, Error> GenerateKey() {
  return WrapKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
}

}  // namespace

Result<Identity, Error> CreateAuthority(CertificateSpec spec) {
  spec.is_ca = true;
  BREAKWATER_ASSIGN_OR_RETURN(PrivateKey key, GenerateKey());
  BREAKWATER_ASSIGN_OR_RETURN(Certificate certificate, Sign(spec, key, nullptr, key));
  return Identity{std::move(certificate), std::move(key)};
}

Result<Identity, Error> IssueCertificate(const Identity& authority, const CertificateSpec& spec) {
  BREAKWATER_ASSIGN_OR_RETURN(PrivateKey key, GenerateKey());
  BREAKWATER_ASSIGN_OR_RETURN(Certificate certificate,
                              Sign(spec, key, authority.certificate.native(), authority.key));
  return Identity{std::move(certificate), std::move(key)};
}

}  // namespace breakwater::crypto
