#include "operator/controllers/replication/replication_controllers.h"

#include <utility>

#include "operator/controllers/replication/tls_secret.h"

namespace breakwater::controllers {

ReplicationControllers::ReplicationControllers(ReplicationControllersDeps deps)
    : deps_(std::move(deps)),
      feed_(deps_.agents),
      reporter_(deps_.services,
                deps_.client,
                deps_.clusters,
                deps_.satellites.satellites,
                claims_,
                deps_.events),
      metrics_(deps_.services.metrics, claims_),
      volume_({.services = deps_.services,
               .board = board_,
               .feed = feed_,
               .agents = deps_.agents,
               .shell = deps_.shell,
               .reporter = reporter_,
               .metrics = metrics_,
               .satellite_container = deps_.options.satellite_container,
               .instance = deps_.options.instance}),
      node_({.services = deps_.services,
             .board = board_,
             .feed = feed_,
             .shell = deps_.shell,
             .satellites = deps_.satellites,
             .secrets = deps_.secrets},
            {.satellite_container = deps_.options.satellite_container,
             .tlshd_container = deps_.options.tlshd_container,
             .observe_interval = deps_.options.observe_interval}),
      cluster_({.services = deps_.services,
                .client = deps_.client,
                .linstor = deps_.linstor,
                .clusters = deps_.clusters,
                .satellites = deps_.satellites,
                .floor = deps_.floor,
                .claims = claims_,
                .board = board_,
                .feed = feed_,
                .agents = deps_.agents,
                .nodes = node_,
                .reporter = reporter_,
                .metrics = metrics_,
                .use = deps_.options.use},
               {.satellite_container = deps_.options.satellite_container,
                .tlshd_container = deps_.options.tlshd_container,
                .observe_interval = deps_.options.observe_interval}) {}

void ReplicationControllers::SetQueues(const ReplicationQueues& queues) {
  queues_ = queues;
  const Wakers wakers{.volume = queues.volume,
                      .cluster = queues.cluster,
                      .certificates = [this](const std::string& node) { WantCertificates(node); }};
  volume_.SetWakers(wakers);
  node_.SetWakers(wakers);
  cluster_.SetWakers(wakers, queues.node);
}

void ReplicationControllers::WantCertificates(const std::string& node) {
  node_.WantCertificates(node);
  queues_.node(node);
}

void ReplicationControllers::Lead(const std::stop_token& leading, std::int64_t epoch) {
  volume_.SetLeading(leading);
  cluster_.Lead(leading, epoch);
}

void ReplicationControllers::NoteResource(const std::string& resource) {
  queues_.volume(resource);
}

// Its volumes are seen otherwise now, whether it came or went.
void ReplicationControllers::NoteNode(const std::string& node) {
  queues_.cluster();
  const std::shared_ptr<const PublishedPlan> plan = board_.Get();
  if (plan == nullptr) {
    return;
  }
  for (const auto& [name, resource] : plan->cluster->linstor.Last().resources) {
    if (resource.nodes.contains(node)) {
      queues_.volume(name);
    }
  }
}

void ReplicationControllers::NoteResult(const std::string& node,
                                        const replication::ResultMessage& message) {
  volume_.NoteResult(node, message);
}

void ReplicationControllers::NotePod(const api::Object& pod) {
  const api::Json* node = api::FindPath(pod.raw(), {"spec", "nodeName"});
  if (node != nullptr && node->is_string()) {
    queues_.node(node->get<std::string>());
    queues_.cluster();
  }
}

void ReplicationControllers::NoteSecret(const api::Object& secret) {
  if (!IsTlsSecret(secret)) {
    return;
  }
  for (const std::string& node : node_.NoteSecret(secret.name())) {
    queues_.node(node);
  }
}

}  // namespace breakwater::controllers
