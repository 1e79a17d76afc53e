#pragma once

/// For the tests of the agent: a directory of its own, DRBD's tools as scripts that answer from
/// files, and waiting for conditions.

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "operator/agent/process/fd.h"

namespace breakwater::agent::testing {

inline constexpr std::chrono::seconds kPatience{30};

/// True as soon as `condition` is; false after kPatience.
bool Eventually(const std::function<bool()>& condition);

std::string ReadText(const std::string& path);
/// Replaces the file at once, as LINSTOR does.
void WriteText(const std::string& path, std::string_view text);
std::vector<std::string> LinesOf(const std::string& path);
bool FileExists(const std::string& path);
bool Alive(pid_t pid);

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string Path(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

/// drbdsetup, drbdadm and ss in a directory that comes first in PATH while this lives. Each call is
/// a line of "calls"; events2 copies a pipe that Event() writes to.
class FakeTools {
 public:
  explicit FakeTools(const TempDir& dir);
  ~FakeTools();
  FakeTools(const FakeTools&) = delete;
  FakeTools& operator=(const FakeTools&) = delete;

  /// A resource as a recorded folder of core/replication/node/testdata shows it, under `name`.
  void SetResource(const std::string& name, const std::string& sample);
  void RemoveResource(const std::string& name);
  /// Waits until events2 runs, then says a line.
  void Event(const std::string& line);
  /// Ends the events2 that runs.
  void KillEvents();
  /// From now on `tool` ends with this code and says `error`; 0: works again.
  void Fail(const std::string& tool, int exit_code, const std::string& error);

  std::vector<std::string> Calls() const;
  std::size_t CallsOf(std::string_view begin) const;

 private:
  void WriteLists();
  void WriteTool(const std::string& name, const std::string& body);

  const TempDir& dir_;
  std::string old_path_;
  std::vector<std::string> names_{};
};

/// A program with pipes at its standard input and output.
class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }

  void Say(std::string_view text);

  void CloseInput() { input_.Reset(); }

  /// The next line of its output; "" at its end or after kPatience.
  std::string NextLine();
  /// Reads lines until one has this text in it; "" when none has.
  std::string LineWith(std::string_view text);
  void Signal(int signal) const;
  /// Waits for its end; exit code, or 128 + signal.
  int Wait();

 private:
  pid_t pid_ = -1;
  UniqueFd input_{};
  UniqueFd output_{};
  std::string rest_{};
};

}  // namespace breakwater::agent::testing
