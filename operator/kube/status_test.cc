#include "operator/kube/status.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace breakwater::kube {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

// The class decides whether a controller retries, reports or gives up.
TEST(StatusTest, ReadsAStatusReply) {
  const KubeError error = DecodeStatus(
      409, {}, R"({"kind":"Status","code":409,"reason":"Conflict","message":"changed"})");
  EXPECT_TRUE(error.IsConflict());
  EXPECT_EQ(error.message(), "Conflict (409): changed");
  EXPECT_EQ(error.ToError().error_class, ErrorClass::kConflict);
}

// Ingresses and proxies answer with pages of their own.
TEST(StatusTest, ReadsWhatIsNoStatus) {
  const Status status = DecodeStatus(502, {}, "<html>\nBad Gateway" + std::string(1000, 'x'));
  EXPECT_EQ(status.code, 502);
  EXPECT_EQ(status.message.substr(0, 18), "<html> Bad Gateway");
  EXPECT_EQ(status.message.size(), 200U);
  EXPECT_EQ(KubeError(status).ToError().error_class, ErrorClass::kTransient);
}

// Half a character would make a condition or an event that the API refuses.
TEST(StatusTest, CutsBetweenCharacters) {
  const Status status = DecodeStatus(502, {}, std::string(199, 'x') + "\xc3\xa9" + "tail");
  EXPECT_EQ(status.message, std::string(199, 'x'));
}

// The server asks for patience under load; ignoring it makes an outage longer.
TEST(StatusTest, ReadsRetryAfterFromHeaderAndBody) {
  EXPECT_EQ(DecodeStatus(429, {{"retry-after", "7"}}, "").retry_after, 7s);
  EXPECT_EQ(
      DecodeStatus(503, {}, R"({"kind":"Status","details":{"retryAfterSeconds":3}})").retry_after,
      3s);
  EXPECT_EQ(DecodeStatus(429, {{"Retry-After", "99999999"}}, "").retry_after, 300s);
  EXPECT_FALSE(DecodeStatus(429, {{"Retry-After", "-1"}}, "").retry_after);
  EXPECT_FALSE(DecodeStatus(429, {{"Retry-After", "Wed, 21 Oct"}}, "").retry_after);
}

TEST(StatusTest, FlattensToClasses) {
  const auto class_of = [](int code) {
    return KubeError(Status{.code = code}).ToError().error_class;
  };
  EXPECT_EQ(class_of(404), ErrorClass::kNotFound);
  EXPECT_EQ(class_of(403), ErrorClass::kForbidden);
  // One API server of three may lag behind a rotation of keys: minutes of waiting would be wrong.
  EXPECT_EQ(class_of(401), ErrorClass::kTransient);
  EXPECT_EQ(class_of(422), ErrorClass::kInvalid);
  EXPECT_EQ(class_of(429), ErrorClass::kThrottled);
  EXPECT_EQ(class_of(410), ErrorClass::kTransient);
  EXPECT_EQ(KubeError(net::TransportError{net::TransportError::Kind::kCanceled, ""})
                .ToError()
                .error_class,
            ErrorClass::kCanceled);
}

}  // namespace
}  // namespace breakwater::kube
