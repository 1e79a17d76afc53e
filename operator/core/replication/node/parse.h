#pragma once

/// Parsers of what DRBD's tools and the kernel print on a node. Input is untrusted: no parser
/// throws, recurses or keeps more than a bounded amount; what cannot be read is left out. Thread
/// safety: pure functions. Samples of every format are in testdata/.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "operator/core/replication/node/drbd_types.h"

namespace breakwater::replication {

/// `drbdsetup status --json`; nothing when the text is not a JSON list.
std::optional<std::map<std::string, DrbdStatus>> ParseStatus(std::string_view text);

/// `drbdsetup show --json --show-defaults`; nothing when the text is not a JSON list. What is not
/// there reads as "". Shared secrets are not kept.
std::optional<std::map<std::string, DrbdShow>> ParseShow(std::string_view text);

/// `ss -tni`, with or without `-e`, `-H`, `-O`: info on the same or the following line. Rules: F24.
SocketTable ParseSockets(std::string_view text);

/// /proc/net/tls_stat; nothing when no counter is there.
std::optional<TlsStat> ParseTlsStat(std::string_view text);

/// The head of /proc/drbd, for the module's version.
void ParseProcDrbd(std::string_view text, DrbdVersions* versions);

/// `drbdadm --version`.
void ParseDrbdadmVersion(std::string_view text, DrbdVersions* versions);

/// One report per resource of `status`; a socket goes to the resource whose port it has (F24.1).
std::map<std::string, std::shared_ptr<const ResourceReport>> JoinResources(
    const std::map<std::string, DrbdStatus>& status,
    const std::map<std::string, DrbdShow>& show,
    const SocketTable& sockets);

/// The output of kObserveScript (node_scripts.h).
NodeReport ParseReport(const std::string& node, std::string_view text, bool truncated);

}  // namespace breakwater::replication
