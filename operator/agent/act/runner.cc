#include "operator/agent/act/runner.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

namespace breakwater::agent {
namespace {

using replication::DrbdCommand;
using replication::LocalView;
using replication::ProgressMessage;
using replication::ResultMessage;
using replication::TransactionDecision;
using replication::TransactionFinished;
using replication::TransactionKind;
using replication::TransactionOutcome;
using replication::TransactionRequest;
using replication::TransactionResult;
using replication::TransactionState;
using replication::WaitUntil;

/// After a look that failed: the tools may answer again.
constexpr std::chrono::milliseconds kLookAgain{200};
/// Events come in bursts; a look takes about as long.
constexpr std::chrono::milliseconds kBetweenLooks{20};
/// When the guardian has acted, which gives the worker so much grace (supervisor.h), what it has
/// resumed is looked at by a new worker, which is given time for one look and one resume.
constexpr std::chrono::milliseconds kGuardianGrace{500};
constexpr std::chrono::milliseconds kRestoreGuard{3000};
constexpr std::size_t kMaxEarlyCancels = 256;

TransactionResult Refused(std::string code, std::string reason) {
  return {.outcome = TransactionOutcome::kRefused,
          .reason = std::move(reason),
          .code = std::move(code)};
}

ResultMessage MessageOf(const TransactionRequest& request, const TransactionResult& result) {
  return {.id = request.id,
          .kind = request.kind,
          .resource = request.resource,
          .peers = request.peers,
          .result = result};
}

bool SharePeer(const TransactionRequest& a, const TransactionRequest& b) {
  return std::any_of(a.peers.begin(), a.peers.end(), [&](const std::string& peer) {
    return std::find(b.peers.begin(), b.peers.end(), peer) != b.peers.end();
  });
}

}  // namespace

struct Runner::Running {
  TransactionState state{};
  bool looking = false;
  bool executing = false;
  bool changed = false;  ///< an event came since the look began
  std::optional<SteadyTime> wake{};
  SteadyTime looked{};
  std::vector<int> guarded{};
  SteadyTime guarded_until{};
  std::optional<ProgressMessage> told{};

