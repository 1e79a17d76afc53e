// breakwater-operator: flags in, exit code out. Exit codes: 0 stopped as asked, 1 could not run or
// lost leadership, 2 wrong flags.

#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "operator/base/core_dumps.h"
#include "operator/base/log.h"
#include "operator/cmd/memory.h"
#include "operator/cmd/options.h"
#include "operator/cmd/wiring.h"
#include "operator/net/cpprest_transport.h"
#include "operator/runtime/signals.h"

namespace {

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) {
      variables[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  return variables;
}

int Run(const breakwater::cmd::Options& options) {
  const breakwater::Logger log(options.log_level);
  const breakwater::runtime::SignalWaiter signals;
  const breakwater::Result<void, breakwater::Error> ended =
      breakwater::cmd::RunOperator(options, log, signals.stop());
  const bool canceled = !ended && ended.error().error_class == breakwater::ErrorClass::kCanceled;
  if (!ended && !canceled) {
    log.Error("cannot run", {{"error", ended.error().message}});
  }
  log.Flush();
  return ended || canceled ? EXIT_SUCCESS : EXIT_FAILURE;
}

// cpprestsdk parses all CA certificates of the system for each connection, before it asks us
// for the ones that are configured, and only those are ever trusted.
void ForgetSystemRoots() {
  setenv("SSL_CERT_FILE", "/dev/null", 1);
  setenv("SSL_CERT_DIR", "/dev/null", 1);
}

}  // namespace

int main(int argc, char** argv) {
  breakwater::ForbidCoreDumps();
  breakwater::cmd::KeepMemorySmall();
  ForgetSystemRoots();
  // Before any thread exists: all of them inherit the mask.
  breakwater::runtime::BlockSignals();
  auto parsed = breakwater::cmd::ParseOptions({argv + 1, argv + argc}, Environment());
  if (const auto* exit = std::get_if<breakwater::cmd::EarlyExit>(&parsed)) {
    (exit->code == 0 ? std::cout : std::cerr) << exit->message << std::endl;
    return exit->code;
  }
  breakwater::net::StartHttpThreads();
  const int code = Run(std::get<breakwater::cmd::Options>(parsed));
  // Static destruction would join cpprestsdk's pool, in which a resolver may still hang.
  std::_Exit(code);
}
