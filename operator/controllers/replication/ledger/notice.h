#pragma once

#include <string>

namespace breakwater::controllers {

/// Something that people are told as a Kubernetes Event.
struct Notice {
  std::string resource{};  ///< "" = about the cluster as a whole
  bool warning = false;
  std::string reason{};
  std::string text{};

  bool operator==(const Notice&) const = default;
};

}  // namespace breakwater::controllers
