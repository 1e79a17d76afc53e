#pragma once

/// FakeLinstor: a LINSTOR controller in memory, for tests of controllers.
///
/// Keeps nodes, interfaces, pools, properties and connections as the real one does; says "not
/// found", refuses to create what exists, warns instead of failing for what is already gone. It
/// does not place volumes and runs no DRBD: tests put resources in by hand.

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/linstor/client.h"

namespace breakwater::testing {

/// What happens to one call.
enum class LinstorFault {
  kRefused,      ///< HTTP 500, no effect
  kLostRequest,  ///< no answer, no effect
  kLostAnswer,   ///< no answer, but LINSTOR has done it
  kLateEffect,   ///< no answer, and LINSTOR does it kLateTime later, at the latest before the same
                 ///< again
  kLateAnswer,   ///< done and answered, after a time that the hook of OnLateAnswer makes pass
};

/// LINSTOR works on a request when its client has given up after 30 s (L36).
inline constexpr std::chrono::minutes kLateTime{2};

/// Thread safety: all methods may be called from any thread.
class FakeLinstor final : public linstor::Client {
 public:
  struct State {
    linstor::ControllerVersion version{"1.34.0", "0123456", "2026-05-22T10:46:05+00:00", "1.28.0"};
    linstor::Props controller_props{};
    std::map<std::string, linstor::Node> nodes{};
    std::map<std::pair<std::string, std::string>, linstor::StoragePool> pools{};  ///< (node, pool)
    std::vector<linstor::ResourceGroup> groups{};
    std::map<std::string, linstor::ResourceDefinition> definitions{};
    std::vector<linstor::Resource> resources{};
    std::map<std::string, std::vector<linstor::Connection>> resource_connections{};
    std::vector<linstor::Connection> node_connections{};
    std::vector<linstor::Snapshot> snapshots{};
    /// Nodes whose satellite does not answer: they are OFFLINE when created.
    std::set<std::string> unreachable{};
    /// Free and total size that a new pool has.
    std::int64_t pool_kib = 1 << 20;
    /// Backing names (volume groups, ...) that exist by (node, name); creating a pool needs one
    /// unless this is empty.
    std::set<std::pair<std::string, std::string>> backing{};
    /// A pool that is refused for that reason is there nevertheless, with an error (L8).
    bool keeps_refused_pools = false;
    /// Properties that are refused wherever they are set.
    std::set<std::string> bad_properties{};
    /// Devices of which no physical storage can be made.
    std::set<std::string> bad_devices{};
    /// Devices with something on them, by (node, path): LINSTOR prepares empty ones only.
    std::set<std::pair<std::string, std::string>> used_devices{};
    /// The physical storage that was asked for, also what was refused.
    std::vector<linstor::PhysicalStorage> physical{};
  };

  /// Runs before each call without a lock held: a slow LINSTOR. An empty function removes it.
  void OnCall(std::function<void(const Context&)> hook);

  /// Reads or changes the state under the lock.
  template <typename F>
  auto With(const F& f) {
    const std::lock_guard lock(mutex_);
    return f(state_);
  }

  /// While down every call ends with "connection refused".
  void SetDown(bool down);
  /// The `index`-th call from now (0 = the next) fails.
  void FailCall(std::size_t index, LinstorFault fault = LinstorFault::kRefused);
  /// Forgets a FailCall; false: it has happened.
  bool ForgetFault();
  /// Runs without a lock held before a late answer arrives.
  void OnLateAnswer(std::function<void()> hook);
  /// Number of all calls so far.
  std::size_t calls() const;
  /// "METHOD object" of every write that reached LINSTOR, in order, e.g. "modify-node n1".
  std::vector<std::string> writes() const;
  void ClearWrites();
  /// The writes that LINSTOR accepted, also those whose answer was lost; without those that found
  /// nothing to do.
  std::vector<std::string> effects() const;
  void ClearEffects();
  /// What each call since then was, "" for reads.
  std::vector<std::string> CallsSince(std::size_t first) const;

  std::string url() const override { return "http://fake-linstor:3370"; }

