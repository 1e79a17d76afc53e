package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

const (
	streamIdleTimeout     = 4 * time.Hour // the kubelet's default
	streamCreationTimeout = 30 * time.Second
	// How long output of a background process that kept the pipes may hold back the end of its exec.
	pipeDrainTimeout = 5 * time.Second
)

type handler struct {
	config    config
	cluster   *cluster
	sim       *simClient
	processes *processes
}

func newHandler(c config, cluster *cluster, sim *simClient, p *processes) http.Handler {
	h := &handler{config: c, cluster: cluster, sim: sim, processes: p}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /exec/{namespace}/{pod}/{container}", h.exec)
	mux.HandleFunc("GET /exec/{namespace}/{pod}/{container}", h.exec)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", h.logs)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	return mux
}

// target finds the pod of a request, or answers as a kubelet would and returns nil.
func (h *handler) target(w http.ResponseWriter, r *http.Request) *corev1.Pod {
	namespace, name, container := r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")
	pod, err := h.cluster.runningPod(r.Context(), namespace, name, container)
	switch {
	case apierrors.IsNotFound(err):
		http.Error(w, "pod does not exist", http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case h.cluster.unreachable(pod.Spec.NodeName):
		dropConnection(w)
	case !containerRunning(pod, container):
		http.Error(w, fmt.Sprintf("container not found (%q)", container), http.StatusInternalServerError)
	default:
		return pod
	}
	return nil
}

func dropConnection(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if connection, _, err := hijacker.Hijack(); err == nil {
			connection.Close()
		}
	}
}

func (h *handler) exec(w http.ResponseWriter, r *http.Request) {
	pod := h.target(w, r)
	if pod == nil {
		return
	}
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	container := r.PathValue("container")
	command := &command{
		ctx:       ctx,
		shimDir:   h.config.shimDir,
		drbdSim:   h.config.drbdSimSocket,
		pod:       pod,
		container: container,
		marker:    h.processes.marker(string(pod.UID)),
	}
	// Only v4 and older: with v5 offered here every exec ends in "Timeout occurred" after 30 s.
	remotecommand.ServeExec(&watchedResponse{w, cancel}, r, command, pod.Name, string(pod.UID), container,
		r.URL.Query()["command"], options, streamIdleTimeout, streamCreationTimeout,
		remotecommand.SupportedStreamingProtocols)
}

// watchedResponse reports the end of a hijacked connection: net/http does not cancel the request's context for it.
type watchedResponse struct {
	http.ResponseWriter
	cancel context.CancelFunc
}

func (w *watchedResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := w.ResponseWriter.(http.Hijacker).Hijack()
	if err != nil {
		return nil, nil, err
	}
	head, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err != nil {
		connection.Close()
		return nil, nil, err
	}
	watched := &watchedConn{connection, w.cancel}
	reader := io.MultiReader(bytes.NewReader(bytes.Clone(head)), watched)
	return watched, bufio.NewReadWriter(bufio.NewReader(reader), bufio.NewWriter(watched)), nil
}

func (w *watchedResponse) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

type watchedConn struct {
	net.Conn
	cancel context.CancelFunc
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.cancel()
	}
	return n, err
}

// command runs one exec as a local process.
type command struct {
	ctx              context.Context
	shimDir, drbdSim string
	pod              *corev1.Pod
	container        string
	marker           string
}

func (c *command) ExecInContainer(_ context.Context, _, _, _ string, argv []string, in io.Reader,
	out, errOut io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if len(argv) == 0 {
		return errors.New("no command")
	}
	if resize != nil {
		go func() {
			for range resize { // there is no terminal, but the sender must not block
			}
		}()
	}
	searchPath := c.searchPath()
	program, err := lookUp(argv[0], searchPath)
	if err != nil {
		return fmt.Errorf("OCI runtime exec failed: exec failed: unable to start container process: exec: %q: %w", argv[0], err)
	}
	process := exec.Command(program, argv[1:]...)
	process.Args[0] = argv[0]
	process.Dir = "/"
	process.Env = c.environment(searchPath)
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process.WaitDelay = pipeDrainTimeout
	if out != nil {
		process.Stdout = out
	}
	if errOut != nil {
		process.Stderr = errOut
	}
	var stdin io.WriteCloser
	if in != nil {
		// Not process.Stdin: Wait would then wait for a client that never closes its end.
		if stdin, err = process.StdinPipe(); err != nil {
			return err
		}
	}
	if err := process.Start(); err != nil {
		return err
	}
	if stdin != nil {
		go func() {
			_, _ = io.Copy(stdin, in)
			stdin.Close()
		}()
	}
	stop := context.AfterFunc(c.ctx, func() { _ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL) })
	err = process.Wait()
	stop()
	if c.ctx.Err() != nil {
		log.Printf("pod %s/%s: client of %q went away", c.pod.Namespace, c.pod.Name, argv)
	}
	return exitError(process, err)
}

func exitError(process *exec.Cmd, err error) error {
	if err == nil || (errors.Is(err, exec.ErrWaitDelay) && process.ProcessState.Success()) {
		return nil
	}
	if process.ProcessState == nil {
		return err
	}
	code := process.ProcessState.ExitCode()
	if status, ok := process.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	if code == 0 {
		return err // the process was fine, but its output could not be delivered
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
}

func (c *command) searchPath() []string {
	path := []string{"/usr/bin", "/bin"}
	if c.shimDir != "" {
		path = append([]string{c.shimDir}, path...)
	}
	return path
}

func (c *command) environment(searchPath []string) []string {
	return []string{
		"PATH=" + strings.Join(searchPath, ":"),
		"HOME=/root",
		"HOSTNAME=" + c.pod.Name,
		"NODE_NAME=" + c.pod.Spec.NodeName,
		"POD_NAME=" + c.pod.Name,
		"POD_NAMESPACE=" + c.pod.Namespace,
		"CONTAINER_NAME=" + c.container,
		"DRBD_SIM_SOCKET=" + c.drbdSim,
		c.marker,
	}
}

func lookUp(name string, searchPath []string) (string, error) {
	if strings.Contains(name, "/") {
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			return "", fmt.Errorf("stat %s: no such file or directory: unknown", name)
		}
		return name, nil
	}
	for _, directory := range searchPath {
		candidate := filepath.Join(directory, name)
		if info, err := os.Stat(candidate); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", errors.New("executable file not found in $PATH: unknown")
}
