#pragma once

/// The component of the LINSTOR controller.

#include "operator/core/render/component.h"
#include "operator/core/render/render.h"

namespace breakwater::core {

/// Manifests and built-in patches of the controller as `inputs` ask for it.
Component ControllerComponent(const ClusterInputs& inputs);

/// With an external controller: the Certificate with which the operator calls it, where apiTLS
/// names an issuer. Its own is nobody's business here.
Component ApiClientComponent(const ClusterInputs& inputs);

}  // namespace breakwater::core
