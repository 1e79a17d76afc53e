#include "operator/base/file.h"

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include <gtest/gtest.h>

namespace breakwater {
namespace {

class ReadFileTest : public ::testing::Test {
 protected:
  ReadFileTest() { std::filesystem::create_directories(directory_); }

  ~ReadFileTest() override { std::filesystem::remove_all(directory_); }

  const std::string directory_ =
      ::testing::TempDir() + "/breakwater_file_test" + std::to_string(::getpid());
};

// A certificate that is cut or has other bytes is refused by every peer.
TEST_F(ReadFileTest, ReadsAllBytes) {
  const std::string path = directory_ + "/file";
  for (const std::size_t size : {0U, 1U, 4096U, 10000U}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] = static_cast<char>(i * 7);
    }
    std::ofstream(path, std::ios::binary) << bytes;
    EXPECT_EQ(ReadFile(path).value_or("error"), bytes) << size;
  }
}

// KUBECONFIG that names a directory, or a disk that fails under a token, must be a message and not
// the end of the process.
TEST_F(ReadFileTest, WhatCannotBeReadIsAnError) {
  for (const std::string& path : {directory_, directory_ + "/missing"}) {
    const auto text = ReadFile(path);
    ASSERT_FALSE(text) << path;
    EXPECT_EQ(text.error().error_class, ErrorClass::kTransient);
    EXPECT_EQ(text.error().message, "cannot read " + path);
  }
}

}  // namespace
}  // namespace breakwater
