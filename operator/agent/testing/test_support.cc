#include "operator/agent/testing/test_support.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "operator/testing/source_dir.h"

namespace breakwater::agent::testing {

bool Eventually(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteText(const std::string& path, std::string_view text) {
  {
    std::ofstream file(path + ".tmp", std::ios::binary);
    file << text;
  }
  std::filesystem::rename(path + ".tmp", path);
}

std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
  }
  return lines;
}

bool FileExists(const std::string& path) {
  return std::filesystem::exists(path);
}

bool Alive(pid_t pid) {
  // A zombie of somebody else is dead, too.
  const std::string status = ReadText("/proc/" + std::to_string(pid) + "/stat");
  return !status.empty() && status.find(") Z ") == std::string::npos;
}

TempDir::TempDir() {
  // In memory, as in the pod: the journal syncs what it writes.
  std::string pattern =
      std::string(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/breakwater-agent-XXXXXX";
  path_ = mkdtemp(pattern.data());
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

FakeTools::FakeTools(const TempDir& dir) : dir_(dir), old_path_(std::getenv("PATH")) {
  for (const char* folder : {"bin", "status", "show", "res"}) {
    std::filesystem::create_directory(dir_.Path(folder));
  }
  EXPECT_EQ(mkfifo(dir_.Path("events").c_str(), 0600), 0);
  WriteLists();
  const std::string list = R"(
list() {
  if [ "$2" = --json ]; then cat "$d/$1.json"
  elif [ -e "$d/$1/$2" ]; then echo '['; cat "$d/$1/$2"; echo ']'
  else echo "$2: No such resource" >&2; exit 10; fi
}
)";
  WriteTool("drbdsetup", list + R"(
case "$1" in
  status|show) list "$1" "$2";;
  events2) echo $$ > "$d/events.pid.new"; mv "$d/events.pid.new" "$d/events.pid"
    echo 'exists -'; exec cat "$d/events";;
  resume-io) echo "$2" >> "$d/resumed";;
esac
)");
  WriteTool("drbdadm", "[ \"$1\" = --version ] && echo DRBDADM_VERSION=9.34.0\n");
  WriteTool("ss", "cat \"$d/ss\" 2>/dev/null\n");
  setenv("PATH", (dir_.Path("bin") + ":" + old_path_).c_str(), 1);
}

FakeTools::~FakeTools() {
  setenv("PATH", old_path_.c_str(), 1);
}

void FakeTools::WriteTool(const std::string& name, const std::string& body) {
  const std::string path = dir_.Path("bin/" + name);
  WriteText(path, "#!/bin/sh\nd='" + dir_.Path("") + "'\necho \"" + name +
                      " $*\" >> \"$d/calls\"\n" + "if [ -e \"$d/fail." + name +
                      "\" ]; then cat \"$d/fail." + name + "\" >&2; exit \"$(cat \"$d/code." +
                      name + "\")\"; fi\n" + body);
  chmod(path.c_str(), 0755);
}

void FakeTools::Fail(const std::string& tool, int exit_code, const std::string& error) {
  if (exit_code == 0) {
    std::filesystem::remove(dir_.Path("fail." + tool));
    return;
  }
  WriteText(dir_.Path("code." + tool), std::to_string(exit_code));
  WriteText(dir_.Path("fail." + tool), error);
}

void FakeTools::WriteLists() {
  for (const std::string kind : {"status", "show"}) {
    std::string list;
    for (const std::string& name : names_) {
      list += (list.empty() ? "" : ",") + ReadText(dir_.Path(kind + "/" + name));
    }
    WriteText(dir_.Path(kind + ".json"), "[" + list + "]\n");
  }
}

void FakeTools::SetResource(const std::string& name, const std::string& sample) {
  const std::string folder =
      breakwater::testing::SourceDir() + "/operator/core/replication/node/testdata/" + sample + "/";
  for (const std::string kind : {"status", "show"}) {
    std::string text = ReadText(folder + kind + ".json");
    text = text.substr(text.find('[') + 1);
    text = text.substr(0, text.rfind(']'));
    for (const std::string key : {"\"name\": \"", "\"resource\": \""}) {
      const std::size_t at = text.find(key + "r0\"");
      if (at != std::string::npos) {
        text.replace(at + key.size(), 2, name);
      }
    }
    WriteText(dir_.Path(kind + "/" + name), text);
  }
  if (std::find(names_.begin(), names_.end(), name) == names_.end()) {
    names_.push_back(name);
  }
  WriteLists();
}

void FakeTools::RemoveResource(const std::string& name) {
  std::erase(names_, name);
  for (const std::string kind : {"status", "show"}) {
    std::filesystem::remove(dir_.Path(kind + "/" + name));
  }
  WriteLists();
}

void FakeTools::Event(const std::string& line) {
  UniqueFd fd;
  ASSERT_TRUE(Eventually([&] {  // cat has opened it
    fd.Reset(open(dir_.Path("events").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    return fd.valid();
  }));
  const std::string text = line + "\n";
  // The end that stays open keeps events2 running.
  static std::vector<UniqueFd> open_ends;
  EXPECT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  open_ends.push_back(std::move(fd));
}

void FakeTools::KillEvents() {
  ASSERT_TRUE(Eventually([&] { return FileExists(dir_.Path("events.pid")); }));
  const pid_t pid = std::stoi(ReadText(dir_.Path("events.pid")));
  std::filesystem::remove(dir_.Path("events.pid"));
  kill(pid, SIGKILL);
}

std::vector<std::string> FakeTools::Calls() const {
  return LinesOf(dir_.Path("calls"));
}

std::size_t FakeTools::CallsOf(std::string_view begin) const {
  const std::vector<std::string> calls = Calls();
  return static_cast<std::size_t>(
      std::count_if(calls.begin(), calls.end(),
                    [&](const std::string& call) { return call.starts_with(begin); }));
}

Program::Program(const std::vector<std::string>& arguments) {
  std::array<int, 2> in{-1, -1};
  std::array<int, 2> out{-1, -1};
  EXPECT_EQ(pipe2(in.data(), O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(out.data(), O_CLOEXEC), 0);
  std::vector<std::string> words = arguments;
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  input_.Reset(in[1]);
  output_.Reset(out[0]);
}

Program::~Program() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void Program::Say(std::string_view text) {
  EXPECT_EQ(::write(input_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

std::string Program::NextLine() {
  while (rest_.find('\n') == std::string::npos) {
    pollfd readable{output_.get(), POLLIN, 0};
    std::array<char, 65536> buffer{};
    if (poll(&readable, 1, static_cast<int>(kPatience.count() * 1000)) <= 0) {
      return "";
    }
    const ssize_t size = ::read(output_.get(), buffer.data(), buffer.size());
    if (size <= 0) {
      return "";
    }
    rest_.append(buffer.data(), static_cast<std::size_t>(size));
  }
  const std::size_t end = rest_.find('\n');
  const std::string line = rest_.substr(0, end);
  rest_.erase(0, end + 1);
  return line;
}

std::string Program::LineWith(std::string_view text) {
  for (std::string line = NextLine(); !line.empty(); line = NextLine()) {
    if (line.find(text) != std::string::npos) {
      return line;
    }
  }
  return "";
}

void Program::Signal(int signal) const {
  kill(pid_, signal);
}

int Program::Wait() {
  int status = 0;
  if (!Eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) {
    return -1;
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace breakwater::agent::testing
