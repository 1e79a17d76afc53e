#include "tests/e2e/sim/drbd/shell.h"

#include <algorithm>
#include <ctime>

namespace breakwater::sim {
namespace {

// A step that waits for the kernel looks again after this long.
constexpr Millis kPoll{10};

// A stream looks this often whether anybody still reads it.
constexpr Millis kIdle{500};

// Enough for the migration of some hundred volumes with an observation every few seconds.
constexpr std::size_t kTraceLength = 200000;

std::string BaseName(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string Join(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    line += (line.empty() ? "" : " ") + word;
  }
  return line;
}

// Options that take their value as the next word.
bool TakesValue(const std::string& option) {
  return option == "--max-peers" || option == "-c" || option == "--config-file" || option == "-t" ||
         option == "--config-to-test" || option == "-n" || option == "--node-id";
}

}  // namespace

bool Shell::Job::Has(std::string_view option) const {
  return std::find(options.begin(), options.end(), option) != options.end();
}

void Shell::Fail(Job& job, int exit, const std::string& text) {
  job.result.exit = exit;
  job.result.err += text;
}

void Shell::Start(const std::string& node,
                  const std::string& container,
                  const std::vector<std::string>& argv,
                  Done done,
                  Launch launch) {
  auto job = std::make_shared<Job>();
  job->node = node;
  job->container = container;
  job->argv = argv;
  job->done = std::move(done);
  job->launch = std::move(launch);
  for (std::size_t i = 1; i < argv.size(); ++i) {
    if (argv[i].starts_with("-") && argv[i].size() > 1) {
      if (argv[i] != "--") {
        job->options.push_back(argv[i]);
      }
      if (TakesValue(argv[i]) && i + 1 < argv.size()) {
        job->options.push_back(argv[++i]);
      }
    } else {
      job->words.push_back(argv[i]);
    }
  }
  job->trace = trace_forgotten_ + trace_.size();
  trace_.push_back({.start = world_.events.now(), .node = node, .argv = argv});
  if (trace_.size() > kTraceLength) {
    trace_.pop_front();
    ++trace_forgotten_;
  }
  TellWatches(trace_.back());
  if (argv.empty()) {
    Fail(*job, 127, "no command\n");
  } else if (ApplyFaults(job)) {
    return;
  } else {
    Dispatch(*job);
  }
  RunNext(job);
}

void Shell::TellWatches(const TraceEntry& entry) {
  if (watches_.empty()) {
    return;
  }
  const std::string line = Join(entry.argv) + " ";
  std::erase_if(watches_, [&](const CommandWatch& watch) {
    const bool fits = (watch.node.empty() || watch.node == entry.node) &&
                      line.find(watch.pattern) != std::string::npos;
    if (fits) {
      watch.begun(entry);
    }
    return fits;
  });
}

// True: the fault took the command over.
bool Shell::ApplyFaults(const std::shared_ptr<Job>& job) {
  const std::string line = Join(job->argv);
  for (CommandFault& fault : faults_) {
    if (fault.times == 0 || (!fault.node.empty() && fault.node != job->node) ||
        line.find(fault.pattern) == std::string::npos) {
      continue;
    }
    if (fault.times > 0) {
      --fault.times;
    }
    if (fault.hang) {
      return true;  // never answers; the caller's deadline has to
    }
    if (fault.fail) {
      Fail(*job, fault.exit, fault.err);
      world_.events.After(fault.delay, [this, job] { RunNext(job); });
      return true;
    }
    world_.events.After(fault.delay, [this, job] {
      Dispatch(*job);
      RunNext(job);
    });
    return true;
  }
  return false;
}

void Shell::Dispatch(Job& job) {
  const std::string program = BaseName(job.argv[0]);
  const Node& node = NodeOf(job);
  if (!node.up) {
    Fail(job, 255, "connection refused\n");
  } else if (program == "drbdadm") {
    job.steps.push_back({world_.config.drbdadm_start, [this](Job& j) {
                           Drbdadm(j);
                           return Flow::kNext;
                         }});
  } else if (program == "drbdsetup") {
    job.steps.push_back({StartTime(job), [this](Job& j) {
                           Drbdsetup(j);
                           return Flow::kNext;
                         }});
  } else if (program == "drbdmeta") {
    // LINSTOR writes the generation of new metadata itself; Attach() knows the outcome.
    job.steps.push_back({world_.config.drbdsetup_start, [](Job&) { return Flow::kNext; }});
  } else if (program == "ss") {
    Ss(job);
  } else if (program == "cat" || program == "head") {
    CatOrHead(job);
  } else if (program == "stat") {
    Stat(job);
  } else if (program == "ls") {
    Ls(job);
  } else if (program == "dmesg") {
    for (const std::string& line : node.dmesg) {
      job.result.out += line + "\n";
    }
  } else if (program == "tlshd-log") {
    job.result.out = node.tlshd.log;
  } else if (program == "satellite-log") {
    job.result.out = node.satellite.log;
  } else if (program == "date" && job.words == std::vector<std::string>{"+%s"}) {
    // Real time, as the dates of certificates are.
    job.result.out = std::to_string(std::time(nullptr) + node.clock_ahead_s) + "\n";
  } else {
    job.result.passthrough = true;
  }
}

Time Shell::StartTime(const Job& job) {
  const SimConfig& config = world_.config;
  const std::string command = job.words.empty() ? "" : job.words[0];
  const bool cut = command == "disconnect";
  const bool force = cut && job.Has("--force");
  const auto it = config.command_times.find(force ? "disconnect --force" : command);
  if (it == config.command_times.end()) {
    return config.drbdsetup_start;
  }
  // A disconnect ends when the connection is down, which the kernel takes its time for.
  const Time time = it->second.Sample(world_.rng) - (cut ? Time(config.teardown) : Time{0});
  return std::max(time, Time{0});
}

void Shell::RunNext(const std::shared_ptr<Job>& job) {
  if (job->steps.empty()) {
    Finish(job);
    return;
  }
  world_.events.After(job->steps.front().delay, [this, job] {
    const bool dies = world_.config.kill_with_client || job->stream != 0;
    if (!NodeOf(*job).up || (dies && job->launch.abandoned && job->launch.abandoned())) {
      feed_.Close(job->stream);
      job->steps.clear();
      Fail(*job, 137, "");
      Finish(job);
      return;
    }
    Step step = std::move(job->steps.front());
    job->steps.pop_front();
    if (const Flow flow = step.run(*job); flow != Flow::kNext) {
      step.delay = flow == Flow::kAgain ? kPoll : kIdle;
      job->steps.push_front(std::move(step));
    }
    RunNext(job);
  });
}

void Shell::Finish(const std::shared_ptr<Job>& job) {
  if (job->trace >= trace_forgotten_) {
    TraceEntry& entry = trace_[job->trace - trace_forgotten_];
    entry.end = world_.events.now();
    entry.exit = job->result.exit;
  }
  if (job->done) {
    job->done(job->result);
  }
}

}  // namespace breakwater::sim
