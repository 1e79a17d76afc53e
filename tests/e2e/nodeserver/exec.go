package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
	agents    *agents
	latency   *latency
	streams   *streams
	execs     *execLog
}

func (h *handler) routes() http.Handler {
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
		h.streams.refused()
		dropConnection(w)
	case !h.cluster.containerRunning(pod, container):
		h.streams.refused()
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
	container := r.PathValue("container")
	command := &command{
		shimDir:   h.config.shimDir,
		drbdSim:   h.config.drbdSimSocket,
		pod:       pod,
		container: container,
		markers:   []string{h.processes.marker(string(pod.UID))},
		latency:   h.latency,
		execs:     h.execs,
	}
	argv, connects := r.URL.Query()["command"], false
	if agent := h.agents.find(pod.UID); agent != nil && container == agentContainer {
		// It ends with the container, as everything does that shares the processes of a container.
		command.markers = append(command.markers, agent.containerMarker())
		if len(argv) > 0 && argv[0] == agentProgram {
			connects = isConnect(argv)
			argv = h.agents.connectLine(agent, argv)
		}
	}
	h.streams.began(pod.Spec.NodeName, connects)
	watched := &watchedResponse{ResponseWriter: w, streams: h.streams, node: pod.Spec.NodeName}
	defer watched.end()
	// Only v4 and older: with v5 offered here every exec ends in "Timeout occurred" after 30 s.
	remotecommand.ServeExec(watched, r, command, pod.Name, string(pod.UID), container, argv, options,
		streamIdleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func isConnect(argv []string) bool { return len(argv) > 1 && argv[1] == "connect" }

// watchedResponse remembers the connection of an exec, so that a test can cut it.
type watchedResponse struct {
	http.ResponseWriter
	streams    *streams
	node       string
	connection net.Conn
}

func (w *watchedResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := w.ResponseWriter.(http.Hijacker).Hijack()
	if err == nil {
		w.connection = connection
		w.streams.add(connection, w.node)
	}
	return connection, buffered, err
}

func (w *watchedResponse) end() {
	if w.connection != nil {
		w.streams.drop(w.connection)
	}
}

func (w *watchedResponse) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// command runs one exec as a local process. A client that goes away ends its standard input and nothing else, as with
// a container runtime: the command runs on and does what it was told to do, however late.
type command struct {
	shimDir, drbdSim string
	pod              *corev1.Pod
	container        string
	markers          []string
	latency          *latency
	execs            *execLog
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
	time.Sleep(c.latency.get())
	environment := environmentOf(c.pod, c.container, c.shimDir, c.drbdSim)
	program, err := lookUp(argv[0], searchPath(c.shimDir))
	if err != nil {
		return fmt.Errorf("OCI runtime exec failed: exec failed: unable to start container process: exec: %q: %w", argv[0], err)
	}
	log, ended := c.execs.begin(c.pod.Spec.NodeName, c.container)
	defer ended()
	process := exec.Command(program, argv[1:]...)
	process.Args[0] = argv[0]
	process.Dir = "/"
	process.Env = append(environment, c.markers...)
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process.WaitDelay = pipeDrainTimeout
	for _, stream := range []struct {
		from *io.Writer
		to   io.WriteCloser
	}{{&process.Stdout, out}, {&process.Stderr, errOut}} {
		if stream.to != nil {
			delayed := newDelayedWriter(stream.to, c.latency)
			defer delayed.Close()
			*stream.from = io.MultiWriter(log, delayed)
		}
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
			delayed := newDelayedWriter(stdin, c.latency)
			_, _ = io.Copy(io.MultiWriter(log, delayed), in)
			delayed.Close()
			stdin.Close()
		}()
	}
	return exitError(process, process.Wait())
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

func searchPath(shimDir string) []string {
	path := []string{"/usr/bin", "/bin"}
	if shimDir != "" {
		path = append([]string{shimDir}, path...)
	}
	return path
}

// environmentOf is what a process in that container sees, and what makes the shims work.
func environmentOf(pod *corev1.Pod, container, shimDir, drbdSim string) []string {
	result := []string{}
	if c := findContainer(pod, container); c != nil {
		for _, variable := range c.Env {
			if variable.ValueFrom == nil {
				result = append(result, variable.Name+"="+variable.Value)
			}
		}
	}
	return append(result,
		"PATH="+strings.Join(searchPath(shimDir), ":"),
		"HOME=/root",
		"HOSTNAME="+pod.Name,
		"NODE_NAME="+pod.Spec.NodeName,
		"POD_NAME="+pod.Name,
		"POD_NAMESPACE="+pod.Namespace,
		"CONTAINER_NAME="+container,
		"DRBD_SIM_SOCKET="+drbdSim)
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
