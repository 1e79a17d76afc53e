#include "operator/controllers/replication/agent_link/fake_agent.h"

#include <chrono>

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using Kind = net::TransportError::Kind;

constexpr std::chrono::seconds kPatience{20};

kube::KubeError Transport(Kind kind, const char* why) {
  return net::TransportError{kind, why};
}

class OperatorSide final : public kube::ExecStream {
 public:
  explicit OperatorSide(FakeAgents::StreamPtr stream) : stream_(std::move(stream)) {}

  ~OperatorSide() override { stream_->Close(); }

  OperatorSide(const OperatorSide&) = delete;
  OperatorSide& operator=(const OperatorSide&) = delete;

  kube::KubeResult<std::optional<std::string>> Read(const Context& ctx) override {
    return stream_->Read(ctx);
  }

  kube::KubeResult<void> Write(const Context& /*ctx*/, std::string_view bytes) override {
    return stream_->Write(bytes);
  }

  kube::KubeResult<kube::ExecResult> Ended() const override { return stream_->Ended(); }

  void Close() override { stream_->Close(); }

 private:
  const FakeAgents::StreamPtr stream_;
};

}  // namespace

void FakeAgentStream::Change(const std::function<void()>& change) {
  std::stop_source wake;
  {
    const std::lock_guard lock(mutex_);
    change();
    wake = wake_;
  }
  changed_.notify_all();
  wake.request_stop();
}

void FakeAgentStream::SayBytes(std::string bytes) {
  Change([&] { to_operator_.push_back(std::move(bytes)); });
}

void FakeAgentStream::Hello(const std::string& node, int protocol) {
  Say(replication::AgentHello{.protocol = protocol,
                              .oldest = 1,
                              .version = "1.2.3",
                              .node = node,
                              .boot = "boot-1",
                              .max_line = replication::kMaxLineBytes});
}

void FakeAgentStream::Report(const std::vector<std::string>& resources) {
  Say(replication::NodeFactsMessage{.sockets_reliable = true, .complete = true});
  for (const std::string& resource : resources) {
    Say(replication::ResourceMessage{.name = resource, .report = SomeReport(resource)});
  }
  Say(replication::SyncedMessage{});
}

void FakeAgentStream::Break() {
  Change([this] { broken_ = true; });
}

void FakeAgentStream::End(int exit_code, const std::string& err) {
  Change([&] { ended_ = kube::ExecResult{.exit_code = exit_code, .err = err}; });
}

void FakeAgentStream::RefuseWrites() {
  Change([this] { refuse_writes_ = true; });
}

void FakeAgentStream::Close() {
  Change([this] { closed_ = true; });
}

std::optional<replication::OperatorMessage> FakeAgentStream::Next() {
  std::unique_lock lock(mutex_);
  const auto end = [this] { return to_agent_.find('\n'); };
  changed_.wait_for(lock, kPatience, [&] { return closed_ || end() != std::string::npos; });
  if (end() == std::string::npos) {
    return std::nullopt;
  }
  const std::string line = to_agent_.substr(0, end());
  to_agent_.erase(0, end() + 1);
  const auto message = replication::DecodeOperatorMessage(line);
  return message ? *message : std::nullopt;
}

bool FakeAgentStream::WaitClosed() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [this] { return closed_; });
}

bool FakeAgentStream::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

kube::KubeResult<std::optional<std::string>> FakeAgentStream::Read(const Context& ctx) {
  while (true) {
    std::stop_source wake;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) {
        return Unexpected{Transport(Kind::kCanceled, "closed")};
      }
      if (!to_operator_.empty()) {
        std::string bytes = std::move(to_operator_.front());
        to_operator_.pop_front();
        return std::optional<std::string>(std::move(bytes));
      }
      if (broken_) {
        return Unexpected{Transport(Kind::kReset, "connection reset")};
      }
      if (ended_) {
        return std::optional<std::string>();
      }
      wake_ = wake;
    }
    if (ctx.canceled()) {
      return Unexpected{Transport(Kind::kCanceled, "canceled")};
    }
    if (ctx.expired()) {
      return Unexpected{Transport(Kind::kTimeout, "no read in time")};
    }
    const std::stop_callback on_stop(ctx.stop(), [&wake] { wake.request_stop(); });
    (void)ctx.clock().SleepUntil(wake.get_token(),
                                 ctx.deadline().value_or(ctx.clock().SteadyNow() + 24h));
  }
}