  linstor::LinstorResult<linstor::ControllerVersion> GetVersion(const Context& ctx) override;
  linstor::LinstorResult<linstor::Props> GetControllerProps(const Context& ctx) override;
  linstor::LinstorResult<linstor::Reply> ModifyControllerProps(
      const Context& ctx, const linstor::PropsChange& change) override;
  linstor::LinstorResult<std::vector<linstor::Node>> ListNodes(const Context& ctx) override;
  linstor::LinstorResult<linstor::Node> GetNode(const Context& ctx,
                                                const std::string& name) override;
  linstor::LinstorResult<linstor::Reply> CreateNode(const Context& ctx,
                                                    const linstor::Node& node) override;
  linstor::LinstorResult<linstor::Reply> ModifyNode(const Context& ctx,
                                                    const std::string& name,
                                                    const linstor::PropsChange& change) override;
  linstor::LinstorResult<linstor::Reply> DeleteNode(const Context& ctx,
                                                    const std::string& name) override;
  linstor::LinstorResult<linstor::Reply> LostNode(const Context& ctx,
                                                  const std::string& name) override;
  linstor::LinstorResult<linstor::Reply> EvacuateNode(const Context& ctx,
                                                      const std::string& name) override;
  linstor::LinstorResult<linstor::Reply> RestoreNode(const Context& ctx,
                                                     const std::string& name) override;
  linstor::LinstorResult<linstor::Reply> CreateNetInterface(
      const Context& ctx, const std::string& node, const linstor::NetInterface& netif) override;
  linstor::LinstorResult<linstor::Reply> ModifyNetInterface(
      const Context& ctx, const std::string& node, const linstor::NetInterface& netif) override;
  linstor::LinstorResult<linstor::Reply> DeleteNetInterface(const Context& ctx,
                                                            const std::string& node,
                                                            const std::string& netif) override;
  linstor::LinstorResult<std::vector<linstor::StoragePool>> ListStoragePools(
      const Context& ctx, const std::string& node) override;
  linstor::LinstorResult<linstor::Reply> CreateStoragePool(
      const Context& ctx, const linstor::StoragePool& pool) override;
  linstor::LinstorResult<linstor::Reply> ModifyStoragePool(
      const Context& ctx,
      const std::string& node,
      const std::string& pool,
      const linstor::PropsChange& change) override;
  linstor::LinstorResult<linstor::Reply> DeleteStoragePool(const Context& ctx,
                                                           const std::string& node,
                                                           const std::string& pool) override;
  linstor::LinstorResult<linstor::Reply> CreatePhysicalStorage(
      const Context& ctx,
      const std::string& node,
      const linstor::PhysicalStorage& storage) override;
  linstor::LinstorResult<std::vector<linstor::ResourceGroup>> ListResourceGroups(
      const Context& ctx) override;
  linstor::LinstorResult<std::vector<linstor::ResourceDefinition>> ListResourceDefinitions(
      const Context& ctx) override;
  linstor::LinstorResult<linstor::Reply> ModifyResourceDefinition(
      const Context& ctx, const std::string& resource, const linstor::PropsChange& change) override;
  linstor::LinstorResult<std::vector<linstor::Resource>> ListResources(
      const Context& ctx, const std::string& node, const std::string& resource) override;
  linstor::LinstorResult<std::vector<linstor::Connection>> ListResourceConnections(
      const Context& ctx, const std::string& resource) override;
  linstor::LinstorResult<linstor::Reply> ModifyResourceConnection(
      const Context& ctx,
      const std::string& resource,
      const std::string& node_a,
      const std::string& node_b,
      const linstor::PropsChange& change) override;
  linstor::LinstorResult<std::vector<linstor::Connection>> ListNodeConnections(
      const Context& ctx) override;
  linstor::LinstorResult<linstor::Reply> ModifyNodeConnection(
      const Context& ctx,
      const std::string& node_a,
      const std::string& node_b,
      const linstor::PropsChange& change) override;
  linstor::LinstorResult<std::vector<linstor::Snapshot>> ListSnapshots(const Context& ctx) override;

 private:
  /// Runs `f` on the state, unless this call is to fail. `what` is noted when it is a write.
  template <typename T, typename F>
  linstor::LinstorResult<T> Call(const Context& ctx, const std::string& what, F f);
  /// `f` on the state, and what it did. With mutex_ held. `f` owns what it needs: it may run when
  /// the call is over.
  template <typename T, typename F>
  linstor::LinstorResult<T> RunLocked(const std::string& what, F& f);
  /// What is late and due before this call. With mutex_ held.
  void LandLate(const Context& ctx, const std::string& what);
  /// The fault of this call, if it is to have one. With mutex_ held.
  std::optional<LinstorFault> NextFault(std::size_t index);

  struct Late {
    std::string what{};
    SteadyTime due{};
    std::function<void()> effect{};
  };

  mutable std::mutex mutex_;
  State state_{};                                // guarded by mutex_
  bool down_ = false;                            // guarded by mutex_
  std::optional<std::size_t> fail_{};            // guarded by mutex_
  LinstorFault fault_ = LinstorFault::kRefused;  // guarded by mutex_
  std::optional<Late> late_{};                   // guarded by mutex_
  std::function<void()> late_answer_{};          // guarded by mutex_
  std::vector<std::string> calls_{};             // guarded by mutex_
  std::vector<std::string> effects_{};           // guarded by mutex_
  std::vector<std::string> writes_{};            // guarded by mutex_
  std::function<void(const Context&)> hook_{};   // guarded by mutex_
};

}  // namespace breakwater::testing
