#pragma once

#include <map>
#include <string>
#include <vector>

/// Requests and replies without any HTTP library, so that only one file needs one.
namespace breakwater::sim {

struct HttpRequest {
  std::string method;
  std::string path;                                       // decoded, without query
  std::map<std::string, std::vector<std::string>> query;  // decoded, in order of appearance
  std::string body;
  std::string peer = "127.0.0.1";
  std::string user_agent = "test";
};

/// What goes wrong on the wire on purpose.
enum class WireFault { kNone, kDrop, kHalf, kHang };

struct HttpReply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::map<std::string, std::string> headers;
  bool close = false;  // "Connection: close", as LINSTOR does on 400 and 500
  WireFault fault = WireFault::kNone;
};

}  // namespace breakwater::sim
