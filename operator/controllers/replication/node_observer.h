#pragma once

/// NodeObserver: asks nodes what DRBD, the sockets and the certificate files look like. Reads only.

#include <chrono>
#include <map>
#include <set>
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
};

/// Thread safety: may be called from any thread.
class NodeObserver {
 public:
  struct Options {
    std::string satellite_container{};
    std::string tlshd_container{};
    int parallel = 16;  ///< nodes asked at the same time
  };

  /// References must outlive the observer.
  NodeObserver(NodeShell& shell, const Logger& log, Options options);

  /// One exec per node, several nodes at a time. A node that fails is missing in the result.
  /// `answered`, when given, gets the time at which each of the others answered.
  std::map<std::string, replication::NodeReport> Observe(
      const Context& ctx,
      const std::set<std::string>& nodes,
      std::map<std::string, SteadyTime>* answered = nullptr);

  struct Moment {
    std::map<std::string, replication::NodeReport> reports{};
    SteadyTime at{};  ///< when the oldest of them was given
  };

  struct Limits {
    std::chrono::milliseconds first{};  ///< for the first look
    std::chrono::milliseconds again{};  ///< for the second look, from its beginning
    std::chrono::milliseconds apart{};  ///< two answers of one moment
  };

  /// As Observe, for decisions that need one moment: nodes that answered too long before the
  /// slowest one are asked once more; one that does not answer then is missing.
  Moment ObserveTogether(const Context& ctx,
                         const std::set<std::string>& nodes,
                         const Limits& limits);

  /// The certificate files of the nodes; trust between the nodes is filled in.
  std::map<std::string, NodeCertificate> ReadCertificates(const Context& ctx,
                                                          const std::set<std::string>& nodes);

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
