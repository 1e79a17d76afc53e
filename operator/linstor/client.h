#pragma once

/// Client: the LINSTOR controller's REST API v1 as the operator uses it.
///
/// Adapters: http_client.h (real), testing/fake_linstor.h (tests).
///
/// Errors: LinstorError. Reads may be repeated by the adapter, writes never: after a transport
/// error of a write the change may or may not have been made, so read again and decide by what is
/// there. Not found (404) of a single object is an error with IsNotFound(); filtered lists are just
/// empty. A read never takes an empty or foreign body for an empty list. A write that LINSTOR
/// accepted may carry warnings in its Reply. Changing a property runs `drbdadm adjust` on the nodes
/// concerned before the call returns, up to 45 s per node (source: LINSTOR's timeout for external
/// commands), so give writes a deadline above that. Setting a value that is already set does
/// nothing, not even a retry of a failed adjust.

#include <memory>
#include <string>
#include <vector>

#include "operator/base/context.h"
#include "operator/linstor/error.h"
#include "operator/linstor/types.h"

namespace breakwater::linstor {

/// Thread safety: all methods may be called from any thread.
class Client {
 public:
  virtual ~Client() = default;

  /// The base URL in use, for messages.
  virtual std::string url() const = 0;

  virtual LinstorResult<ControllerVersion> GetVersion(const Context& ctx) = 0;

  /// Contains secrets (keystore passwords): never log the whole map.
  virtual LinstorResult<Props> GetControllerProps(const Context& ctx) = 0;
  virtual LinstorResult<Reply> ModifyControllerProps(const Context& ctx,
                                                     const PropsChange& change) = 0;

  virtual LinstorResult<std::vector<Node>> ListNodes(const Context& ctx) = 0;
  virtual LinstorResult<Node> GetNode(const Context& ctx, const std::string& name) = 0;
  virtual LinstorResult<Reply> CreateNode(const Context& ctx, const Node& node) = 0;
  virtual LinstorResult<Reply> ModifyNode(const Context& ctx,
                                          const std::string& name,
                                          const PropsChange& change) = 0;
  /// Orderly removal; LINSTOR refuses while the node has resources.
  virtual LinstorResult<Reply> DeleteNode(const Context& ctx, const std::string& name) = 0;
  /// Removal of a node that will never come back, with everything on it.
  virtual LinstorResult<Reply> LostNode(const Context& ctx, const std::string& name) = 0;
  /// Moves the replicas away. Repeat only when nothing is in motion: each call may add replicas.
  virtual LinstorResult<Reply> EvacuateNode(const Context& ctx, const std::string& name) = 0;
  virtual LinstorResult<Reply> RestoreNode(const Context& ctx, const std::string& name) = 0;

  virtual LinstorResult<Reply> CreateNetInterface(const Context& ctx,
                                                  const std::string& node,
                                                  const NetInterface& netif) = 0;
  virtual LinstorResult<Reply> ModifyNetInterface(const Context& ctx,
                                                  const std::string& node,
                                                  const NetInterface& netif) = 0;
  virtual LinstorResult<Reply> DeleteNetInterface(const Context& ctx,
                                                  const std::string& node,
                                                  const std::string& netif) = 0;

  /// `node` "" = all nodes. Free space is what LINSTOR last knew (cached), so the call never waits
  /// for a node.
  virtual LinstorResult<std::vector<StoragePool>> ListStoragePools(const Context& ctx,
                                                                   const std::string& node) = 0;
  virtual LinstorResult<Reply> CreateStoragePool(const Context& ctx, const StoragePool& pool) = 0;
  virtual LinstorResult<Reply> ModifyStoragePool(const Context& ctx,
                                                 const std::string& node,
                                                 const std::string& pool,
                                                 const PropsChange& change) = 0;
  virtual LinstorResult<Reply> DeleteStoragePool(const Context& ctx,
                                                 const std::string& node,
                                                 const std::string& pool) = 0;
  virtual LinstorResult<Reply> CreatePhysicalStorage(const Context& ctx,
                                                     const std::string& node,
                                                     const PhysicalStorage& storage) = 0;

  virtual LinstorResult<std::vector<ResourceGroup>> ListResourceGroups(const Context& ctx) = 0;
  virtual LinstorResult<std::vector<ResourceDefinition>> ListResourceDefinitions(
      const Context& ctx) = 0;
  virtual LinstorResult<Reply> ModifyResourceDefinition(const Context& ctx,
                                                        const std::string& resource,
                                                        const PropsChange& change) = 0;

  /// Every replica on every node, with its DRBD state; `node` and `resource` "" = all.
  virtual LinstorResult<std::vector<Resource>> ListResources(const Context& ctx,
                                                             const std::string& node,
                                                             const std::string& resource) = 0;

  virtual LinstorResult<std::vector<Connection>> ListResourceConnections(
      const Context& ctx, const std::string& resource) = 0;
  /// Both nodes must have the resource. Adjusts all nodes of the resource, not only the pair.
  virtual LinstorResult<Reply> ModifyResourceConnection(const Context& ctx,
                                                        const std::string& resource,
                                                        const std::string& node_a,
                                                        const std::string& node_b,
                                                        const PropsChange& change) = 0;

  virtual LinstorResult<std::vector<Connection>> ListNodeConnections(const Context& ctx) = 0;
  /// Adjusts all resources on all nodes.
  virtual LinstorResult<Reply> ModifyNodeConnection(const Context& ctx,
                                                    const std::string& node_a,
                                                    const std::string& node_b,
                                                    const PropsChange& change) = 0;

  virtual LinstorResult<std::vector<Snapshot>> ListSnapshots(const Context& ctx) = 0;
};

}  // namespace breakwater::linstor
