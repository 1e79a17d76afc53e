#include "operator/agent/process/journal_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>
#include <variant>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "operator/agent/process/fd.h"
#include "operator/agent/process/guard_protocol.h"
#include "operator/agent/process/log.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::agent {
namespace {

constexpr std::size_t kMaxFile = std::size_t{256} << 10U;
constexpr std::size_t kMaxFiles = 1024;
constexpr std::string_view kEntry = ".json";
constexpr std::string_view kRejected = ".rejected";
constexpr std::string_view kResults = "results";

Error Failure(std::string_view what, const std::string& path) {
  return {ErrorClass::kTransient,
          std::string(what) + " " + path + ": " + std::string(std::strerror(errno))};
}

std::vector<std::string> Names(const std::string& directory) {
  std::vector<std::string> names;
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr) {
    return names;
  }
  while (const dirent* entry = readdir(dir)) {
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != ".." && names.size() < kMaxFiles) {
      names.push_back(name);
    }
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

bool WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t size = ::write(fd, content.data(), content.size());
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size <= 0) {
      return false;
    }
    content.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

void SyncDirectoryOf(const std::string& path) {
  const UniqueFd fd(
      open(path.substr(0, path.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) {
    fsync(fd.get());
  }
}

std::string ResultName(std::uint64_t number) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "%020llu.json", static_cast<unsigned long long>(number));
  return std::string(kResults) + "/" + name.data();
}

}  // namespace

Result<void, Error> MakePrivateDirectory(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    mkdir(path.substr(0, at).c_str(), 0755);
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Unexpected{Failure("cannot make", path)};
  }

  struct stat status {};

  if (lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
      ((status.st_mode & 0777U) != 0700 && chmod(path.c_str(), 0700) != 0)) {
    return Unexpected{Failure("not a directory of our own:", path)};
  }
  return {};
}

Result<void, Error> WriteFileAtomically(const std::string& path,
                                        std::string_view content,
                                        unsigned mode) {
  const std::string aside = path + ".new";
  unlink(aside.c_str());
  UniqueFd fd(open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid() || !WriteAll(fd.get(), content) || fchmod(fd.get(), mode) != 0 ||
      fsync(fd.get()) != 0) {
    const Error error = Failure("cannot write", aside);
    unlink(aside.c_str());
    return Unexpected{error};
  }
  fd.Reset();
  if (rename(aside.c_str(), path.c_str()) != 0) {
    return Unexpected{Failure("cannot rename", aside)};
  }
  SyncDirectoryOf(path);
  return {};
}

std::optional<std::string> ReadSmallFile(const std::string& path, std::size_t limit) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));

  struct stat status {};

  if (!fd.valid() || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  std::string text;
  std::array<char, 16384> buffer{};
  while (text.size() <= limit) {
    const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0) {
      return std::nullopt;
    }
    if (size == 0) {
      return text;
    }
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return std::nullopt;
}

std::string JournalFiles::Path(std::string_view name) const {
  return directory_ + "/" + std::string(name);
}

void JournalFiles::PutAside(const std::string& name) {
  LogError("a file of the journal is not understood and is put aside", {{"file", name}});
  rename(Path(name).c_str(), (Path(name) + std::string(kRejected)).c_str());
}

Result<StoredJournal, Error> JournalFiles::LoadAll() {
  BREAKWATER_RETURN_IF_ERROR(MakePrivateDirectory(directory_));
  BREAKWATER_RETURN_IF_ERROR(MakePrivateDirectory(Path(kResults)));
  StoredJournal stored;
  stored.boot = std::string(replication::Trim(ReadSmallFile(Path("boot"), 128).value_or("")));
  const std::string epoch = ReadSmallFile(Path("epoch"), 64).value_or("0");
  stored.epoch =
      std::max<std::int64_t>(0, replication::ToInteger(replication::Trim(epoch)).value_or(0));
  for (const std::string& name : Names(directory_)) {
    if (name.ends_with(".new")) {
      unlink(Path(name).c_str());  // a write that was cut off: the old file is the truth
      continue;
    }
    if (!name.ends_with(kEntry)) {
      continue;
    }
    const std::string id = name.substr(0, name.size() - kEntry.size());
    const std::optional<std::string> text = ReadSmallFile(Path(name), kMaxFile);
    const auto state = replication::DecodeJournal(text.value_or(""));
    if (!state || state->request.id != id || !IsTransactionId(id)) {
      PutAside(name);
    } else {
      stored.entries.emplace(id, *text);
    }
  }
  LoadResults(&stored);
  return stored;
}

