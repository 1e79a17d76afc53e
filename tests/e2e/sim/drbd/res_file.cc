#include "tests/e2e/sim/drbd/res_file.h"

#include <cctype>
#include <cstdlib>
#include <set>

namespace breakwater::sim {
namespace {

struct Token {
  std::string text;
  int line = 0;
  bool quoted = false;
};

std::vector<Token> Tokenize(std::string_view text) {
  std::vector<Token> tokens;
  int line = 1;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\n') {
      ++line;
      ++i;
    } else if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++i;
    } else if (c == '#') {
      while (i < text.size() && text[i] != '\n') {
        ++i;
      }
    } else if (c == '{' || c == '}' || c == ';') {
      tokens.push_back({std::string(1, c), line, false});
      ++i;
    } else if (c == '"') {
      const std::size_t end = text.find('"', i + 1);
      const std::size_t stop = end == std::string_view::npos ? text.size() : end;
      tokens.push_back({std::string(text.substr(i + 1, stop - i - 1)), line, true});
      i = stop + 1;
    } else {
      const std::size_t start = i;
      while (i < text.size() && std::isspace(static_cast<unsigned char>(text[i])) == 0 &&
             text[i] != '{' && text[i] != '}' && text[i] != ';') {
        ++i;
      }
      tokens.push_back({std::string(text.substr(start, i - start)), line, false});
    }
  }
  return tokens;
}

Address ParseAddress(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) {
    return {text, 0};
  }
  return {text.substr(0, colon), std::atoi(text.c_str() + colon + 1)};
}

class Parser {
 public:
  Parser(std::string path, std::string_view text) : path_(std::move(path)) {
    tokens_ = Tokenize(text);
  }

