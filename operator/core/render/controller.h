#pragma once

/// The component of the LINSTOR controller.

#include "operator/core/render/component.h"
#include "operator/core/render/render.h"

namespace breakwater::core {

/// Manifests and built-in patches of the controller as `inputs` ask for it.
Component ControllerComponent(const ClusterInputs& inputs);

}  // namespace breakwater::core
