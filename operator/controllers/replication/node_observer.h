#pragma once

/// NodeObserver: asks nodes what DRBD, the sockets and the certificate files look like. Reads only.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "operator/base/context.h"
#include "operator/base/log.h"
#include "operator/controllers/node_shell/node_shell.h"
#include "operator/core/replication/node/drbd_types.h"
#include "operator/core/replication/node/preflight.h"
#include "operator/crypto/certificate.h"

namespace breakwater::controllers {

/// The certificate files of one node, parsed.
struct NodeCertificate {
  replication::CertificateFacts facts{};
  std::vector<crypto::Certificate> chain{};
  std::vector<crypto::Certificate> roots{};
  std::int64_t generation = 0;  ///< of the replication Secret; 0: the files are of another one
};

/// Thread safety: may be called from any thread.
class NodeObserver {
 public:
  struct Options {
    std::string satellite_container{};
    std::string tlshd_container{};
  };

  /// References must outlive the observer.
  NodeObserver(NodeShell& shell, const Logger& log, Options options);

  /// One exec. Nothing: the node did not answer.
  std::optional<replication::NodeReport> Observe(const Context& ctx, const std::string& node);

  /// One exec. The certificate files of a node; trust between nodes is not part of it.
  std::optional<NodeCertificate> ReadCertificate(const Context& ctx, const std::string& node);

 private:
  NodeShell& shell_;
  const Logger log_;
  const Options options_;
};

/// Parses the output of kCertificateScript; trust between nodes is not part of it.
NodeCertificate ParseCertificates(const std::string& node, const std::string& text, SystemTime now);

/// Fills `untrusted_by` for every pair of nodes.
void CheckMutualTrust(std::map<std::string, NodeCertificate>& certificates, SystemTime now);

}  // namespace breakwater::controllers
