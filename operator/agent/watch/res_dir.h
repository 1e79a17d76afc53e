#pragma once

/// ResDir: what LINSTOR's .res files say, kept up to date by inotify. Only names and `tls` are
/// kept; the files have secrets.
/// Thread safety: none, runs in the loop's thread.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/agent/process/fd.h"
#include "operator/agent/process/loop.h"
#include "operator/agent/watch/node_files.h"
#include "operator/core/replication/node/drbd_types.h"

namespace breakwater::agent {

class ResDir {
 public:
  using Configs = std::map<std::string, replication::ResConfig>;

  /// `on_change` gets the resources whose configuration changed, came or went.
  ResDir(Loop* loop,
         NodeFiles* files,
         std::string directory,
         std::set<std::string> own_names,
         std::function<void(const std::vector<std::string>&)> on_change);
  ~ResDir();
  ResDir(const ResDir&) = delete;
  ResDir& operator=(const ResDir&) = delete;

  /// Reads everything and begins to watch.
  void Start();
  /// At the slow pace: begins to watch when the directory has come, reads what may be missed.
  void Check();
  /// The resources that the node has: which files there may be, where a directory cannot be read
  /// (NodeFiles::by_cat).
  void NoteResources(const std::vector<std::string>& names);

  /// Nothing: no file says something about this resource.
  std::optional<replication::ResConfig> Get(const std::string& resource) const;

  /// Whether files changed since the last call.
  bool TakeChanged() { return std::exchange(changed_, false); }

 private:
  void Watch();
  void ReadEvents();
  void ReadDirectory();
  void ReadFiles(const std::set<std::string>& names);
  void ReadByCat();
  void Publish(Configs now);

  Loop* const loop_;
  NodeFiles* const files_;
  const std::string directory_;
  const std::set<std::string> own_names_;
  const std::function<void(const std::vector<std::string>&)> on_change_;
  UniqueFd inotify_{};
  bool watching_ = false;
  bool changed_ = true;
  std::map<std::string, Configs> by_file_{};
  Configs configs_{};
  std::set<std::string> pending_{};  ///< files to be read
  bool pending_all_ = false;
  Alarm debounce_;
  std::vector<std::string> resources_{};
  bool cat_running_ = false;
  Alarm cat_alarm_;
};

}  // namespace breakwater::agent
