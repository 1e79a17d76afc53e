#pragma once

#include <string>
#include <vector>

#include "tests/e2e/sim/linstor/entry.h"
#include "tests/e2e/sim/linstor/model.h"
#include "tests/e2e/sim/linstor/property_rules.h"
#include "tests/e2e/sim/linstor/router.h"
#include "tests/e2e/sim/linstor/satellites.h"

/// The REST handlers, one file per family, and what they share.
namespace breakwater::sim {

void RegisterController(Router& router);
void RegisterNodes(Router& router);
void RegisterNetInterfaces(Router& router);
void RegisterStoragePools(Router& router);
void RegisterGroups(Router& router);
void RegisterDefinitions(Router& router);
void RegisterVolumes(Router& router);
void RegisterResources(Router& router);
void RegisterConnections(Router& router);
void RegisterSnapshots(Router& router);
void RegisterRestore(Router& router);
void RegisterClone(Router& router);
void RegisterMakeAvailable(Router& router);
void RegisterRemoval(Router& router);
void RegisterKeyValues(Router& router);
void RegisterMisc(Router& router);

/// Side door: every snapshot, and whether I/O went on while it was made.
HttpReply ListTornSnapshots(Simulator& sim);

/// How the satellites' part of a reply is worded.
struct ApplyStyle {
  enum class Closing { kNone, kController, kNodeConn, kNode, kGroup };
  std::uint64_t op = rc::kModify;      // operation bits of the messages about volumes and resources
  std::uint64_t object = rc::kRscDfn;  // object bits of errors and warnings
  std::string details;
  nlohmann::json refs = nlohmann::json::object();
  Closing closing = Closing::kNone;
  bool warn_offline = true;           // L26: not for controller properties
  std::vector<std::string> speakers;  // nodes whose results are told; empty: all
};

/// Work for every node of a definition / for all resources of every node.
std::vector<Satellites::Work> WorkForDefinition(const Definition& definition);
std::vector<Satellites::Work> WorkForAll(const State& state);

/// Runs the rounds and appends what LINSTOR says about them. Stops after a round with an error.
/// Call without the database lock.
void Apply(Simulator& sim,
           const std::vector<Satellites::Work>& work,
           int rounds,
           const ApplyStyle& style,
           Entries& out);

/// What LINSTOR says about one node's work.
void AddResult(const CycleResult& result, const ApplyStyle& style, Entries& out);

Entry NotConnected(const std::string& node, const ApplyStyle& style);

/// Gives entries that ask for one (an empty id) an error report. Needs the database lock.
void FileReports(Simulator& sim, const HttpRequest& request, Entries& entries);

/// "Node 'x' not found." of plain reads: no object bits, no details.
HttpReply NotFound(std::uint64_t number, const std::string& message);

/// The long form of writes: cause and correction included.
Entry NotFoundEntry(std::uint64_t bits,
                    const std::string& what,   // "Resource definition 'r1'"
                    const std::string& plain,  // "resource definition 'r1'"
                    const std::string& correction,
                    const std::string& details,
                    nlohmann::json refs);
Entry NodeNotFound(std::uint64_t bits,
                   const std::string& node,
                   const std::string& details,
                   nlohmann::json refs);
Entry DefinitionNotFound(std::uint64_t bits,
                         const std::string& name,
                         const std::string& details,
                         nlohmann::json refs);

/// `offset` and `limit` of a list; throws what LINSTOR answers to a limit that is no number.
nlohmann::json Page(const Call& call, const nlohmann::json& list);
/// `props=key` or `props=key=value`, all of them.
bool MatchesProps(const Call& call, const Props& props);
/// True when the query does not name this kind at all or names this one.
bool Selected(const Call& call, const std::string& parameter, const std::string& name);

/// nullptr when there is no such volume. Needs the database lock.
VolumeDef* FindVolumeDef(State& state, const std::string& name, const std::string& number);
/// Adds a volume to a definition. Needs the database lock.
VolumeDef AddVolume(State& state, Definition& definition, int number, std::int64_t size_kib);
/// Checks and registers a definition. Needs the database lock.
Entries CreateDefinition(Simulator& sim,
                         const HttpRequest& request,
                         const nlohmann::json& wanted,
                         Definition& made);

/// RFC 1123 as LINSTOR checks it; the text is the cause, empty when the name is fine.
std::string BadNodeName(const std::string& name);

/// One node and the properties and flags its new replica gets.
struct Placement {
  std::string node;
  std::string pool;  // empty: diskless
  Props props;
  std::vector<std::string> flags;
  std::string copy_of = {}, copy_name = {};  // what its disks start with, as in Resource
};

/// A replica in a pool; a resource without a disk.
Placement Diskful(const std::string& node, const std::string& pool);
Placement Diskless(const std::string& node);

/// Registers replicas, adds a tiebreaker, deploys and waits. `node_names` is for the details.
/// Takes the database lock itself. Used by resource create, autoplace and spawn.
Entries Deploy(Simulator& sim,
               const std::string& definition,
               const std::vector<Placement>& placements,
               const ApplyStyle& style);

/// What the autoplacer chooses, or the reason why it cannot. Needs the database lock.
struct PlaceResult {
  std::vector<Placement> placements;
  int missing = 0;    // replicas that were asked for; below 0: there are too many
  std::string error;  // details of "Not enough available nodes"
};

PlaceResult ChoosePlaces(Simulator& sim,
                         const Definition& definition,
                         const nlohmann::json& filter,
                         const std::string& closing);

/// The names of all nodes that are ONLINE. Needs the database lock.
std::vector<std::string> OnlineNodes(Simulator& sim);

/// Is the resource open on a node, as the nodes say it now? The node's name, or empty. Call without
/// the database lock.
std::string NodeThatUses(Simulator& sim, const Definition& definition);

/// Flags a resource for removal, lets its node and its peers know.
void RemoveReplicas(Simulator& sim,
                    const std::string& definition,
                    const std::vector<std::string>& nodes,
                    const ApplyStyle& style,
                    Entries& out);

}  // namespace breakwater::sim