  bool busy() const { return looking || executing; }
};

bool MayRunTogether(const TransactionRequest& a, const TransactionRequest& b) {
  if (a.resource != b.resource) {
    return true;
  }
  const auto either = [&](TransactionKind kind) { return a.kind == kind || b.kind == kind; };
  const auto needs_others = [](const TransactionRequest& request) {
    return request.kind == TransactionKind::kLead || request.kind == TransactionKind::kHeal;
  };
  if (either(TransactionKind::kSuspendedSwitch)) {
    return false;
  }
  if (either(TransactionKind::kResume)) {
    // What is frozen must be able to flow again whatever else is under way.
    return a.kind != b.kind;
  }
  return !SharePeer(a, b) && !(needs_others(a) && needs_others(b));
}

Runner::Runner(RunnerOptions options,
               Kernel* kernel,
               JournalStore* journal,
               Guardian* guardian,
               const Clock* clock,
               RunnerEvents* events,
               std::function<std::uint32_t()> random)
    : options_(std::move(options)),
      kernel_(kernel),
      journal_(journal),
      guardian_(guardian),
      clock_(clock),
      events_(events),
      random_(std::move(random)) {}

Runner::~Runner() = default;

void Runner::Log(const Running& running, const std::string& text) {
  const TransactionRequest& request = running.state.request;
  events_->OnLog(std::string(ToString(request.kind)) + " " + request.id + " " + request.resource +
                 ": " + text);
}

Runner::Running* Runner::Find(const std::string& id) {
  const auto it = running_.find(id);
  return it == running_.end() ? nullptr : it->second.get();
}

void Runner::Restore() {
  const Result<StoredJournal, Error> stored = journal_->LoadAll();
  if (!stored) {
    events_->OnLog("journal: " + stored.error().message);
    return;
  }
  epoch_ = stored->epoch;
  for (const std::string& line : stored->results) {
    const auto message = replication::DecodeAgentMessage(line);
    if (message && *message && std::holds_alternative<ResultMessage>(**message)) {
      Remember(std::get<ResultMessage>(**message), false);
    }
  }
  if (stored->boot == options_.boot) {
    for (const auto& [id, text] : stored->entries) {
      RestoreEntry(id, text);
    }
    return;
  }
  // Another kernel: nothing of what was done is left, and times of its clock mean nothing.
  if (Result<void, Error> cleared = journal_->Clear(options_.boot); !cleared) {
    events_->OnLog("journal: " + cleared.error().message);
  }
  for (const auto& [id, text] : stored->entries) {
    const Result<TransactionState, Error> state = replication::DecodeJournal(text);
    if (state) {
      events_->OnLog("transaction " + id + " ended with the boot of the node");
      Remember(MessageOf(state->request, {.outcome = TransactionOutcome::kUndone,
                                          .reason = "the node booted",
                                          .code = "Rebooted"}),
               true);
    }
  }
}

void Runner::RestoreEntry(const std::string& id, const std::string& text) {
  if (results_.contains(id)) {  // ended between the two writes of Finish
    journal_->Remove(id);
    return;
  }
  Result<TransactionState, Error> state = replication::DecodeJournal(text);
  if (!state || state->request.id != id) {
    events_->OnLog("journal entry " + id + " is not understood and left alone: " +
                   (state ? "it is of another id" : state.error().message));
    return;
  }
  Begin(replication::AfterRestart(*std::move(state)), true);
}

void Runner::NoteEpoch(std::int64_t epoch) {
  if (epoch <= epoch_) {
    return;
  }
  epoch_ = epoch;
  if (Result<void, Error> written = journal_->WriteEpoch(epoch); !written) {
    events_->OnLog("epoch: " + written.error().message);
  }
}

void Runner::Handle(const TransactionRequest& request) {
  if (std::optional<std::string> problem = RequestProblem(request)) {
    events_->OnResult(MessageOf(request, Refused("Invalid", *problem)));
    return;
  }
  if (const auto known = results_.find(request.id); known != results_.end()) {
    events_->OnResult(known->second);
    return;
  }
  if (Running* running = Find(request.id)) {
    if (running->told) {
      events_->OnProgress(*running->told);
    }
    return;
  }
  if (request.epoch < epoch_) {
    events_->OnResult(MessageOf(
        request, Refused("Epoch", "it is of an operator that does not lead any more (epoch " +
                                      std::to_string(request.epoch) + ", seen " +
                                      std::to_string(epoch_) + ")")));
    return;
  }
  NoteEpoch(request.epoch);
  if (const TransactionResult refusal = Refusal(request); !refusal.code.empty()) {
    const ResultMessage message = MessageOf(request, refusal);
    Remember(message, true);
    events_->OnResult(message);
    return;
  }
  Begin(StartTransaction(request, clock_->SteadyNow()), false);
}

// Code "": it may begin.
TransactionResult Runner::Refusal(const TransactionRequest& request) const {
  if (stopping_) {
    return Refused("Stopping", "the agent is about to end");
  }
  if (std::find(cancelled_early_.begin(), cancelled_early_.end(), request.id) !=
      cancelled_early_.end()) {
    return Refused("Cancelled", "it was cancelled before it came");
  }
  if (running_.size() >= options_.max_transactions) {
    return Refused("Busy", std::to_string(running_.size()) + " transactions are under way");
  }
  for (const auto& [id, running] : running_) {
    if (!MayRunTogether(running->state.request, request)) {
      return Refused(
          "Busy", std::string(ToString(running->state.request.kind)) + " " + id + " is under way");
    }
  }
  return {};
}

void Runner::Begin(TransactionState state, bool restored) {
  const std::string id = state.request.id;
  auto& running = running_[id] = std::make_unique<Running>();
  running->state = std::move(state);
  if (!restored && !Persist(running.get(), running->state)) {
    Finish(id, Refused("Journal", "the journal cannot be written"));
    return;
  }
  Log(*running, restored ? "goes on" : "begins");
  if (restored) {
    (void)KeepGuard(running.get(), true);  // nothing to be done about it: what is frozen is
  }
  Tell(running.get(), restored ? "goes on after a restart of the agent" : "");
  Look(running.get());
}

void Runner::Cancel(const std::string& id) {
  Running* running = Find(id);
  if (running == nullptr) {
    if (!results_.contains(id)) {
      cancelled_early_.push_back(id);
      if (cancelled_early_.size() > kMaxEarlyCancels) {
        cancelled_early_.pop_front();
      }
    }
    return;
  }
  if (!running->state.cancelled) {
    running->state = replication::Cancel(std::move(running->state));
    (void)Persist(running, running->state);
    Log(*running, "is to be cancelled");
    LookSoon(running);
  }
}

void Runner::CancelAll() {
  stopping_ = true;
  std::vector<std::string> ids;
  ids.reserve(running_.size());
  for (const auto& [id, running] : running_) {
    ids.push_back(id);
  }
  for (const std::string& id : ids) {
    Cancel(id);
  }
}

void Runner::NoteChange(const std::string& resource) {
  for (const auto& [id, running] : running_) {
    if (running->state.request.resource == resource) {
      LookSoon(running.get());
    }
  }
}

void Runner::NoteChangeAll() {
  for (const auto& [id, running] : running_) {
    LookSoon(running.get());
  }
}

void Runner::LookSoon(Running* running) {
  running->changed = true;
  if (!running->busy()) {
    running->wake = std::max(clock_->SteadyNow(), running->looked + kBetweenLooks);
  }
}

void Runner::Tick() {
  const SteadyTime now = clock_->SteadyNow();
  for (const auto& [id, running] : running_) {
    if (!running->busy() && running->wake && *running->wake <= now) {
      Look(running.get());
    }
  }
}

std::optional<SteadyTime> Runner::NextWake() const {
  std::optional<SteadyTime> next;
  for (const auto& [id, running] : running_) {
    if (!running->busy() && running->wake && (!next || *running->wake < *next)) {
      next = running->wake;
    }
  }
  return next;
}

void Runner::Look(Running* running) {
  running->looking = true;
  running->changed = false;
  running->wake.reset();
  kernel_->Look(running->state.request.resource, ScopeOf(running->state),
                [this, id = running->state.request.id,
                 alive = std::weak_ptr<bool>(alive_)](Result<LocalView, Error> view) {
                  if (!alive.expired()) {
                    OnLook(id, std::move(view));
                  }
                });
}

void Runner::OnLook(const std::string& id, Result<LocalView, Error> view) {
  Running* running = Find(id);
  if (running == nullptr) {
    return;
  }
  running->looking = false;
  running->looked = clock_->SteadyNow();
  if (view) {
    Decide(running, *view);
    return;
  }
  Log(*running, "DRBD's tools do not answer: " + view.error().message);
  const bool untouched = running->state.phase == TransactionState::Phase::kGuard;
  if (untouched && (running->state.cancelled || running->looked >= running->state.until)) {
    Finish(id, Refused("ToolsSilent", "DRBD's tools do not answer: " + view.error().message));
    return;
  }
  running->wake = running->looked + kLookAgain;
}

bool Runner::Persist(Running* running, const TransactionState& state) {
  Result<void, Error> written =
      journal_->Write(state.request.id, replication::EncodeJournal(state));
  if (!written) {
    Log(*running, "the journal cannot be written: " + written.error().message);
  }
  return written.has_value();
}

void Runner::Decide(Running* running, const LocalView& view) {
  const SteadyTime now = clock_->SteadyNow();
  TransactionDecision decision = NextStep(view, running->state, now, random_());
  const bool finished = std::holds_alternative<TransactionFinished>(decision.step);
  if (!finished && decision.state != running->state && !Persist(running, decision.state)) {
    if (running->state.phase == TransactionState::Phase::kGuard) {
      Finish(running->state.request.id, Refused("Journal", "the journal cannot be written"));
      return;
    }
    // What was begun is ended: without a journal nothing new is risked, but the way back is better
    // walked than not.
    decision = NextStep(view, replication::Cancel(running->state), now, random_());
  }
  running->state = decision.state;
  Act(running, decision);
}

void Runner::Act(Running* running, const TransactionDecision& decision) {
  const std::string id = running->state.request.id;
  if (const auto* finished = std::get_if<TransactionFinished>(&decision.step)) {
    Finish(id, finished->result);
    return;
  }
  const auto* command = std::get_if<DrbdCommand>(&decision.step);
  if (!KeepGuard(running, false) && command != nullptr &&
      command->kind == DrbdCommand::Kind::kSuspendIo) {
    Finish(id, Refused("NoGuardian", "nobody would end the suspension if the agent died"));
    return;
  }
  Tell(running, decision.why);
  if (command != nullptr) {
    Log(*running, decision.why);
    Execute(running, *command);
    return;
  }
  running->wake = std::get<WaitUntil>(decision.step).time;
  if (running->changed) {
    LookSoon(running);
  }
}

bool Runner::KeepGuard(Running* running, bool restored) {
  const std::string& id = running->state.request.id;
  std::vector<int> minors = GuardedMinors(running->state);
  if (minors.empty()) {
    if (!running->guarded.empty()) {
      guardian_->Release(id);
      running->guarded.clear();
    }
    return true;
  }
  // Until its time it stays as it was: a worker that dies again and again must not put it off, nor
  // one that hangs before it has looked.
  SteadyTime until = restored ? running->state.until : GuardedUntil(running->state);
  if (restored && clock_->SteadyNow() >= until + kGuardianGrace) {
    until = clock_->SteadyNow() + kRestoreGuard;
  }
  if (running->guarded == minors && running->guarded_until >= until) {
    return true;
  }
  if (!guardian_->Guard(id, minors, until)) {
    return false;
  }
  running->guarded = std::move(minors);
  running->guarded_until = until;
  return true;
}

void Runner::Execute(Running* running, const DrbdCommand& command) {
  running->executing = true;
  running->wake.reset();
  kernel_->Run(command,
               [this, command, id = running->state.request.id, alive = std::weak_ptr<bool>(alive_)](
                   int exit_code, const std::string& error) {
                 if (!alive.expired()) {
                   OnRun(id, command, exit_code, error);
                 }
               });
}

void Runner::OnRun(const std::string& id,
                   const DrbdCommand& command,
                   int exit_code,
                   const std::string& error_text) {
  Running* running = Find(id);
  if (running == nullptr) {
    return;
  }
  running->executing = false;
  if (exit_code != 0) {
    std::string line;
    for (const std::string& word : ToArguments(command)) {
      line += word + " ";
    }
    Log(*running, line + "-> " + std::to_string(exit_code) + ": " + error_text);
  }
  running->state = AfterCommand(std::move(running->state), command, exit_code, clock_->SteadyNow());
  (void)KeepGuard(running, false);
  Look(running);
}

void Runner::Tell(Running* running, const std::string& why) {
  const TransactionState& state = running->state;
  ProgressMessage progress{.id = state.request.id,
                           .kind = state.request.kind,
                           .resource = state.request.resource,
                           .peers = state.request.peers,
                           .tls = state.request.tls,
                           .armed = Armed(state),
                           .undoing = state.undoing,
                           .phase = std::string(ToString(state.phase)),
                           .why = why};
  const bool news = !running->told || running->told->phase != progress.phase ||
                    running->told->armed != progress.armed ||
                    running->told->undoing != progress.undoing;
  running->told = std::move(progress);
  if (news) {
    events_->OnProgress(*running->told);
  }
}

std::vector<ProgressMessage> Runner::Progress() const {
  std::vector<ProgressMessage> all;
  for (const auto& [id, running] : running_) {
    if (running->told) {
      all.push_back(*running->told);
    }
  }
  return all;
}

// The result first: killed in between, the entry is found with its result and dropped.
void Runner::Finish(const std::string& id, const TransactionResult& result) {
  const auto node = running_.extract(id);
  const Running& running = *node.mapped();
  const ResultMessage message = MessageOf(running.state.request, result);
  Remember(message, true);
  journal_->Remove(id);
  guardian_->Release(id);
  Log(running, std::string(ToString(result.outcome)) +
                   (result.code.empty() ? "" : " " + result.code + ": " + result.reason));
  events_->OnResult(message);
}

void Runner::Remember(const ResultMessage& message, bool store) {
  if (results_.insert_or_assign(message.id, message).second) {
    result_order_.push_back(message.id);
  }
  while (result_order_.size() > kMaxResults) {
    results_.erase(result_order_.front());
    result_order_.pop_front();
  }
  if (!store) {
    return;
  }
  if (Result<void, Error> written = journal_->WriteResult(
          message.id, replication::Encode(replication::AgentMessage(message)));
      !written) {
    events_->OnLog("result of " + message.id + ": " + written.error().message);
  }
}

}  // namespace breakwater::agent
