#include "operator/cmd/serving_certificate.h"

#include <chrono>
#include <utility>

#include "operator/base/context.h"
#include "operator/base/file.h"

namespace breakwater::cmd {

ServingCertificate::ServingCertificate(std::string directory, Logger log)
    : directory_(std::move(directory)), log_(std::move(log)) {}

Result<std::unique_ptr<ServingCertificate>, Error> ServingCertificate::Load(
    const std::string& directory, Logger log) {
  std::unique_ptr<ServingCertificate> loaded(new ServingCertificate(directory, std::move(log)));
  BREAKWATER_ASSIGN_OR_RETURN(std::shared_ptr<const net::TlsMaterial> material, loaded->Read());
  loaded->holder_ = std::make_shared<net::TlsMaterialHolder>(std::move(material));
  return loaded;
}

Result<std::shared_ptr<const net::TlsMaterial>, Error> ServingCertificate::Read() const {
  BREAKWATER_ASSIGN_OR_RETURN(std::string chain, ReadFile(directory_ + "/tls.crt"));
  BREAKWATER_ASSIGN_OR_RETURN(std::string key, ReadFile(directory_ + "/tls.key"));
  const net::TlsPem pem{.certificate_chain = std::move(chain),
                        .private_key = Secret<>(std::move(key))};
  if (holder_ != nullptr && holder_->Get()->pem() == pem) {
    return holder_->Get();
  }
  Result<std::shared_ptr<const net::TlsMaterial>, Error> material = net::TlsMaterial::Create(pem);
  if (material && (*material)->chain().empty()) {
    return Unexpected{Error{ErrorClass::kInvalid, directory_ + "/tls.crt holds no certificate"}};
  }
  return material;
}

void ServingCertificate::Refresh() {
  Result<std::shared_ptr<const net::TlsMaterial>, Error> material = Read();
  if (!material) {
    if (material.error().message != last_error_) {
      last_error_ = material.error().message;
      log_.Warn("the renewed serving certificate cannot be used; the old one stays",
                {{"directory", directory_}, {"error", last_error_}});
    }
    return;
  }
  last_error_.clear();
  if (*material != holder_->Get()) {
    log_.Info("serving certificate renewed", {{"directory", directory_}});
    holder_->Set(std::move(*material));
  }
}

void ServingCertificate::Watch(const Clock& clock) {
  thread_ = Thread("serving-cert", [this, &clock](const std::stop_token& stop) {
    while (Context(stop, clock).SleepFor(std::chrono::seconds(10))) {
      Refresh();
    }
  });
}

}  // namespace breakwater::cmd
