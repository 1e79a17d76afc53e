/*
 * tlshd-check: can tlshd do its work here? Says in one line what is missing and what to do.
 *
 *   tlshd-check               kernel and certificates, for a readiness probe
 *   tlshd-check certificates  only these
 *   tlshd-check run COMMAND   looks at both, then becomes COMMAND
 *
 * Exit status: 0 ready, 2 wrong use, 3 the kernel has no handshake service or no TLS, 4 a certificate, key or CA cannot be
 * used. `run` complains about certificates and goes on: tlshd reads them at each handshake, so mending the
 * Secret is enough. Without the kernel's part tlshd ends at once with status 0, which nobody would take for an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY "/etc/tlshd.d/"
#define CERTIFICATE DIRECTORY "tls.crt"
#define KEY DIRECTORY "tls.key"
#define CA DIRECTORY "ca.crt"

enum { kReady = 0, kUsage = 2, kKernel = 3, kFiles = 4 };

/* One line on standard error, and in the pod's status, where `kubectl describe pod` shows it. */
static int complain(int status, const char *format, ...) {
  char line[512];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  fprintf(stderr, "tlshd-check: %s\n", line);
  FILE *log = fopen("/dev/termination-log", "we");
  if (log != NULL) {
    fprintf(log, "%s\n", line);
    fclose(log);
  }
  return status;
}

/* 0: the kernel has the generic netlink family; else an errno, ENOENT if it has not. */
static int look_for_family(const char *name) {
  struct {
    struct nlmsghdr header;
    struct genlmsghdr command;
    struct nlattr attribute;
    char name[GENL_NAMSIZ];
  } request;
  char answer[4096];
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  struct timeval patience = {.tv_sec = 5};
  memset(&request, 0, sizeof(request));
  request.attribute.nla_type = CTRL_ATTR_FAMILY_NAME;
  request.attribute.nla_len = (unsigned short)(NLA_HDRLEN + strlen(name) + 1);
  strncpy(request.name, name, sizeof(request.name) - 1);
  request.command.cmd = CTRL_CMD_GETFAMILY;
  request.command.version = 1;
  request.header.nlmsg_type = GENL_ID_CTRL;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.header.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) + NLA_ALIGN(request.attribute.nla_len);

  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd < 0) return errno;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ssize_t size = -1;
  if (sendto(fd, &request, request.header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) >= 0) {
    size = recv(fd, answer, sizeof(answer), 0);
  }
  int failed = errno;
  close(fd);
  if (size < (ssize_t)sizeof(struct nlmsghdr)) return size < 0 ? failed : EPROTO;
  struct nlmsghdr header;
  memcpy(&header, answer, sizeof(header));
  if (header.nlmsg_type != NLMSG_ERROR) return 0;
  struct nlmsgerr error;
  if (size < (ssize_t)NLMSG_LENGTH(sizeof(error))) return EPROTO;
  memcpy(&error, NLMSG_DATA(answer), sizeof(error));
  return -error.error;
}

/* Asking for it on a socket without a connection loads the module, and fails with ENOTCONN where it is there. */
static int look_for_tls(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 && errno == EAFNOSUPPORT) fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int kTcpUlp = 31;
  int found = setsockopt(fd, IPPROTO_TCP, kTcpUlp, "tls", sizeof("tls")) == 0 ? 0 : errno;
  close(fd);
  return found == ENOTCONN ? 0 : found;
}

static int check_kernel(void) {
  int family = look_for_family("handshake");
  if (family == ENOENT) {
    return complain(kKernel,
                    "kernel has no handshake service (netlink family `handshake`): DRBD cannot ask for TLS; use a kernel with "
                    "CONFIG_NET_HANDSHAKE (6.4 or newer), or `modprobe handshake`");
  }
  if (family != 0) return complain(kKernel, "the kernel's handshake service cannot be asked for: %s", strerror(family));
  int tls = look_for_tls();
  if (tls != 0) {
    return complain(kKernel, "kernel has no TLS for sockets (%s): run `modprobe tls` on the node, or use a kernel with CONFIG_TLS",
                    strerror(tls));
  }
  return kReady;
}

static int check_readable(void) {
  const char *files[] = {CERTIFICATE, KEY, CA};
  for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i) {
    char byte;
    int fd = open(files[i], O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, &byte, 1);
    int failed = errno;
    if (fd >= 0) close(fd);
    if (size <= 0) {
      return complain(kFiles, "certificate unreadable: %s: %s; check the node's Secret", files[i],
                      size == 0 ? "the file is empty" : strerror(failed));
    }
  }
  return kReady;
}

static int check_dates(void) {
  gnutls_datum_t data = {NULL, 0};
  gnutls_x509_crt_t *list = NULL;
  unsigned int count = 0;
  int result = gnutls_load_file(CERTIFICATE, &data);
  if (result == 0) result = gnutls_x509_crt_list_import2(&list, &count, &data, GNUTLS_X509_FMT_PEM, 0);
  gnutls_free(data.data);
  if (result < 0) return complain(kFiles, "certificate unreadable: " CERTIFICATE ": %s", gnutls_strerror(result));
  time_t from = gnutls_x509_crt_get_activation_time(list[0]), until = gnutls_x509_crt_get_expiration_time(list[0]);
  for (unsigned int i = 0; i < count; ++i) gnutls_x509_crt_deinit(list[i]);
  gnutls_free(list);
  time_t now = time(NULL);
  if (now < from) return complain(kFiles, CERTIFICATE " is not valid yet; check the node's clock");
  if (now >= until) return complain(kFiles, CERTIFICATE " has expired; renew the certificate");
  return kReady;
}

/* As tlshd loads them, with the library that it loads them with. */
static int check_files(void) {
  if (check_readable() != kReady) return kFiles;
  gnutls_certificate_credentials_t credentials;
  if (gnutls_certificate_allocate_credentials(&credentials) < 0) return complain(kFiles, "out of memory");
  int status = kReady;
  int result = gnutls_certificate_set_x509_trust_file(credentials, CA, GNUTLS_X509_FMT_PEM);
  if (result <= 0) {
    status = complain(kFiles, "certificate unreadable: " CA " holds no certificate%s%s; check the node's Secret",
                      result < 0 ? ": " : "", result < 0 ? gnutls_strerror(result) : "");
  } else {
    result = gnutls_certificate_set_x509_key_file2(credentials, CERTIFICATE, KEY, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result < 0) {
      status = complain(kFiles, "certificate unreadable: " CERTIFICATE " with " KEY ": %s; check the node's Secret",
                        gnutls_strerror(result));
    }
  }
  gnutls_certificate_free_credentials(credentials);
  return status != kReady ? status : check_dates();
}

int main(int argc, char **argv) {
  const int run = argc > 2 && strcmp(argv[1], "run") == 0;
  const int certificates = argc == 2 && strcmp(argv[1], "certificates") == 0;
  if (argc > 1 && !run && !certificates) {
    fprintf(stderr, "usage: tlshd-check [certificates | run COMMAND [ARGUMENT...]]\n");
    return kUsage;
  }
  int status = certificates ? kReady : check_kernel();
  if (status != kReady) return status;
  status = check_files();
  if (!run) {
    if (status == kReady) puts("ready");
    return status;
  }
  execv(argv[2], argv + 2);
  return complain(kUsage, "%s: %s", argv[2], strerror(errno));
}
