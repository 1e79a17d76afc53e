#pragma once

/// The Secret with what tlshd of a node presents and trusts, as two controllers see it: one keeps
/// it (controllers/certificates), the other mounts it (controllers/satellite). Pure.

#include <optional>
#include <string_view>

#include "operator/api/object.h"
#include "operator/api/replication_tls.h"
#include "operator/core/render/render.h"

namespace breakwater::controllers {

/// On the Secret: the mode that its certificate came from.
inline constexpr std::string_view kCertificateSource = "breakwater.io/certificate-source";
/// On the Secret, "true": the satellite's own Secret says the same by now; it may be mounted again.
inline constexpr std::string_view kReleased = "breakwater.io/released";

inline constexpr std::string_view kHandshakeContainer = "ktls-utils";

/// Whether the Secret holds certificate, key and bundle. Null: no.
bool HoldsCertificate(const api::ObjectPtr& secret);

/// Whether an object with a pod template, or a pod, mounts the replication Secret. Null: no.
bool MountsReplicationSecret(const api::ObjectPtr& object);

/// Whether an object with a pod template, or a pod, has a container of this name. Null: no.
bool SpecHasContainer(const api::ObjectPtr& object, std::string_view container);

/// What of internalTLS a DaemonSet or pod mounts: secretName and caReference. Nothing when it has
/// no volume of that name, and for null.
std::optional<api::TlsConfig> MountedTls(const api::ObjectPtr& object);

/// What the satellite of a node mounts, and asks cert-manager for.
/// @param settings null: the LinstorCluster is gone or cannot be read; everything stays
/// @param secret of the node; null: it has none
/// @param live its DaemonSet; null: it has none
core::ReplicationCertificate MountFor(const api::CertificateSettings* settings,
                                      const api::ObjectPtr& secret,
                                      const api::ObjectPtr& live);

/// Whether a satellite that has no handshake daemon yet is to wait for its replication Secret:
/// with the daemon first, it would restart once more when the Secret comes.
bool AwaitsCertificate(const api::CertificateSettings* settings,
                       const core::ReplicationCertificate& mount,
                       const api::ObjectPtr& live);

}  // namespace breakwater::controllers
