#include "operator/core/replication/node/preflight.h"

#include <algorithm>

#include "operator/core/replication/node/text.h"

namespace breakwater::replication {
namespace {

using Failures = std::vector<PreflightFailure>;

void CheckVersions(const NodeFacts& facts, Failures* failures) {
  const std::string& module = facts.versions.module;
  const std::optional<int> oldest = CompareVersions(module, "9.2.6");
  if (!oldest) {
    failures->push_back({"DRBDNotLoaded",
                         "the version of the DRBD kernel module could not be read; "
                         "load DRBD 9.2.6 or newer"});
  } else if (*oldest < 0) {
    failures->push_back({"DRBDTooOld", "DRBD " + module +
                                           " knows no TLS and would silently stay "
                                           "plaintext; load 9.2.6 or newer"});
  } else if (CompareVersions(module, "9.3.1") == 0 || CompareVersions(module, "9.3.2") == 0) {
    failures->push_back(
        {"DRBDDefective", "DRBD " + module + " leaks pages with TLS; load 9.3.3 or newer"});
  }
  const std::optional<int> utils = CompareVersions(facts.versions.utils, "9.26");
  if (!utils || *utils < 0) {
    failures->push_back(
        {"DRBDUtilsTooOld", "drbd-utils " + facts.versions.utils +
                                " in the satellite's image know no TLS; use 9.26 or newer"});
  }
}

void CheckKernel(const NodeFacts& facts, Failures* failures) {
  if (!facts.tls_module) {
    failures->push_back({"KernelTLSMissing",
                         "the kernel's tls module is not loaded; run `modprobe tls` on "
                         "the node or add it to the module loader"});
  }
  if (!facts.handshake_family.value_or(true)) {
    failures->push_back(
        {"KernelHandshakeMissing",
         "the kernel has no netlink family `handshake`, so nobody can hand DRBD's sockets to "
         "tlshd; "
         "use a kernel with CONFIG_NET_HANDSHAKE (6.4 or newer), or run `modprobe handshake` where "
         "it is a module"});
  }
  if (!facts.broken_res.empty()) {
    failures->push_back(
        {"ResFileBroken",
         "drbdadm cannot read " + facts.broken_res +
             " and fails for every resource of the node; mend or remove the file (LINSTOR writes "
             "its own again when the satellite restarts)"});
  }
  if (facts.usermode_helper && *facts.usermode_helper != "disabled") {
    failures->push_back(
        {"UsermodeHelperEnabled",
         "DRBD calls " +
             (facts.usermode_helper->empty() ? std::string("a helper") : *facts.usermode_helper) +
             " before each resync, and drops the connection when that fails, as with one broken "
             ".res "
             "file; load the module with usermode_helper=disabled, or write that to "
             "/sys/module/drbd/parameters/usermode_helper",
         true});
  }
  if (facts.no_socket_proof) {
    failures->push_back(
        {"SocketProofMissing",
         "`ss -tni` in the satellite shows no details of its sockets, so nobody can "
         "prove encryption; load inet_diag and tcp_diag, use a newer iproute2, or "
         "give the satellite CAP_NET_ADMIN"});
  }
  for (const std::string& transport : facts.bad_transports) {
    failures->push_back(
        {"TransportWithoutTLS",
         "a resource uses the transport " + transport + ", which ignores TLS silently; use tcp",
         true});
  }
}

void CheckAgent(const NodeFacts& facts, Failures* failures) {
  if (!facts.agent_needed) {
    return;
  }
  switch (facts.agent) {
    case AgentState::kConnected:
      return;
    case AgentState::kMissing:
      failures->push_back({"AgentMissing",
                           "the satellite pod has no container breakwater-agent; set "
                           "internalTLS.tlsHandshakeDaemon: true in a "
                           "LinstorSatelliteConfiguration"});
      return;
    case AgentState::kTooOld:
      failures->push_back({"AgentTooOld", "the agent " + facts.agent_version +
                                              " is too old for this operator; update the image "
                                              "breakwater-agent of the satellite's pod"});
      return;
    case AgentState::kUnreachable:
      failures->push_back({"AgentUnreachable",
                           "the agent does not answer; look at the log of the container "
                           "breakwater-agent in the satellite's pod"});
  }
}

void CheckTlshd(const NodeFacts& facts, Failures* failures) {
  if (!facts.tlshd_container) {
    failures->push_back(
        {"HandshakeDaemonMissing",
         "the satellite pod has no container ktls-utils; set "
         "internalTLS.tlsHandshakeDaemon: true in a LinstorSatelliteConfiguration"});
  } else if (!facts.tlshd_ready) {
    failures->push_back({"HandshakeDaemonNotReady",
                         "the container ktls-utils is not ready; look at its "
                         "log and events"});
  }
}

void CheckDates(const CertificateFacts& certificate, SystemTime now, Failures* failures) {
  if (now < certificate.not_before) {
    failures->push_back({"CertificateNotYetValid",
                         "the certificate is not valid yet; check the clock of "
                         "whoever issued it"});
  }
  if (now >= certificate.not_after) {
    failures->push_back({"CertificateExpired", "the certificate has expired; renew it"});
  } else if (certificate.not_after - now <
             std::min<SystemTime::duration>(std::chrono::hours(24 * 7),
                                            (certificate.not_after - certificate.not_before) / 4)) {
    // One that is made for days is renewed with a third of its life left.
    failures->push_back({"CertificateExpiresSoon",
                         "the certificate expires in less than 7 days, or a quarter of its life",
                         true});
  }
}

/// In minutes, so that the condition is not another one with every look.
void CheckClock(const NodeFacts& facts, Failures* failures) {
  if (!facts.certificate || !ClockDiffers(*facts.certificate)) {
    return;
  }
  const std::chrono::seconds difference = *facts.certificate->clock_ahead;
  const bool ahead = difference.count() > 0;
  const std::string minutes = std::to_string(
      std::chrono::round<std::chrono::minutes>(std::chrono::abs(difference)).count());
  failures->push_back(
      {"ClockDiffers",
       "the clock of node " + facts.name + " is " + minutes + " minutes " +
           (ahead ? "ahead of" : "behind") + " the operator's; no connection is cut for it, but " +
           (ahead
                ? "a clock that is too early for its peers takes their certificates for expired "
                  "before they are renewed"
                : "new handshakes fail with certificates that are not valid there yet: with those "
                  "of mode Managed from 30 minutes on, with others at once") +
           "; set the node's clock and see why NTP does not (`chronyc tracking`)",
       true});
}

void CheckCertificate(const NodeFacts& facts, SystemTime now, Failures* failures) {
  if (!facts.tlshd_container) {
    return;  // said already
  }
  if (!facts.certificate || !facts.certificate->present) {
    failures->push_back({"CertificateMissing",
                         "tls.crt, tls.key or ca.crt is missing in /etc/tlshd.d; "
                         "check the Secret"});
    return;
  }
  const CertificateFacts& certificate = *facts.certificate;
  if (!certificate.parsed) {
    failures->push_back(
        {"CertificateInvalid", "the certificate or the CA cannot be read: " + certificate.error});
    return;
  }
  if (!certificate.key_fits.value_or(true)) {
    failures->push_back(
        {"CertificateKeyMismatch",
         "tls.key does not belong to tls.crt, and tlshd refuses to start with them; "
         "issue both together"});
  }
  CheckDates(certificate, now, failures);
  if (!certificate.name_matches) {
    failures->push_back(
        {"CertificateNameMismatch", "the certificate has no DNS name '" + facts.name +
                                        "'; peers refuse it; issue it for the node's name"});
  }
  if (!certificate.trusted_here) {
    failures->push_back({"CertificateUntrusted",
                         "the certificate is not issued by the node's own CA bundle; "
                         "put the issuer into ca.crt"});
  }
  for (const std::string& peer : certificate.untrusted_by) {
    failures->push_back(
        {"CertificateUntrustedByPeer", "node " + peer +
                                           " does not trust the certificate; "
                                           "all nodes need a CA bundle with its issuer"});
  }
  if (!certificate.server_auth || !certificate.client_auth) {
    failures->push_back({"CertificateUsages",
                         "issue the certificate for both server and client "
                         "authentication: tlshd does not check this today",
                         true});
  }
  if (!certificate.key_mode.empty() && certificate.key_mode != "600" &&
      certificate.key_mode != "400") {
    failures->push_back(
        {"KeyMode", "tls.key has mode " + certificate.key_mode + "; 600 is expected", true});
  }
}

}  // namespace

std::vector<PreflightFailure> CheckNode(const NodeFacts& facts, SystemTime now) {
  Failures failures;
  if (!facts.satellite_ready || !facts.answered) {
    return {
        {"NotObserved", facts.satellite_ready
                            ? "the satellite did not answer completely; look at the satellite's pod"
                            : "there is no ready satellite pod on the node"}};
  }
  if (!facts.observed) {
    return {facts.versions.loaded
                ? PreflightFailure{"NotObserved",
                                   "drbdsetup does not answer; look at the satellite's pod"}
                : PreflightFailure{"DRBDNotLoaded",
                                   "the DRBD kernel module is not loaded; load 9.2.6 or newer"}};
  }
  if (!facts.linstor_online.value_or(true)) {
    failures.push_back({"SatelliteNotOnline",
                        "LINSTOR does not show the satellite as ONLINE, and a value that is set "
                        "meanwhile may not reach it; wait, or look at `linstor node list`"});
  }
  if (facts.name.size() > kMaxNameBytes) {
    failures.push_back({"NodeNameTooLong", "the node's name has " +
                                               std::to_string(facts.name.size()) +
                                               " bytes; the handshake carries at most 63"});
  }
  CheckVersions(facts, &failures);
  CheckKernel(facts, &failures);
  CheckAgent(facts, &failures);
  CheckTlshd(facts, &failures);
  Failures certificate;
  CheckCertificate(facts, now, &certificate);
  for (PreflightFailure& failure : certificate) {
    if (!facts.secret.empty()) {
      failure.message += " (Secret " + facts.secret + ")";
    }
    failures.push_back(std::move(failure));
  }
  CheckClock(facts, &failures);
  std::stable_partition(failures.begin(), failures.end(),
                        [](const PreflightFailure& failure) { return !failure.warning; });
  return failures;
}

bool ClockDiffers(const CertificateFacts& certificate) {
  constexpr std::chrono::minutes kTolerated{2};  // an exec may take a while
  return certificate.clock_ahead && std::chrono::abs(*certificate.clock_ahead) > kTolerated;
}

std::optional<PreflightFailure> FirstBlocker(const std::vector<PreflightFailure>& failures) {
  for (const PreflightFailure& failure : failures) {
    if (!failure.warning) {
      return failure;
    }
  }
  return std::nullopt;
}

}  // namespace breakwater::replication