  ResParse Run() {
    while (ok() && pos_ < tokens_.size()) {
      const std::string word = Take();
      if (word == "resource") {
        Resource();
      } else if (word == "include") {
        SkipStatement();
      } else if (word == "global" || word == "common") {
        SkipBlock();
      } else {
        Fail("'global', 'common', 'resource'", word);
      }
    }
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool ok() const { return result_.error.empty(); }

  [[nodiscard]] std::string Peek() const {
    return pos_ < tokens_.size() ? tokens_[pos_].text : std::string();
  }

  std::string Take() {
    if (pos_ >= tokens_.size()) {
      Fail("'}'", "end of file");
      return {};
    }
    return tokens_[pos_++].text;
  }

  void Fail(const std::string& expected, const std::string& got) {
    if (ok()) {
      const std::size_t at = pos_ == 0 ? 0 : pos_ - 1;
      const int line = at < tokens_.size() ? tokens_[at].line : 1;
      result_.error = path_ + ":" + std::to_string(line) + ": Parse error: " + expected +
                      " expected,\n\tbut got '" + got + "'\n";
    }
  }

  void Expect(const char* text) {
    const std::string got = Take();
    if (ok() && got != text) {
      Fail(std::string("'") + text + "'", got);
    }
  }

  bool InBlock() {
    if (!ok() || Peek() == "}" || pos_ >= tokens_.size()) {
      Expect("}");
      return false;
    }
    return true;
  }

  std::string Statement() {
    std::string value;
    while (ok() && Peek() != ";") {
      value += (value.empty() ? "" : " ") + Take();
    }
    Expect(";");
    return value;
  }

  void SkipStatement() { (void)Statement(); }

  void SkipBlock() {
    while (ok() && Peek() != "{") {
      (void)Take();
    }
    Expect("{");
    for (int depth = 1; ok() && depth > 0;) {
      const std::string token = Take();
      depth += token == "{" ? 1 : (token == "}" ? -1 : 0);
    }
  }

  void OptionBlock(Options& options) {
    Expect("{");
    while (InBlock()) {
      const std::string key = Take();
      const std::string value = Statement();
      options[key] = value.empty() ? "yes" : value;
    }
  }

  void Resource() {
    ResFile file;
    file.path = path_;
    file.name = Take();
    Expect("{");
    while (InBlock()) {
      const std::string word = Take();
      if (word == "options") {
        OptionBlock(file.options);
      } else if (word == "net") {
        OptionBlock(file.net);
      } else if (word == "on") {
        Host(file);
      } else if (word == "connection") {
        Connection(file);
      } else if (word == "connection-mesh") {
        Mesh(file);
      } else if (word == "handlers" || word == "startup" || (word == "disk" && Peek() == "{")) {
        SkipBlock();
      } else if (word == "volume") {
        Volume(common_[std::atoi(Take().c_str())]);
      } else {
        common_[0].minor = 0;
        ResVolume volume = common_[0];
        VolumeKey(word, volume);
        common_[0] = volume;
      }
    }
    Complete(file);
    result_.resources.push_back(std::move(file));
  }

  void VolumeKey(const std::string& key, ResVolume& volume) {
    if (key == "disk" && Peek() == "{") {
      OptionBlock(volume.disk_options);
      return;
    }
    const std::string value = Statement();
    if (key == "disk") {
      volume.disk = value;
    } else if (key == "meta-disk" || key == "flexible-meta-disk") {
      volume.meta_disk = value;
    } else if (key == "device") {
      const std::size_t digit = value.find_last_not_of("0123456789");
      volume.minor = std::atoi(value.c_str() + (digit == std::string::npos ? 0 : digit + 1));
    } else if (ok()) {
      Fail("a resource option keyword", key);
    }
  }

  void Volume(ResVolume& volume) {
    Expect("{");
    while (InBlock()) {
      VolumeKey(Take(), volume);
    }
  }

  void Host(ResFile& file) {
    const std::string name = Take();
    ResHost& host = file.hosts[name];
    Expect("{");
    while (InBlock()) {
      const std::string word = Take();
      if (word == "volume") {
        Volume(host.volumes[std::atoi(Take().c_str())]);
      } else if (word == "node-id") {
        host.node_id = std::atoi(Statement().c_str());
      } else if (word == "address") {
        host.address = Statement();
      } else {
        ResVolume& volume = host.volumes[0];
        VolumeKey(word, volume);
      }
    }
  }

  void HostLine(ResConnection& connection) {
    const std::string name = Take();
    const std::string rest = Statement();
    const std::size_t space = rest.find_last_of(' ');
    connection.hosts[name] = rest.empty() ? Address{} : ParseAddress(rest.substr(space + 1));
  }

  void Connection(ResFile& file) {
    ResConnection connection;
    if (Peek() != "{") {
      (void)Take();
    }
    Expect("{");
    while (InBlock()) {
      const std::string word = Take();
      if (word == "net") {
        OptionBlock(connection.net);
      } else if (word == "host") {
        HostLine(connection);
      } else if (word == "path") {
        Expect("{");
        while (InBlock()) {
          Expect("host");
          HostLine(connection);
        }
      } else if (word == "volume" || word == "disk") {
        SkipBlock();
      } else if (ok()) {
        Fail("'net', 'host', 'path'", word);
      }
    }
    file.connections.push_back(std::move(connection));
  }

  void Mesh(ResFile& file) {
    Expect("{");
    std::vector<std::string> names;
    Options net;
    while (InBlock()) {
      const std::string word = Take();
      if (word == "net") {
        OptionBlock(net);
        continue;
      }
      while (ok() && Peek() != ";") {
        names.push_back(Take());
      }
      Expect(";");
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      for (std::size_t k = i + 1; k < names.size(); ++k) {
        file.connections.push_back({{{names[i], {}}, {names[k], {}}}, net});
      }
    }
  }

  // Fills in what the file says once for all hosts, as drbdadm's post-processing does.
  void Complete(ResFile& file) {
    for (auto& [name, host] : file.hosts) {
      if (host.volumes.empty()) {
        host.volumes = common_;
      }
    }
    for (ResConnection& connection : file.connections) {
      for (auto& [name, address] : connection.hosts) {
        const auto host = file.hosts.find(name);
        if (address.ip.empty() && host != file.hosts.end()) {
          const std::string& text = host->second.address;
          address = ParseAddress(text.substr(text.find_last_of(' ') + 1));
        }
      }
    }
    common_.clear();
  }

  std::string path_;
  std::vector<Token> tokens_;
  std::size_t pos_ = 0;
  std::map<int, ResVolume> common_;
  ResParse result_;
};

}  // namespace

ResParse ParseResFile(const std::string& path, std::string_view text) {
  return Parser(path, text).Run();
}

}  // namespace breakwater::sim