kube::KubeResult<void> FakeAgentStream::Write(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (closed_ || broken_ || ended_ || refuse_writes_) {
    return Unexpected{Transport(Kind::kReset, "broken pipe")};
  }
  to_agent_ += bytes;
  changed_.notify_all();
  return {};
}

kube::KubeResult<kube::ExecResult> FakeAgentStream::Ended() const {
  const std::lock_guard lock(mutex_);
  return ended_ ? kube::KubeResult<kube::ExecResult>(*ended_)
                : Unexpected{Transport(Kind::kReset, "no status")};
}

void FakeAgents::SetOnOpen(OnOpen on_open) {
  const std::lock_guard lock(mutex_);
  on_open_ = std::move(on_open);
}

kube::KubeResult<kube::ExecResult> FakeAgents::Exec(const Context& /*ctx*/,
                                                    const kube::ExecRequest& /*request*/) {
  return Unexpected{Transport(Kind::kProtocol, "agents are not talked to like that")};
}

kube::KubeResult<std::unique_ptr<kube::ExecStream>> FakeAgents::Open(
    const Context& ctx, const kube::ExecRequest& request) {
  const auto stream = std::make_shared<FakeAgentStream>(request.pod);
  OnOpen on_open;
  {
    const std::lock_guard lock(mutex_);
    opens_.push_back(clock_.SteadyNow());
    on_open = on_open_;
  }
  changed_.notify_all();
  if (on_open) {
    if (const auto error = on_open(ctx, stream)) {
      return Unexpected{*error};
    }
  }
  {
    const std::lock_guard lock(mutex_);
    streams_[request.pod].push_back(stream);
  }
  changed_.notify_all();
  return std::unique_ptr<kube::ExecStream>(std::make_unique<OperatorSide>(stream));
}

FakeAgents::StreamPtr FakeAgents::Stream(const std::string& pod, std::size_t number) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return streams_[pod].size() > number; })
             ? streams_[pod][number]
             : nullptr;
}

bool FakeAgents::WaitOpens(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return opens_.size() >= count; });
}

std::vector<SteadyTime> FakeAgents::opens() const {
  const std::lock_guard lock(mutex_);
  return opens_;
}

AgentEvents EventRecorder::Events() {
  const auto note = [this](const auto& change) {
    {
      const std::lock_guard lock(mutex_);
      ++events_;
      change();
    }
    changed_.notify_all();
  };
  return {.resource_changed =
              [this, note](const std::string& resource) { note([&] { ++resources_[resource]; }); },
          .node_changed = [this, note](const std::string& node) { note([&] { ++nodes_[node]; }); },
          .result =
              [this, note](const std::string& node, const replication::ResultMessage& result) {
                note([&] { results_.emplace_back(node, result); });
              },
          .clock_moved = [this, note](const std::string& node) { note([&] { ++clocks_[node]; }); }};
}

bool EventRecorder::WaitFor(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    int seen = 0;
    {
      const std::lock_guard lock(mutex_);
      seen = events_;
    }
    if (condition()) {
      return true;
    }
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, end, [&] { return events_ != seen; })) {
      return false;
    }
  }
}

std::vector<std::pair<std::string, replication::ResultMessage>> EventRecorder::results() const {
  const std::lock_guard lock(mutex_);
  return results_;
}

int EventRecorder::changes_of(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  const auto found = resources_.find(resource);
  return found == resources_.end() ? 0 : found->second;
}

int EventRecorder::node_changes(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? 0 : found->second;
}

int EventRecorder::clock_moves(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  const auto found = clocks_.find(node);
  return found == clocks_.end() ? 0 : found->second;
}

replication::ResourceReport SomeReport(const std::string& resource) {
  replication::ResourceReport report;
  report.status.name = resource;
  report.status.node_id = 0;
  report.status.role = "Secondary";
  report.status.devices = {{.volume = 0, .minor = 1000, .disk = "UpToDate", .quorum = true}};
  report.status.connections = {{.peer_node_id = 1, .peer = "other", .state = "Connected"}};
  return report;
}

}  // namespace breakwater::controllers
