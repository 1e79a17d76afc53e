#include "operator/agent/watch/genetlink.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "operator/agent/process/fd.h"

namespace breakwater::agent {
namespace {

struct FamilyRequest {
  nlmsghdr header{};
  genlmsghdr generic{};
  nlattr attribute{};
  std::array<char, GENL_NAMSIZ> name{};
};

}  // namespace

std::optional<bool> HasGenericNetlinkFamily(const std::string& name) {
  FamilyRequest request;
  if (name.size() >= request.name.size()) {
    return std::nullopt;
  }
  const UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  const timeval limit{0, 200000};
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0) {
    return std::nullopt;
  }
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = GENL_ID_CTRL;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.header.nlmsg_seq = 1;
  request.generic.cmd = CTRL_CMD_GETFAMILY;
  request.generic.version = 1;
  request.attribute.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + name.size() + 1);
  request.attribute.nla_type = CTRL_ATTR_FAMILY_NAME;
  name.copy(request.name.data(), name.size());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  // The address of any family is passed as a sockaddr.
  if (sendto(fd.get(), &request, sizeof(request), 0, reinterpret_cast<const sockaddr*>(&kernel),
             sizeof(kernel)) != static_cast<ssize_t>(sizeof(request))) {
    return std::nullopt;
  }
  alignas(nlmsghdr) std::array<char, 8192> answer{};
  const ssize_t size = recv(fd.get(), answer.data(), answer.size(), 0);
  if (size < static_cast<ssize_t>(sizeof(nlmsghdr))) {
    return std::nullopt;
  }
  nlmsghdr header{};
  std::memcpy(&header, answer.data(), sizeof(header));
  if (header.nlmsg_type == GENL_ID_CTRL) {
    return true;
  }
  int error = 0;
  if (header.nlmsg_type != NLMSG_ERROR ||
      size < static_cast<ssize_t>(sizeof(header) + sizeof(error))) {
    return std::nullopt;
  }
  std::memcpy(&error, answer.data() + sizeof(header), sizeof(error));
  if (error == -ENOENT) {
    return false;
  }
  return std::nullopt;
}

}  // namespace breakwater::agent
