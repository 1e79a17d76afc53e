#pragma once

/// JournalFiles: the journal as files of one directory.
///
///   boot              the kernel's boot id under which the rest was written
///   epoch             the highest epoch of an operator
///   <id>.json         a transaction that is under way
///   results/<n>.json  results, numbered in their order
///   *.rejected        what was there and not understood: kept for people, never acted upon
///
/// Each file is written aside, synced and renamed. Files are read only when they are plain files of
/// our own, of a bounded size, and decode.
/// Thread safety: none.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/agent/kernel.h"

namespace breakwater::agent {

class JournalFiles final : public JournalStore {
 public:
  /// The directory is made at the first call.
  explicit JournalFiles(std::string directory) : directory_(std::move(directory)) {}

  Result<StoredJournal, Error> LoadAll() override;
  Result<void, Error> Clear(const std::string& boot) override;
  Result<void, Error> Write(const std::string& id, std::string_view text) override;
  void Remove(const std::string& id) override;
  Result<void, Error> WriteResult(const std::string& id, std::string_view line) override;
  Result<void, Error> WriteEpoch(std::int64_t epoch) override;

  /// Ids of all entries, also of those that were put aside by this process or an earlier one.
  std::vector<std::string> Ids() const;

  /// Results that LoadAll has found, oldest first.
  const std::vector<replication::ResultMessage>& Results() const { return loaded_; }

  /// For people: what was wrong with the journal, "" = nothing.
  std::string Problem() const;

 private:
  std::string Path(std::string_view name) const;
  void PutAside(const std::string& name);
  void LoadResults(StoredJournal* stored);

  const std::string directory_;
  std::uint64_t next_result_ = 1;
  std::deque<std::uint64_t> results_{};
  std::vector<replication::ResultMessage> loaded_{};
};

/// Makes the directory and those above it, mode 0700; an existing one gets this mode.
Result<void, Error> MakePrivateDirectory(const std::string& path);

/// Replaces a file: written aside, synced, renamed.
Result<void, Error> WriteFileAtomically(const std::string& path,
                                        std::string_view content,
                                        unsigned mode);

/// A plain file of at most `limit` bytes; nothing when it is not one or cannot be read.
std::optional<std::string> ReadSmallFile(const std::string& path, std::size_t limit);

}  // namespace breakwater::agent