void JournalFiles::LoadResults(StoredJournal* stored) {
  results_.clear();
  loaded_.clear();
  for (const std::string& file : Names(Path(kResults))) {
    const std::string name = std::string(kResults) + "/" + file;
    if (!file.ends_with(kEntry)) {
      continue;
    }
    const auto number = replication::ToInteger(file.substr(0, file.size() - kEntry.size()));
    const std::optional<std::string> line = ReadSmallFile(Path(name), kMaxFile);
    const auto message = replication::DecodeAgentMessage(replication::Trim(line.value_or("")));
    const bool good = number && *number > 0 &&
                      ResultName(static_cast<std::uint64_t>(*number)) == name && message &&
                      *message && std::holds_alternative<replication::ResultMessage>(**message);
    if (!good) {
      PutAside(name);
      continue;
    }
    stored->results.push_back(*line);
    loaded_.push_back(std::get<replication::ResultMessage>(**message));
    results_.push_back(static_cast<std::uint64_t>(*number));
    next_result_ = std::max(next_result_, results_.back() + 1);
  }
}

Result<void, Error> JournalFiles::Clear(const std::string& boot) {
  BREAKWATER_RETURN_IF_ERROR(MakePrivateDirectory(directory_));
  BREAKWATER_RETURN_IF_ERROR(MakePrivateDirectory(Path(kResults)));
  for (const std::string& name : Names(directory_)) {
    if (name != kResults) {
      unlink(Path(name).c_str());
    }
  }
  for (const std::string& name : Names(Path(kResults))) {
    unlink((Path(kResults) + "/" + name).c_str());
  }
  results_.clear();
  loaded_.clear();
  return WriteFileAtomically(Path("boot"), boot + "\n", 0600);
}

Result<void, Error> JournalFiles::Write(const std::string& id, std::string_view text) {
  if (!IsTransactionId(id)) {
    return Unexpected{Error{ErrorClass::kInvalid, "not the id of a transaction"}};
  }
  return WriteFileAtomically(Path(id + std::string(kEntry)), text, 0600);
}

void JournalFiles::Remove(const std::string& id) {
  if (IsTransactionId(id)) {
    unlink(Path(id + std::string(kEntry)).c_str());
    SyncDirectoryOf(Path(id));
  }
}

Result<void, Error> JournalFiles::WriteResult(const std::string& /*id*/, std::string_view line) {
  BREAKWATER_RETURN_IF_ERROR(WriteFileAtomically(Path(ResultName(next_result_)), line, 0600));
  results_.push_back(next_result_++);
  while (results_.size() > kMaxResults) {
    unlink(Path(ResultName(results_.front())).c_str());
    results_.pop_front();
  }
  return {};
}

Result<void, Error> JournalFiles::WriteEpoch(std::int64_t epoch) {
  return WriteFileAtomically(Path("epoch"), std::to_string(epoch) + "\n", 0600);
}

std::vector<std::string> JournalFiles::Ids() const {
  std::vector<std::string> ids;
  for (std::string name : Names(directory_)) {
    if (name.ends_with(kRejected)) {
      name.resize(name.size() - kRejected.size());
    }
    if (name.ends_with(kEntry)) {
      name.resize(name.size() - kEntry.size());
      if (IsTransactionId(name)) {
        ids.push_back(name);
      }
    }
  }
  return ids;
}

std::string JournalFiles::Problem() const {
  std::size_t count = 0;
  for (const std::string& directory : {directory_, Path(kResults)}) {
    for (const std::string& name : Names(directory)) {
      count += name.ends_with(kRejected) ? 1U : 0U;
    }
  }
  return count == 0 ? ""
                    : std::to_string(count) + " files of the journal in " + directory_ +
                          " were not understood and are kept as *.rejected";
}

}  // namespace breakwater::agent
