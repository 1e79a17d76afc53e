#include "operator/net/tls_material.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "operator/net/loopback_server.h"

namespace breakwater::net {
namespace {

class TlsFilesTest : public ::testing::Test {
 protected:
  TlsFilesTest() { std::filesystem::create_directories(directory_); }

  void Write(const crypto::Identity& identity) const {
    std::ofstream(files_.certificate) << identity.certificate.ToPem();
    std::ofstream(files_.key) << identity.key.ToPem().Expose();
  }

  const std::string directory_ = ::testing::TempDir() + "/tls-files-test";
  const TlsFiles files_{.certificate = directory_ + "/tls.crt", .key = directory_ + "/tls.key"};
  const TestPki pki_;
};

// A renewed webhook certificate must be picked up without a restart.
TEST_F(TlsFilesTest, ReloadsOnlyWhenTheContentChanged) {
  Write(pki_.Leaf("first"));
  TlsMaterialHolder holder(LoadTlsFiles(files_).value());
  EXPECT_FALSE(ReloadTlsFiles(files_, holder).value());
  Write(pki_.Leaf("second"));
  EXPECT_TRUE(ReloadTlsFiles(files_, holder).value());
  EXPECT_EQ(holder.Get()->chain().front().common_name(), "second");
}

// A secret that is half written (new certificate, old key) must not take the server down.
TEST_F(TlsFilesTest, KeepsTheOldMaterialWhenTheNewIsBroken) {
  Write(pki_.Leaf("first"));
  TlsMaterialHolder holder(LoadTlsFiles(files_).value());
  std::ofstream(files_.certificate) << pki_.Leaf("second").certificate.ToPem();
  const auto reloaded = ReloadTlsFiles(files_, holder);
  ASSERT_FALSE(reloaded);
  EXPECT_EQ(reloaded.error().error_class, ErrorClass::kInvalid);
  EXPECT_EQ(holder.Get()->chain().front().common_name(), "first");
  std::filesystem::remove(files_.key);
  EXPECT_EQ(ReloadTlsFiles(files_, holder).error().error_class, ErrorClass::kTransient);
}

}  // namespace
}  // namespace breakwater::net
