// Lines of the other end of the stream, and journal entries of an emptyDir: the first byte chooses,
// the rest is the input. Nothing may crash, hang or grow without bound; what is understood must
// mean the same when it is written and read again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "operator/core/replication/protocol/messages.h"

namespace {

using namespace breakwater::replication;  // NOLINT(google-build-using-namespace): a fuzz target

void Require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      if (const auto message = DecodeAgentMessage(text); message && *message) {
        const auto again = DecodeAgentMessage(Encode(**message));
        Require(again && *again == *message);
      }
      break;
    case 1:
      if (const auto message = DecodeOperatorMessage(text); message && *message) {
        const auto again = DecodeOperatorMessage(Encode(**message));
        Require(again && *again == *message);
      }
      break;
    case 2:
      if (const auto state = DecodeJournal(text)) {
        const auto again = DecodeJournal(EncodeJournal(*state));
        Require(again && *again == *state);
      }
      break;
    default: {
      LineSplitter splitter(64);
      std::size_t bytes = 0;
      for (std::size_t i = 0; i < text.size(); i += 7) {
        const auto lines = splitter.Feed(text.substr(i, 7));
        if (!lines) {
          break;
        }
        for (const auto& line : *lines) {
          bytes += line.size() + 1;
        }
      }
      Require(bytes <= text.size());
    }
  }
  return 0;
}
