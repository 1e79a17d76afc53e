#include <array>
#include <utility>

#include "operator/core/tls_migration/planner.h"

namespace breakwater::tls_migration {
namespace {

constexpr std::array<std::pair<Step, std::string_view>, 8> kSteps = {{
    {Step::kIdle, "Idle"},
    {Step::kCut, "Cut"},
    {Step::kReconnect, "Reconnect"},
    {Step::kPrepare, "Prepare"},
    {Step::kSuspend, "Suspend"},
    {Step::kResume, "Resume"},
    {Step::kFinish, "Finish"},
    {Step::kHeal, "Heal"},
}};
constexpr std::string_view kRollBack = "RollBack";

}  // namespace

std::string_view ToString(Strategy strategy) {
  switch (strategy) {
    case Strategy::kPairByPair:
      return "PairByPair";
    case Strategy::kSuspendIo:
      return "SuspendIO";
    case Strategy::kNone:
      break;
  }
  return "None";
}

std::optional<Strategy> ParseStrategy(std::string_view text) {
  for (const Strategy strategy : {Strategy::kNone, Strategy::kPairByPair, Strategy::kSuspendIo}) {
    if (ToString(strategy) == text) {
      return strategy;
    }
  }
  return std::nullopt;
}

std::string StepName(Step step, bool rolling_back) {
  std::string name = rolling_back ? std::string(kRollBack) : std::string();
  for (const auto& [known, text] : kSteps) {
    if (known == step) {
      name += text;
    }
  }
  return name;
}

bool ParseStep(std::string_view text, Step* step, bool* rolling_back) {
  *rolling_back = text.starts_with(kRollBack);
  if (*rolling_back) {
    text.remove_prefix(kRollBack.size());
  }
  for (const auto& [known, name] : kSteps) {
    if (name == text) {
      *step = known;
      return true;
    }
  }
  return false;
}

}  // namespace breakwater::tls_migration
