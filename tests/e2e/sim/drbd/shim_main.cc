// drbd-shim: one small program behind many names. It sends its own command line to drbd-sim and
// shows the answer; what is none of the simulator's business it hands to the real program.
//
// Environment: DRBD_SIM_SOCKET, NODE_NAME, CONTAINER_NAME. No libraries but libc: the node server
// starts one of these per command.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

std::string Environment(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

std::string Quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// The name that the link has, and the real program behind it if there is one.
std::string_view BaseName(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

int RunReal(std::string_view name, char** argv) {
  for (const char* directory : {"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"}) {
    const std::string path = directory + std::string(name);
    execv(path.c_str(), argv);
  }
  std::fprintf(stderr, "%s: not found\n", argv[0]);
  return 127;
}

void AppendUtf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0U | (code >> 6U));
    out += static_cast<char>(0x80U | (code & 0x3FU));
  } else {
    out += static_cast<char>(0xE0U | (code >> 12U));
    out += static_cast<char>(0x80U | ((code >> 6U) & 0x3FU));
    out += static_cast<char>(0x80U | (code & 0x3FU));
  }
}

// Reader for the daemon's flat answer objects: strings, numbers and true.
class Answer {
 public:
  explicit Answer(std::string_view text) : text_(text) {}

  // Value of a key, unescaped; empty when it is not there.
  [[nodiscard]] std::string Get(std::string_view wanted) const {
    std::size_t at = 1;
    while (at < text_.size() && text_[at] == '"') {
      const std::string key = String(at);
      ++at;  // colon
      const std::string value = text_[at] == '"' ? String(at) : Word(at);
      if (key == wanted) {
        return value;
      }
      ++at;  // comma
    }
    return {};
  }

 private:
  std::string String(std::size_t& at) const {
    std::string out;
    for (++at; at < text_.size() && text_[at] != '"'; ++at) {
      if (text_[at] != '\\') {
        out += text_[at];
        continue;
      }
      const char c = text_[++at];
      if (c == 'u') {
        AppendUtf8(out, static_cast<unsigned>(std::strtoul(
                            std::string(text_.substr(at + 1, 4)).c_str(), nullptr, 16)));
        at += 4;
      } else {
        const char* plain = "btnfr";
        const char* control = "\b\t\n\f\r";
        const char* found = std::strchr(plain, c);
        out += found == nullptr ? c : control[found - plain];
      }
    }
    ++at;
    return out;
  }

  std::string Word(std::size_t& at) const {
    std::string out;
    while (at < text_.size() && text_[at] != ',' && text_[at] != '}') {
      out += text_[at++];
    }
    return out;
  }

  std::string_view text_;
};

// One request; then its lines of answer, one by one.
class Session {
 public:
  // False: the simulator cannot be reached.
  bool Ask(const std::string& path, const std::string& request) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
      return false;
    }
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      return false;
    }
    for (std::size_t sent = 0; sent < request.size();) {
      const ssize_t size = send(fd_, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
      if (size <= 0) {
        return false;
      }
      sent += static_cast<std::size_t>(size);
    }
    return true;
  }

  // Empty: the simulator is gone.
  std::string Line() {
    char buffer[65536];
    std::size_t end = 0;
    while ((end = in_.find('\n')) == std::string::npos) {
      const ssize_t size = read(fd_, buffer, sizeof(buffer));
      if (size < 0 && errno == EINTR) {
        continue;
      }
      if (size <= 0) {
        return {};
      }
      in_.append(buffer, static_cast<std::size_t>(size));
    }
    std::string line = in_.substr(0, end);
    in_.erase(0, end + 1);
    return line;
  }

 private:
  int fd_ = -1;
  std::string in_;
};

// Shows what a command that goes on says, as it comes, and returns its last line.
std::string Follow(Session& session) {
  for (;;) {
    std::string line = session.Line();
    const std::string piece = Answer(line).Get("stream");
    if (piece.empty()) {
      return line;
    }
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    if (std::fflush(stdout) != 0) {
      std::exit(1);  // nobody reads it any more, and SIGPIPE is ignored
    }
  }
}

