#include "operator/kube/credentials.h"

#include <utility>

#include "operator/base/file.h"

namespace breakwater::kube {
namespace {

Result<std::string, Error> Text(const std::string& data, const std::string& file) {
  return file.empty() ? Result<std::string, Error>(data) : ReadFile(file);
}

std::string Trimmed(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  return end == std::string::npos ? std::string() : text.substr(0, end + 1);
}

}  // namespace

Result<std::unique_ptr<Credentials>, Error> Credentials::Create(KubeConfig config,
                                                                const Clock& clock,
                                                                Logger log) {
  std::unique_ptr<Credentials> credentials(
      new Credentials(std::move(config), clock, std::move(log)));
  if (credentials->config_.server.substr(0, 8) == "https://") {
    credentials->tls_ = std::make_shared<net::TlsMaterialHolder>(nullptr);
  }
  const std::lock_guard lock(credentials->mutex_);
  BREAKWATER_RETURN_IF_ERROR(credentials->Read());
  return credentials;
}

Result<void, Error> Credentials::Read() {
  read_at_ = clock_.SteadyNow();
  // Independent of each other: a broken CA file must not keep us from a renewed token.
  const Result<void, Error> tls = ReadTls();
  const Result<void, Error> token = ReadToken();
  return tls ? token : tls;
}

Result<void, Error> Credentials::ReadTls() {
  if (tls_ != nullptr) {
    net::TlsPem pem;
    BREAKWATER_ASSIGN_OR_RETURN(pem.ca, Text(config_.ca.data, config_.ca.file));
    BREAKWATER_ASSIGN_OR_RETURN(pem.certificate_chain, Text(config_.client_certificate.data,
                                                            config_.client_certificate.file));
    BREAKWATER_ASSIGN_OR_RETURN(std::string key,
                                Text(config_.client_key_data.Expose(), config_.client_key_file));
    pem.private_key = Secret<>(std::move(key));
    pem.insecure_skip_verify = config_.insecure_skip_tls_verify;
    const auto current = tls_->Get();
    if (current == nullptr || current->pem() != pem) {
      BREAKWATER_ASSIGN_OR_RETURN(std::shared_ptr<const net::TlsMaterial> fresh,
                                  net::TlsMaterial::Create(pem));
      tls_->Set(std::move(fresh));
    }
  }
  return {};
}

Result<void, Error> Credentials::ReadToken() {
  if (config_.token_file.empty()) {
    token_ = config_.token;
    return {};
  }
  BREAKWATER_ASSIGN_OR_RETURN(const std::string text, ReadFile(config_.token_file));
  const std::string token = Trimmed(text);
  if (token.empty()) {
    return Unexpected{Error{ErrorClass::kTransient, config_.token_file + " is empty"}};
  }
  token_ = Secret<>(token);
  return {};
}

void Credentials::ReadIfOld() {
  if (clock_.SteadyNow() - read_at_ < kReadAgainAfter) {
    return;
  }
  const Result<void, Error> read = Read();
  if (!read && !complained_) {
    log_.Warn("credentials not renewed, using the last good ones",
              {{"error", read.error().message}});
  }
  complained_ = !read;
}

Secret<> Credentials::Token() {
  const std::lock_guard lock(mutex_);
  ReadIfOld();
  return token_;
}

bool Credentials::Unauthorized(const Secret<>& used) {
  const std::lock_guard lock(mutex_);
  if (token_ == used) {
    read_at_ = clock_.SteadyNow() - kReadAgainAfter;
    ReadIfOld();
  }
  return !(token_ == used);
}

}  // namespace breakwater::kube
