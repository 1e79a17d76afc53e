// cat, head and stat on the files that only exist in the simulation.
#include <cstdlib>

#include "tests/e2e/sim/drbd/shell.h"

namespace breakwater::sim {
namespace {

std::string TlsStat(const Node& node) {
  std::uint64_t now = 0;
  for (const auto& [name, resource] : node.resources) {
    for (const auto& [id, connection] : resource.connections) {
      now += connection.encrypted ? 2 : 0;
    }
  }
  std::string out;
  const auto line = [&out](std::string key, std::uint64_t value) {
    key.resize(32, ' ');
    out += key + "\t" + std::to_string(value) + "\n";
  };
  line("TlsCurrTxSw", now);
  line("TlsCurrRxSw", now);
  line("TlsCurrTxDevice", 0);
  line("TlsCurrRxDevice", 0);
  line("TlsTxSw", node.tls_opened);
  line("TlsRxSw", node.tls_opened);
  for (const char* key : {"TlsTxDevice", "TlsRxDevice", "TlsDecryptError", "TlsRxDeviceResync",
                          "TlsDecryptRetry", "TlsRxNoPadViolation"}) {
    line(key, 0);
  }
  return out;
}

std::string Modules(const Node& node) {
  std::string out;
  if (node.tcp_diag) {
    out +=
        "tcp_diag 12288 0 - Live 0x0000000000000000\n"
        "inet_diag 28672 1 tcp_diag, Live 0x0000000000000000\n";
  }
  out += "drbd_transport_" + std::string(node.transport == "tcp" ? "tcp" : node.transport) +
         " 32768 2 - Live 0x0000000000000000 (OE)\n"
         "drbd 897024 3 drbd_transport_tcp, Live 0x0000000000000000 (OE)\n";
  if (node.kernel_tls) {
    out += "tls 155648 4 - Live 0x0000000000000000\n";
  }
  return out;
}

std::string FirstLines(const std::string& text, int count) {
  std::size_t end = 0;
  for (int i = 0; i < count && end < text.size(); ++i) {
    const std::size_t newline = text.find('\n', end);
    end = newline == std::string::npos ? text.size() : newline + 1;
  }
  return text.substr(0, end);
}

// Places whose content is decided by the simulation alone: there the real file must not show.
bool Ours(const std::string& path) {
  return path.starts_with("/proc/drbd") || path.starts_with("/proc/net/tls_stat") ||
         path.starts_with("/proc/modules") || path.starts_with("/sys/module/drbd") ||
         path.starts_with("/sys/module/tls") || path.starts_with("/sys/module/handshake") ||
         path.starts_with("/etc/tlshd") || path.starts_with("/var/lib/linstor.d") ||
         path.starts_with("/etc/drbd.d");
}

}  // namespace

bool Shell::ReadFile(const Job& job, const std::string& path, std::string& text) {
  const Node& node = world_.GetNode(job.node);
  if (path == "/proc/net/tls_stat" && node.kernel_tls) {
    text = TlsStat(node);
  } else if (path == "/proc/drbd") {
    text = "version: " + node.drbd_version +
           " (api:2/proto:118-124)\nGIT-hash: 0000000000000000000000000000000000000000 build by "
           "@vm, 2026-11-21 19:28:37\nTransports (api:22): " +
           node.transport + " (" + node.drbd_version + ")\n";
  } else if (path == "/sys/module/drbd/version" ||
             path == "/sys/module/drbd_transport_" + node.transport + "/version") {
    text = node.drbd_version + "\n";
  } else if (path == "/sys/module/drbd/parameters/usermode_helper") {
    text = node.usermode_helper + "\n";
  } else if (path == "/proc/modules") {
    text = Modules(node);
  } else if (path == "/sys/module/tls/refcnt" && node.kernel_tls) {
    text = "4\n";
  } else if (path == "/sys/module/tls/initstate" && node.kernel_tls) {
    text = "live\n";
  } else if (path.starts_with("/etc/tlshd")) {
    const auto it = node.tlshd.files.find(path);
    if (job.container != "ktls-utils" || it == node.tlshd.files.end()) {
      return false;
    }
    text = it->second;
  } else if (const auto it = node.files.find(path); it != node.files.end()) {
    text = it->second;
  } else {
    return false;
  }
  return true;
}

void Shell::CatOrHead(Job& job) {
  const bool head = job.argv[0].ends_with("head");
  int lines = head ? 10 : 0;
  for (std::size_t i = 0; head && i < job.options.size(); ++i) {
    const std::string& option = job.options[i];
    if (option == "-n" && i + 1 < job.options.size()) {
      lines = std::atoi(job.options[i + 1].c_str());
    } else if (option.starts_with("-n")) {
      lines = std::atoi(option.c_str() + 2);
    } else if (option.starts_with("--lines=")) {
      lines = std::atoi(option.c_str() + 8);
    } else if (option.size() > 1 && option[1] >= '0' && option[1] <= '9') {
      lines = std::atoi(option.c_str() + 1);
    }
  }
  if (job.words.empty()) {
    job.result.passthrough = true;
    return;
  }
  for (const std::string& path : job.words) {
    std::string text;
    if (ReadFile(job, path, text)) {
      job.result.out += head ? FirstLines(text, lines) : text;
    } else if (Ours(path)) {
      Fail(job, 1,
           head ? "head: cannot open '" + path + "' for reading: No such file or directory\n"
                : "cat: " + path + ": No such file or directory\n");
    } else {
      job.result.passthrough = true;
      return;
    }
  }
}

// The family handshake is built into kernels, so there is no module of that name.
bool Shell::HasDirectory(const Job& job, const std::string& path) {
  return (path == "/sys/module/tls" && NodeOf(job).kernel_tls) || path == "/sys/module/drbd";
}

// Names only, as `ls -d` prints them.
void Shell::Ls(Job& job) {
  for (const std::string& path : job.words) {
    std::string text;
    if (HasDirectory(job, path) || ReadFile(job, path, text)) {
      job.result.out += path + "\n";
    } else if (Ours(path)) {
      Fail(job, 2, "ls: cannot access '" + path + "': No such file or directory\n");
    } else {
      job.result.passthrough = true;
      return;
    }
  }
  job.result.passthrough = job.words.empty();
}

void Shell::Stat(Job& job) {
  // The format may be a word of its own after -c.
  std::vector<std::string> paths = job.words;
  std::string format;
  for (const std::string& option : job.options) {
    if (option == "-c" || option == "--printf") {
      continue;
    }
    if (option.starts_with("-c")) {
      format = option.substr(2);
    } else if (option.starts_with("--format=")) {
      format = option.substr(9);
    } else if (option.starts_with("%")) {
      format = option;
    }
  }
  for (const std::string& path : paths) {
    std::string text;
    if (!HasDirectory(job, path) && !ReadFile(job, path, text)) {
      if (!Ours(path)) {
        job.result.passthrough = true;
        return;
      }
      Fail(job, 1, "stat: cannot statx '" + path + "': No such file or directory\n");
      continue;
    }
    const Tlshd& daemon = NodeOf(job).tlshd;
    const auto mode = daemon.modes.find(path);
    const std::string bits =
        mode != daemon.modes.end() ? mode->second : (path.ends_with(".key") ? "600" : "644");
    for (std::size_t i = 0; i < format.size(); ++i) {
      if (format[i] != '%' || i + 1 == format.size()) {
        job.result.out += format[i];
        continue;
      }
      const char what = format[++i];
      job.result.out += what == 'a'                  ? bits
                        : what == 's'                ? std::to_string(text.size())
                        : what == 'n'                ? path
                        : what == 'U' || what == 'G' ? "root"
                                                     : "0";
    }
    job.result.out += format.empty() ? "  File: " + path + "\n" : "\n";
  }
}

}  // namespace breakwater::sim
