// ss: the TCP sockets of DRBD's connections.
#include <algorithm>

#include "tests/e2e/sim/drbd/shell.h"

namespace breakwater::sim {
namespace {

struct SsOptions {
  bool header = true;
  bool listening = false;
  bool info = false;
  bool extended = false;
  bool one_line = false;
};

SsOptions Parse(const std::vector<std::string>& options) {
  SsOptions parsed;
  for (const std::string& option : options) {
    if (option.starts_with("--")) {
      parsed.header = parsed.header && option != "--no-header";
      parsed.listening = parsed.listening || option == "--listening";
      parsed.info = parsed.info || option == "--info";
      parsed.one_line = parsed.one_line || option == "--oneline";
      continue;
    }
    const auto has = [&option](char c) { return option.find(c) != std::string::npos; };
    parsed.header = parsed.header && !has('H');
    parsed.listening = parsed.listening || has('l');
    parsed.info = parsed.info || has('i');
    parsed.extended = parsed.extended || has('e');
    parsed.one_line = parsed.one_line || has('O');
  }
  return parsed;
}

std::string Endpoint(const std::string& ip, int port) {
  return ip + ":" + std::to_string(port);
}

// Numbers of a quiet connection, as in the recorded samples, and `gib` more.
std::string Info(bool extended, bool encrypted, std::uint64_t gib = 0) {
  std::string text = extended ? " ts sack cubic" : " cubic";
  text +=
      " wscale:7,7 rto:208 rtt:5.866/6 ato:44 mss:1448 pmtu:1500 rcvmss:635 advmss:1448 cwnd:10 "
      "bytes_sent:" +
      std::to_string((gib << 30U) + 2845) +
      " bytes_acked:2203 bytes_received:2172 segs_out:30 segs_in:33 "
      "data_segs_out:13 data_segs_in:15 send 19747699bps lastsnd:114316 lastrcv:114288 "
      "lastack:17332 pacing_rate 39494552bps delivery_rate 8198152bps delivered:14 app_limited "
      "busy:64ms rcv_rtt:508 rcv_space:14480 rcv_ssthresh:64088 minrtt:0.959 snd_wnd:62592 "
      "rcv_wnd:63744";
  if (encrypted) {
    text += " tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw txconf: sw";
  }
  return text + "                     ";
}

}  // namespace

void Shell::Ss(Job& job) {
  const SsOptions options = Parse(job.options);
  const Node& node = NodeOf(job);
  std::string& out = job.result.out;
  if (options.header) {
    out += options.listening ? "State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n"
                             : "State      Recv-Q Send-Q Local Address:Port  Peer Address:Port "
                               "Process\n";
  }
  if (options.listening) {
    out += node.tcp_diag ? "LISTEN 0      50     0.0.0.0:22 0.0.0.0:*"
                         : "LISTEN 0      0      0.0.0.0:22 0.0.0.0:*";
    out += options.extended ? " ino:515 sk:81 cgroup:unreachable:1 <->\n" : "\n";
    return;
  }
  int inode = 18000;
  const auto socket = [&](const std::string& local, const std::string& remote, bool encrypted,
                          std::uint64_t gib) {
    ++inode;
    if (!node.tcp_diag) {
      // Without the kernel's diag module ss reads procfs, and says nothing about encryption.
      out += "ESTAB 0      0      " + local + " " + remote + " ";
      out += options.extended ? " ino:" + std::to_string(inode) + " sk:98bcff29" : "";
      out += options.info ? " rto:0.2 ato:0.04 qack:15 bidir cwnd:10 reordering:0                 "
                          : "";
      out += "\n";
      return;
    }
    out += "ESTAB      0      0      " + local + "  " + remote + " ";
    if (options.extended) {
      out += "timer:(keepalive,5.664sec,0) ino:" + std::to_string(inode) +
             " sk:5 cgroup:unreachable:1 <->";
    }
    if (options.info) {
      out += (options.one_line ? "" : "\n\t") + Info(options.extended, encrypted, gib);
    }
    out += "\n";
  };
  for (const Orphan& orphan : node.orphans) {
    if (orphan.until < world_.events.now()) {
      continue;
    }
    out += "FIN-WAIT-1 0      1      " + orphan.local + "  " + orphan.remote + " ";
    out += options.extended ? "ino:0 sk:1 cgroup:unreachable:1 ---" : "";
    if (options.info && node.tcp_diag) {
      out += (options.one_line ? "" : "\n\t") + Info(options.extended, false) +
             (orphan.encrypted ? "tcp-ulp-tls      " : "");
    }
    out += "\n";
  }
  for (const auto& [name, resource] : node.resources) {
    for (const auto& [id, c] : resource.connections) {
      if (c.out_port != 0) {
        socket(Endpoint(c.local.ip, c.local.port), Endpoint(c.remote.ip, c.in_port), c.encrypted,
               c.sent_gib);
        socket(Endpoint(c.local.ip, c.out_port), Endpoint(c.remote.ip, c.remote.port), c.encrypted,
               c.sent_gib);
      }
    }
  }
}

}  // namespace breakwater::sim
