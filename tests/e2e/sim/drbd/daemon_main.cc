// drbd-sim: serves one simulated DRBD cluster in real time on a UNIX socket.
//
// One thread does everything: it polls the socket's connections with the time of the cluster's
// next event as timeout. So no lock is needed, and a command that takes time blocks nobody.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "tests/e2e/sim/drbd/cluster.h"
#include "tests/e2e/sim/drbd/protocol.h"

namespace breakwater::sim {
namespace {

constexpr const char* kPrograms[] = {"drbdadm",   "drbdsetup",     "drbdmeta", "ss",   "cat",
                                     "head",      "stat",          "ls",       "grep", "dmesg",
                                     "tlshd-log", "satellite-log", "date"};

// Longest time between two looks at the stop flag.
constexpr int kIdleMs = 500;

// A client that never ends its line is dropped.
constexpr std::size_t kMaxLine = 16U << 20U;

volatile std::sig_atomic_t g_stop = 0;

struct Client {
  int fd = -1;
  std::string in;
  std::string out;
  bool closing = false;
};

class Server {
 public:
  Server(Cluster& cluster, int listener)
      : cluster_(cluster), protocol_(cluster), listener_(listener) {}

  void Run() {
    while (g_stop == 0) {
      Tick();
      std::vector<pollfd> fds{{.fd = listener_, .events = POLLIN, .revents = 0}};
      for (const auto& client : clients_) {
        const short want = client->out.empty() ? POLLIN : POLLIN | POLLOUT;
        fds.push_back({.fd = client->fd, .events = want, .revents = 0});
      }
      if (poll(fds.data(), fds.size(), Timeout()) < 0 && errno != EINTR) {
        std::perror("poll");
        return;
      }
      Tick();
      for (std::size_t i = 1; i < fds.size(); ++i) {
        if (fds[i].revents != 0) {
          Serve(clients_[i - 1]);
        }
      }
      if ((fds[0].revents & POLLIN) != 0) {
        Accept();
      }
      std::erase_if(clients_, [](const auto& client) { return client->fd < 0; });
    }
  }

 private:
  // Moves virtual time to the real one.
  void Tick() {
    try {
      cluster_.AdvanceTo(std::chrono::duration_cast<Time>(Clock::now() - start_));
    } catch (const std::exception& error) {
      // A defect of the model must not take the whole test bed down with it.
      std::cerr << "drbd-sim: event failed: " << error.what() << std::endl;
    }
    for (const auto& client : clients_) {
      Flush(*client);
    }
  }

  [[nodiscard]] int Timeout() const {
    const auto next = cluster_.next_event();
    if (!next) {
      return kIdleMs;
    }
    const Time wait = *next - std::chrono::duration_cast<Time>(Clock::now() - start_);
    const auto ms = std::chrono::ceil<Millis>(wait).count();
    return static_cast<int>(std::clamp<std::int64_t>(ms, 0, kIdleMs));
  }

  void Accept() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      clients_.push_back(std::make_shared<Client>(Client{.fd = fd}));
    }
  }

  void Serve(const std::shared_ptr<Client>& client) {
    char buffer[65536];
    for (;;) {
      const ssize_t size = read(client->fd, buffer, sizeof(buffer));
      if (size > 0) {
        client->in.append(buffer, static_cast<std::size_t>(size));
        continue;
      }
      if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(client->fd);
        client->fd = -1;
      }
      break;
    }
    std::size_t begin = 0;
    for (std::size_t end = client->in.find('\n'); end != std::string::npos;
         end = client->in.find('\n', begin)) {
      const std::string line = client->in.substr(begin, end - begin);
      begin = end + 1;
      if (!line.empty()) {
        // The client may be gone before a command ends; the command, as a rule, goes on.
        const std::weak_ptr<Client> weak = client;
        protocol_.Handle(
            line,
            [weak](const std::string& answer) {
              if (const auto alive = weak.lock()) {
                alive->out += answer + "\n";
              }
            },
            [weak] {
              const auto alive = weak.lock();
              return alive == nullptr || alive->fd < 0;
            });
      }
    }
    client->in.erase(0, begin);
    if (client->in.size() > kMaxLine && client->fd >= 0) {
      close(client->fd);
      client->fd = -1;
    }
    Flush(*client);
  }

  static void Flush(Client& client) {
    while (client.fd >= 0 && !client.out.empty()) {
      const ssize_t size = send(client.fd, client.out.data(), client.out.size(), MSG_NOSIGNAL);
      if (size > 0) {
        client.out.erase(0, static_cast<std::size_t>(size));
      } else if (errno == EAGAIN) {
        return;
      } else if (errno != EINTR) {
        close(client.fd);
        client.fd = -1;
      }
    }
  }

  using Clock = std::chrono::steady_clock;

  Cluster& cluster_;
  Protocol protocol_;
  int listener_;
  Clock::time_point start_ = Clock::now();
  std::vector<std::shared_ptr<Client>> clients_;
};

int Listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    std::cerr << "drbd-sim: socket path is too long: " << path << "\n";
    return -1;
  }
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  unlink(path.c_str());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  constexpr int kBacklog = 512;
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, kBacklog) != 0) {
    std::perror("drbd-sim: socket");
    return -1;
  }
  return fd;
}

void LinkShims(const std::filesystem::path& directory) {
  const std::filesystem::path shim =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "drbd-shim";
  std::filesystem::create_directories(directory);
  for (const char* program : kPrograms) {
    const std::filesystem::path link = directory / program;
    std::filesystem::remove(link);
    std::filesystem::create_symlink(shim, link);
  }
}

int Main(int argc, char** argv) {
  CLI::App app("A simulated DRBD cluster behind command shims");
  std::string socket_path;
  std::string shim_dir;
  SimConfig config;
  app.add_option("--socket", socket_path, "UNIX socket to serve")->required();
  app.add_option("--shim-dir", shim_dir, "directory for the command links");
  app.add_option("--seed", config.seed, "seed of all random decisions");
  CLI11_PARSE(app, argc, argv);
  const int listener = Listen(socket_path);
  if (listener < 0) {
    return 1;
  }
  if (!shim_dir.empty()) {
    LinkShims(shim_dir);
  }

  struct sigaction action {};

  action.sa_handler = [](int) { g_stop = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  Cluster cluster(config);
  cluster.world().wall_base =
      std::chrono::duration_cast<Time>(std::chrono::system_clock::now().time_since_epoch());
  std::cout << "ready" << std::endl;
  Server(cluster, listener).Run();
  unlink(socket_path.c_str());
  return 0;
}

}  // namespace
}  // namespace breakwater::sim

int main(int argc, char** argv) {
  try {
    return breakwater::sim::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "drbd-sim: " << error.what() << "\n";
    return 1;
  }
}
