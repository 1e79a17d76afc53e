// linstor-sim: LINSTOR's REST API with satellites that run their tools through drbd-sim.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include "tests/e2e/sim/linstor/drbd_socket.h"
#include "tests/e2e/sim/linstor/evacuation.h"
#include "tests/e2e/sim/linstor/http_server.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace {

using breakwater::sim::HttpReply;
using breakwater::sim::HttpRequest;

struct Flags {
  std::string listen = "127.0.0.1:3370", tls_listen, drbd_sim, state_dir;
  breakwater::sim::TlsFiles tls;
  double first_adjust = 0.4, exec_timeout = 45, poll = 0.5, hang_noticed = 7, full_sync = 0.5,
         snapshot = 0.3;
  breakwater::sim::SimOptions options;
  bool ssl_connector = false, verbose = false;
};

std::chrono::milliseconds Millis(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--listen", flags.listen,
                 "address and port of the plain REST API; port 0 picks one");
  app.add_option("--tls-listen", flags.tls_listen,
                 "address and port of the HTTPS REST API; the plain one then only redirects");
  app.add_option("--tls-cert", flags.tls.certificate, "PEM chain of the HTTPS server");
  app.add_option("--tls-key", flags.tls.key, "PEM key of the HTTPS server");
  app.add_option("--tls-client-ca", flags.tls.client_ca,
                 "PEM: clients need a certificate of this CA");
  app.add_option("--drbd-sim", flags.drbd_sim, "UNIX socket of drbd-sim")->required();
  app.add_option("--state-dir", flags.state_dir, "where the controller's data lives")->required();
  app.add_option("--first-adjust", flags.first_adjust,
                 "seconds from a request to the first adjust");
  app.add_option("--exec-timeout", flags.exec_timeout, "seconds until a tool that hangs is killed");
  app.add_option("--poll", flags.poll, "seconds between looks at the satellites' pods");
  app.add_option("--hang-noticed", flags.hang_noticed, "seconds until a hung satellite is OFFLINE");
  app.add_option("--full-sync", flags.full_sync,
                 "seconds that a satellite is CONNECTED before it is ONLINE");
  app.add_option("--snapshot", flags.snapshot, "seconds that making a snapshot takes");
  app.add_option("--reflinks", flags.options.reflinks,
                 "no: FILE_THIN pools lie on file systems that cannot make snapshots");
  app.add_option("--retry-scale", flags.options.retry_scale, "multiplies LINSTOR's retry times");
  app.add_flag("--ssl-connector", flags.ssl_connector,
               "sets defaultSslConSvc, without which LINSTOR refuses satellites with SSL");
  app.add_flag("--verbose", flags.verbose, "log every request and tool call");
}

/// The plain port next to HTTPS: 302 for reads and writes, /health stays (L12).
HttpReply Redirect(const HttpRequest& request, const std::string& tls_address) {
  if (request.path == "/health") {
    return {.status = 200, .body = "", .content_type = ""};
  }
  const auto location = "https://" + tls_address + request.path;
  return {.status = 302,
          .body =
              "<html>\n<head><title>Document moved</title></head>\n<body><h1>Document moved</h1>\n"
              "This document has moved <a href=\"" +
              location + "\">here</a>.<p>\n</body>\n</html>\n",
          .content_type = "text/html;charset=ISO-8859-1",
          .headers = {{"Location", location}}};
}

/// Ends the process without joining: a satellite may sit in a tool that hangs for 45 s, and every
/// change is on disk already.
[[noreturn]] void EndOnSignal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("stopped by signal {}", signal);
  spdlog::default_logger()->flush();
  std::_Exit(0);
}

[[noreturn]] void Run(const Flags& flags) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first thread starts
  std::signal(SIGPIPE, SIG_IGN);

  breakwater::sim::DrbdSocket port(flags.drbd_sim);
  breakwater::sim::Simulator sim(flags.state_dir, port, flags.options);
  if (flags.ssl_connector) {
    const std::lock_guard lock(sim.database.mutex);
    sim.database.state.controller["defaultSslConSvc"] = "SslConnector";
  }
  sim.Start();
  const auto evacuation = breakwater::sim::StartEvacuation(sim);
  const auto handle = [&](const HttpRequest& request) { return sim.Handle(request); };
  std::unique_ptr<breakwater::sim::HttpServer> plain;
  std::unique_ptr<breakwater::sim::HttpServer> tls;
  if (flags.tls_listen.empty()) {
    plain = std::make_unique<breakwater::sim::HttpServer>(flags.listen, handle);
  } else {
    tls = std::make_unique<breakwater::sim::HttpServer>(flags.tls_listen, flags.tls, handle);
    const auto host = flags.tls_listen.substr(0, flags.tls_listen.rfind(':'));
    const auto tls_address = host + ":" + std::to_string(tls->port());
    plain = std::make_unique<breakwater::sim::HttpServer>(
        flags.listen, [handle, tls_address](const HttpRequest& request) {
          // Tests reach the side door on the plain port as well.
          return request.path.rfind("/sim/", 0) == 0 ? handle(request)
                                                     : Redirect(request, tls_address);
        });
  }
  std::printf("ready port=%u tls-port=%u\n", plain->port(), tls ? tls->port() : 0U);
  std::fflush(stdout);
  EndOnSignal(signals);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Simulated LINSTOR controller and satellites"};
  Flags flags;
  AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);
  flags.options.first_adjust = Millis(flags.first_adjust);
  flags.options.next_round = Millis(flags.first_adjust / 2);
  flags.options.exec_timeout = Millis(flags.exec_timeout);
  flags.options.poll = Millis(flags.poll);
  flags.options.hang_noticed = Millis(flags.hang_noticed);
  flags.options.full_sync = Millis(flags.full_sync);
  flags.options.snapshot = Millis(flags.snapshot);
  spdlog::set_default_logger(spdlog::stderr_logger_mt("linstor-sim"));
  spdlog::set_level(flags.verbose ? spdlog::level::debug : spdlog::level::info);
  spdlog::flush_on(spdlog::level::info);
  try {
    Run(flags);
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    return 1;
  }
}
