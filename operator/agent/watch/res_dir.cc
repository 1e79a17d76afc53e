#include "operator/agent/watch/res_dir.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <dirent.h>
#include <poll.h>
#include <sys/inotify.h>

#include "operator/agent/process/journal_files.h"
#include "operator/agent/process/log.h"
#include "operator/core/replication/node/res_file.h"

namespace breakwater::agent {
namespace {

constexpr std::chrono::milliseconds kDebounce{50};
constexpr std::chrono::milliseconds kCatPace{2000};
constexpr std::size_t kMaxResFile = std::size_t{4} << 20U;
constexpr std::size_t kMaxFiles = 20000;
constexpr std::size_t kCatFiles = 500;  // an argument list has a limit
constexpr std::string_view kSuffix = ".res";

}  // namespace

ResDir::ResDir(Loop* loop,
               NodeFiles* files,
               std::string directory,
               std::set<std::string> own_names,
               std::function<void(const std::vector<std::string>&)> on_change)
    : loop_(loop),
      files_(files),
      directory_(std::move(directory)),
      own_names_(std::move(own_names)),
      on_change_(std::move(on_change)),
      debounce_(loop),
      cat_alarm_(loop) {}

ResDir::~ResDir() {
  if (inotify_.valid()) {
    loop_->Unwatch(inotify_.get());
  }
}

void ResDir::Start() {
  if (files_->by_cat()) {
    ReadByCat();
    return;
  }
  inotify_.Reset(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (inotify_.valid()) {
    loop_->Watch(inotify_.get(), POLLIN, [this](short) { ReadEvents(); });
  }
  Watch();
  ReadDirectory();
}

void ResDir::Watch() {
  watching_ = inotify_add_watch(inotify_.get(), directory_.c_str(),
                                IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                    IN_DELETE_SELF | IN_ONLYDIR) >= 0;
}

void ResDir::Check() {
  if (files_->by_cat()) {
    return;  // has a pace of its own
  }
  if (!watching_) {
    Watch();
    ReadDirectory();
  }
}

void ResDir::ReadEvents() {
  alignas(inotify_event) std::array<char, 16384> buffer{};
  for (ssize_t size = 0; (size = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0;) {
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(size);) {
      inotify_event event{};
      std::memcpy(&event, &buffer.at(at), sizeof(event));
      const std::string_view name(&buffer[at + sizeof(event)], event.len);
      at += sizeof(event) + event.len;
      if ((event.mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF)) != 0) {
        watching_ = watching_ && (event.mask & IN_Q_OVERFLOW) != 0;
        pending_all_ = true;
      } else {
        pending_.emplace(name.substr(0, name.find('\0')));
      }
    }
  }
  if (!debounce_.set()) {
    debounce_.SetAfter(kDebounce, [this] {
      const std::set<std::string> names = std::exchange(pending_, {});
      if (std::exchange(pending_all_, false)) {
        ReadDirectory();
      } else {
        ReadFiles(names);
      }
    });
  }
}

void ResDir::ReadDirectory() {
  std::set<std::string> names;
  for (const auto& entry : by_file_) {
    names.insert(entry.first);  // those that are gone too
  }
  if (DIR* dir = opendir(directory_.c_str())) {
    while (const dirent* entry = readdir(dir)) {
      if (names.size() < kMaxFiles) {
        names.emplace(static_cast<const char*>(entry->d_name));
      }
    }
    closedir(dir);
  }
  ReadFiles(names);
}

void ResDir::ReadFiles(const std::set<std::string>& names) {
  for (const std::string& name : names) {
    if (!name.ends_with(kSuffix)) {
      continue;
    }
    changed_ = true;
    const std::optional<std::string> text = ReadSmallFile(directory_ + "/" + name, kMaxResFile);
    if (!text) {
      by_file_.erase(name);
      continue;
    }
    replication::ResFile file = replication::ParseResFile(*text, own_names_);
    if (!file.well_formed) {
      LogWarn("a .res file is not well-formed", {{"file", name}});
    }
    by_file_.insert_or_assign(name, std::move(file.resources));
  }
  Configs all;
  for (const auto& entry : by_file_) {
    all.insert(entry.second.begin(), entry.second.end());
  }
  Publish(std::move(all));
}

void ResDir::NoteResources(const std::vector<std::string>& names) {
  if (files_->by_cat() && names != resources_) {
    resources_ = names;
    ReadByCat();
  }
}

void ResDir::ReadByCat() {
  cat_alarm_.SetAfter(kCatPace, [this] { ReadByCat(); });
  if (cat_running_ || resources_.empty()) {
    return;
  }
  cat_running_ = true;
  std::vector<std::string> paths;
  for (const std::string& name : resources_) {
    if (paths.size() < kCatFiles) {
      paths.push_back(directory_ + "/" + name + std::string(kSuffix));
    }
  }
  files_->ReadAll(paths, [this](const std::optional<std::string>& text) {
    cat_running_ = false;
    if (text) {
      Publish(replication::ParseResFile(*text, own_names_).resources);
    }
  });
}

void ResDir::Publish(Configs now) {
  std::vector<std::string> changed;
  for (const auto& [name, config] : now) {
    const auto it = configs_.find(name);
    if (it == configs_.end() || !(it->second == config)) {
      changed.push_back(name);
    }
  }
  for (const auto& entry : configs_) {
    if (!now.contains(entry.first)) {
      changed.push_back(entry.first);
    }
  }
  configs_ = std::move(now);
  if (!changed.empty()) {
    on_change_(changed);
  }
}

std::optional<replication::ResConfig> ResDir::Get(const std::string& resource) const {
  const auto it = configs_.find(resource);
  return it == configs_.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace breakwater::agent
