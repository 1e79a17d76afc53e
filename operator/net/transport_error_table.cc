#include "operator/net/transport_error_table.h"

#include <array>
#include <cerrno>
#include <string>

namespace breakwater::net {
namespace {

using Kind = TransportError::Kind;

struct Row {
  std::string_view stage;
  Kind kind;
  bool not_sent;
};

// A failed write may have been read by the server before it closed: only stages before the first
// byte of the request count as "not sent".
constexpr std::array<Row, 12> kRows{{
    {"Failed to connect", Kind::kConnect, true},
    {"Error resolving", Kind::kConnect, true},
    {"Error in SSL handshake", Kind::kTls, true},
    {"Failed to set TLS SNI", Kind::kTls, true},
    {"Failed to write request", Kind::kReset, false},
    {"Failed to read HTTP status line", Kind::kReset, false},
    {"Failed to read", Kind::kReset, false},
    {"Invalid HTTP status", Kind::kProtocol, false},
    {"Invalid HTTP version", Kind::kProtocol, false},
    {"Unexpected body encoding", Kind::kProtocol, false},
    {"Invalid chunked", Kind::kProtocol, false},
    {"Request canceled", Kind::kCanceled, false},
}};

}  // namespace

TransportError MapLibraryError(int code, std::string_view stage) {
  for (const Row& row : kRows) {
    if (stage.substr(0, row.stage.size()) == row.stage) {
      const bool timed_out = code == ETIMEDOUT && row.kind != Kind::kTls;
      return {timed_out ? Kind::kTimeout : row.kind, std::string(stage), row.not_sent};
    }
  }
  const Kind kind = code == ETIMEDOUT ? Kind::kTimeout : Kind::kReset;
  return {kind, std::string(stage), false};
}

}  // namespace breakwater::net
