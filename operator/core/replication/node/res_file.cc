#include "operator/core/replication/node/res_file.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

namespace breakwater::replication {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxWords = 4096;  // of one statement; "hosts" lists them all
constexpr std::size_t kMaxResources = 20000;

enum class TokenKind { kWord, kOpen, kClose, kSemicolon, kEnd, kBroken };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text{};
};

bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

class Tokens {
 public:
  explicit Tokens(std::string_view text) : rest_(text) {}

  Token Next() {
    SkipBlanksAndComments();
    if (rest_.empty()) {
      return {};
    }
    switch (rest_.front()) {
      case '{':
        return {TokenKind::kOpen, Take(1)};
      case '}':
        return {TokenKind::kClose, Take(1)};
      case ';':
        return {TokenKind::kSemicolon, Take(1)};
      case '"':
        return Quoted();
      default:
        return {TokenKind::kWord, Take(WordLength())};
    }
  }

 private:
  std::string_view Take(std::size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  void SkipBlanksAndComments() {
    while (!rest_.empty() && (IsBlank(rest_.front()) || rest_.front() == '#')) {
      Take(rest_.front() == '#' ? rest_.find('\n') : 1);
    }
  }

  std::size_t WordLength() const {
    std::size_t length = 0;
    while (length < rest_.size() && !IsBlank(rest_[length]) &&
           std::string_view("{};\"#").find(rest_[length]) == std::string_view::npos) {
      ++length;
    }
    return length;
  }

  Token Quoted() {
    Take(1);
    const std::size_t end = rest_.find('"');
    if (end == std::string_view::npos) {
      return {TokenKind::kBroken, Take(rest_.size())};
    }
    const std::string_view text = Take(end);
    Take(1);
    return {TokenKind::kWord, text};
  }

  std::string_view rest_;
};

struct Connection {
  std::set<std::string> hosts{};
  bool mesh = false;
  std::optional<bool> tls{};
};

struct Resource {
  std::string name{};
  std::set<std::string> nodes{};  // of the "on" sections
  std::optional<bool> tls{};
  std::vector<Connection> connections{};
};

using Names = std::vector<std::string>;

class Reader {
 public:
  explicit Reader(const std::set<std::string>& own_names) : own_(own_names) {}

  ResFile Read(std::string_view text) {
    Tokens tokens(text);
    Names words;
    for (Token token = tokens.Next(); token.kind != TokenKind::kEnd; token = tokens.Next()) {
      if (token.kind == TokenKind::kWord) {
        if (words.size() < kMaxWords) {
          words.emplace_back(token.text);
        }
        continue;
      }
      if (!Structure(token.kind, words)) {
        file_.well_formed = false;
        break;
      }
      words.clear();
    }
    file_.well_formed = file_.well_formed && sections_.empty() && words.empty();
    return std::move(file_);
  }

 private:
  bool Structure(TokenKind kind, const Names& words) {
    if (kind == TokenKind::kSemicolon) {
      Statement(words);
      return true;
    }
    if (kind == TokenKind::kOpen && sections_.size() < kMaxDepth) {
      Open(words);
      return true;
    }
    if (kind == TokenKind::kClose && !sections_.empty() && words.empty()) {
      Close();
      return true;
    }
    return false;
  }

  // Sections are known by their first word: "resource r1", "on node1 node2", "net".
  void Open(const Names& words) {
    const std::string kind = words.empty() ? "" : words[0];
    if (sections_.empty() && kind == "resource" && words.size() >= 2) {
      resource_ = Resource{words[1], {}, {}, {}};
    } else if (At({"resource"}) && kind == "on") {
      resource_.nodes.insert(words.begin() + 1, words.end());
    } else if (At({"resource"}) && (kind == "connection" || kind == "connection-mesh")) {
      resource_.connections.push_back({{}, kind == "connection-mesh", {}});
    } else if (kind == "host") {
      Host(words);  // host node1 { address ...; }
    }
    sections_.push_back(kind);
  }

  void Close() {
    sections_.pop_back();
    if (sections_.empty() && !resource_.name.empty()) {
      if (file_.resources.size() < kMaxResources) {
        file_.resources.insert_or_assign(resource_.name, Config());
      }
      resource_ = Resource{};
    }
  }

  void Statement(const Names& words) {
    if (words.empty()) {
      return;
    }
    if (words[0] == "tls") {
      // A boolean without a value is switched on.
      const bool value = words.size() < 2 || words[1] == "yes" || words[1] == "true";
      if (At({"resource", "net"})) {
        resource_.tls = value;
      } else if (At({"resource", "connection", "net"}) ||
                 At({"resource", "connection-mesh", "net"})) {
        resource_.connections.back().tls = value;
      }
    } else if (words[0] == "host") {
      Host(words);
    } else if (words[0] == "hosts" && At({"resource", "connection-mesh"})) {
      resource_.connections.back().hosts.insert(words.begin() + 1, words.end());
    }
  }

  void Host(const Names& words) {
    if (words.size() >= 2 &&
        (At({"resource", "connection"}) || At({"resource", "connection", "path"}))) {
      resource_.connections.back().hosts.insert(words[1]);
    }
  }

  bool At(std::initializer_list<std::string_view> path) const {
    return std::equal(sections_.begin(), sections_.end(), path.begin(), path.end());
  }

  ResConfig Config() const {
    const bool inherited = resource_.tls.value_or(false);
    std::vector<Connection> connections = resource_.connections;
    if (connections.empty()) {  // two hosts need no connection section
      connections.push_back({resource_.nodes, true, {}});
    }
    ResConfig config;
    for (const Connection& connection : connections) {
      bool ours = false;
      for (const std::string& host : connection.hosts) {
        ours = ours || own_.contains(host);
      }
      for (const std::string& host : connection.hosts) {
        if (ours && !own_.contains(host)) {
          config.tls.insert_or_assign(host, connection.tls.value_or(inherited));
        }
      }
    }
    return config;
  }

  const std::set<std::string>& own_;
  ResFile file_{};
  Resource resource_{};
  Names sections_{};
};

}  // namespace

ResFile ParseResFile(std::string_view text, const std::set<std::string>& own_names) {
  return Reader(own_names).Read(text);
}

}  // namespace breakwater::replication
