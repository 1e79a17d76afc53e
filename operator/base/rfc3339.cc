#include "operator/base/rfc3339.h"

#include <array>
#include <chrono>
#include <cstdio>

namespace breakwater {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::year_month_day;

std::string Format(SystemTime time, int digits) {
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const std::int64_t micros = floor<microseconds>(time - day).count();
  const auto second = static_cast<int>(micros / 1000000);
  const auto fraction = static_cast<int>(micros % 1000000);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), second / 3600, second / 60 % 60, second % 60);
  std::string result = text.data();
  if (digits > 0) {
    std::snprintf(text.data(), text.size(), ".%06d", fraction);
    result.append(text.data(), static_cast<std::size_t>(digits) + 1);
  }
  return result + "Z";
}

/// Reads fixed-width numbers and separators from the front of a text.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool Number(std::size_t width, int low, int high, int& value) {
    if (rest_.size() < width) {
      return false;
    }
    value = 0;
    for (const char c : rest_.substr(0, width)) {
      if (c < '0' || c > '9') {
        return false;
      }
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(width);
    return value >= low && value <= high;
  }

  bool Literal(char a, char b) {
    if (rest_.empty() || (rest_.front() != a && rest_.front() != b)) {
      return false;
    }
    last_ = rest_.front();
    rest_.remove_prefix(1);
    return true;
  }

  bool Literal(char a) { return Literal(a, a); }

  /// ".123456789" when present; false when the point has no digits after it.
  bool Fraction(std::int64_t& nanos) {
    nanos = 0;
    if (!Literal('.')) {
      return true;
    }
    std::size_t count = 0;
    std::int64_t scale = 100000000;
    while (count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9') {
      nanos += (rest_[count] - '0') * scale;
      scale /= 10;
      ++count;
    }
    rest_.remove_prefix(count);
    return count > 0;
  }

  char last() const { return last_; }

  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  char last_ = 0;
};

}  // namespace

std::string FormatRfc3339(SystemTime time) {
  return Format(time, 0);
}

std::string FormatRfc3339Millis(SystemTime time) {
  return Format(time, 3);
}

std::string FormatRfc3339Micros(SystemTime time) {
  return Format(time, 6);
}

std::optional<SystemTime> ParseRfc3339(std::string_view text) {
  Cursor in(text);
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::int64_t nanos = 0;
  // Second 60 is a leap second: it reads as the first second of the next minute.
  if (!in.Number(4, 0, 9999, year) || !in.Literal('-') || !in.Number(2, 1, 12, month) ||
      !in.Literal('-') || !in.Number(2, 1, 31, day) || !in.Literal('T', 't') ||
      !in.Number(2, 0, 23, hour) || !in.Literal(':') || !in.Number(2, 0, 59, minute) ||
      !in.Literal(':') || !in.Number(2, 0, 60, second) || !in.Fraction(nanos)) {
    return std::nullopt;
  }
  minutes offset{0};
  if (!in.Literal('Z', 'z')) {
    int offset_hours = 0, offset_minutes = 0;
    if (!in.Literal('+', '-')) {
      return std::nullopt;
    }
    const int sign = in.last() == '-' ? -1 : 1;
    if (!in.Number(2, 0, 23, offset_hours) || !in.Literal(':') ||
        !in.Number(2, 0, 59, offset_minutes)) {
      return std::nullopt;
    }
    offset = minutes(sign * (offset_hours * 60 + offset_minutes));
  }
  const year_month_day date(std::chrono::year{year},
                            std::chrono::month{static_cast<unsigned>(month)},
                            std::chrono::day{static_cast<unsigned>(day)});
  // A date far outside what the clock can count (about 1677 to 2262) would overflow silently.
  if (!in.done() || !date.ok() || year < 1678 || year > 2261) {
    return std::nullopt;
  }
  return SystemTime(std::chrono::duration_cast<SystemTime::duration>(
      sys_days(date).time_since_epoch() + hours(hour) + minutes(minute) + seconds(second) - offset +
      std::chrono::nanoseconds(nanos)));
}

}  // namespace breakwater