constexpr char kPod[] = "BREAKWATER_TESTBED_POD";

// Environment entry of a process: "KEY=value"; empty when it has none or is not to be read.
std::string EntryOf(const std::string& process, std::string_view key) {
  std::FILE* file = std::fopen(("/proc/" + process + "/environ").c_str(), "re");
  if (file == nullptr) {
    return {};
  }
  std::string text;
  char buffer[65536];
  for (std::size_t size = 0; (size = std::fread(buffer, 1, sizeof(buffer), file)) > 0;) {
    text.append(buffer, size);
  }
  std::fclose(file);
  const std::string wanted = std::string(1, '\0') + std::string(key) + "=";
  const std::size_t at = (std::string(1, '\0') + text).find(wanted);
  return at == std::string::npos ? "" : text.substr(at, text.find('\0', at) - at);
}

// All nodes share this machine's processes, but a container sees only its own pod's: files of
// others below /proc are not there for grep.
int GrepOwnProcesses(int argc, char** argv) {
  const std::string own = EntryOf("self", kPod);
  int kept = 1;
  bool dropped = false;
  bool any = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view path = argv[i];
    const bool process = path.starts_with("/proc/") && path.size() > 6 && path[6] >= '0' &&
                         path[6] <= '9' && path.find('/', 6) != std::string_view::npos;
    const bool foreign = process && !own.empty() &&
                         EntryOf(std::string(path.substr(6, path.find('/', 6) - 6)), kPod) != own;
    dropped = dropped || foreign;
    any = any || (process && !foreign);
    if (!foreign) {
      argv[kept++] = argv[i];
    }
  }
  argv[kept] = nullptr;
  if (dropped && !any) {
    return 1;  // no file is left, and none matches
  }
  return RunReal("grep", argv);
}

// A watchdog, not a command of somebody who looks on: its parent leads the session, and is of its
// own pod. So does the first process of a container, the agent's guardian; its worker does not.
bool Detached() {
  const pid_t leader = getsid(0);
  const std::string own = EntryOf("self", kPod);
  return leader == getpid() ||
         (leader == getppid() && !own.empty() && EntryOf(std::to_string(leader), kPod) == own);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = BaseName(argv[0]);
  if (name == "grep") {
    return GrepOwnProcesses(argc, argv);
  }
  const bool reads_input = (name == "cat" || name == "head") && argc == 1;
  if (reads_input) {
    return RunReal(name, argv);
  }
  const char* detached = Detached() ? "true" : "false";
  std::string request = R"({"op":"run","detached":)" + std::string(detached) + R"(,"node":)" +
                        Quote(Environment("NODE_NAME", "")) + R"(,"container":)" +
                        Quote(Environment("CONTAINER_NAME", "linstor-satellite")) + R"(,"argv":[)" +
                        Quote(name);
  for (int i = 1; i < argc; ++i) {
    request += "," + Quote(argv[i]);
  }
  request += "],\"stdin\":\"\"}\n";
  Session session;
  const std::string line =
      session.Ask(Environment("DRBD_SIM_SOCKET", ""), request) ? Follow(session) : "";
  if (line.empty()) {
    std::fprintf(stderr, "%s: the DRBD simulator does not answer\n", argv[0]);
    return 125;
  }
  const Answer answer(line);
  if (answer.Get("passthrough") == "true") {
    return RunReal(name, argv);
  }
  if (const std::string error = answer.Get("error"); !error.empty()) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.c_str());
    return 125;
  }
  const std::string out = answer.Get("stdout");
  const std::string err = answer.Get("stderr");
  std::fwrite(out.data(), 1, out.size(), stdout);
  std::fwrite(err.data(), 1, err.size(), stderr);
  std::fflush(stdout);
  return std::atoi(answer.Get("exit").c_str());
}
