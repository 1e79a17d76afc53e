package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	agentContainer = "breakwater-agent"
	// Where the binary lies in the container, and which part of the pod's emptyDirs the agent uses.
	agentProgram = "/breakwater/bin/breakwater-agent"
	workerWord   = "worker"

	// What a kubelet waits before it starts a container again: nothing, then this, then twice as long each time.
	firstBackOff   = 10 * time.Second
	longestBackOff = 300 * time.Second
	calmRun        = 10 * time.Minute // a container that ran so long starts without a wait again
)

// restartPolicy says when a dead agent container starts again; the zero value does as a kubelet does.
type restartPolicy struct {
	never bool
	fixed bool
	after time.Duration
}

func (p restartPolicy) wait(failures int) (time.Duration, bool) {
	switch {
	case p.never:
		return 0, false
	case p.fixed:
		return p.after, true
	case failures <= 1:
		return 0, true
	case failures > 6:
		return longestBackOff, true
	}
	return min(firstBackOff<<(failures-2), longestBackOff), true
}

// podAgent is the container breakwater-agent of one pod: a real process, its emptyDir, and what a kubelet does for it.
type podAgent struct {
	pod    *corev1.Pod // as it was when the container started first: what matters here never changes
	folder string      // the emptyDir; it outlives the container, not the pod
	argv   []string
	env    []string
	run    func(*exec.Cmd) error
	ended  func() // the pod was deleted and its agent is gone
	told   func() // a start or an end

	stop     chan struct{} // closed: the pod is to end
	stopOnce sync.Once
	grace    time.Duration

	mutex    sync.Mutex
	process  *exec.Cmd // nil while it does not run
	restarts int
	started  time.Time
	exitText string
	exitCode int
	finished time.Time
	policy   restartPolicy
	changed  chan struct{} // closed and replaced when the policy changes
	gone     bool
}

// spawner starts processes that die with us, whatever ends us: the kernel sends that signal when the *thread* that
// forked ends, so one thread forks them all.
type spawner chan func()

func newSpawner() spawner {
	s := make(spawner)
	go func() {
		runtime.LockOSThread()
		for f := range s {
			f()
		}
	}()
	return s
}

func (s spawner) start(command *exec.Cmd) error {
	result := make(chan error)
	s <- func() { result <- command.Start() }
	return <-result
}

func (a *podAgent) runDir() string { return filepath.Join(a.folder, "run") }

func (a *podAgent) logPath() string { return filepath.Join(a.folder, "agent.log") }

// loop plays the kubelet until the pod ends.
func (a *podAgent) loop() {
	defer a.ended()
	failures := 0
	for {
		before := time.Now()
		a.runOnce()
		if isClosed(a.stop) {
			return
		}
		if time.Since(before) > calmRun {
			failures = 0
		}
		failures++
		if !a.waitForRestart(failures) {
			return
		}
		a.mutex.Lock()
		a.restarts++
		a.mutex.Unlock()
	}
}

// waitForRestart is false when the pod ends first.
func (a *podAgent) waitForRestart(failures int) bool {
	died := time.Now()
	for {
		a.mutex.Lock()
		policy, changed := a.policy, a.changed
		a.mutex.Unlock()
		var due <-chan time.Time
		if wait, ever := policy.wait(failures); ever {
			due = time.After(time.Until(died.Add(wait)))
		}
		select {
		case <-a.stop:
			return false
		case <-changed:
		case <-due:
			return true
		}
	}
}

func (a *podAgent) setPolicy(p restartPolicy) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.policy = p
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *podAgent) runOnce() {
	output, err := os.OpenFile(a.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		log.Printf("agent of %s: %v", a.pod.Name, err)
		return
	}
	defer output.Close()
	process := exec.Command(a.argv[0], a.argv[1:]...)
	process.Dir = "/"
	process.Env = append([]string{a.containerMarker()}, a.env...)
	process.Stdout, process.Stderr = output, output
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := a.run(process); err != nil {
		a.note(nil, err.Error(), 128)
		return
	}
	a.note(process, "", 0)
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = process.Wait() // as a file: there is nothing to copy, so it waits for the process alone
	}()
	select {
	case <-exited:
	case <-a.stop:
		_ = process.Process.Signal(syscall.SIGTERM)
		_ = process.Process.Signal(syscall.SIGCONT) // a paused process does not see SIGTERM
		select {
		case <-exited:
		case <-time.After(a.grace):
			log.Printf("agent of %s: still there after its grace period", a.pod.Name)
			_ = process.Process.Kill()
			<-exited
		}
	}
	// A process that is process 1 of its container takes all others of the container along.
	killAllMarked(a.containerMarker())
	a.note(nil, process.ProcessState.String(), exitCode(process.ProcessState))
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// containerMarker is the environment entry of everything that runs in this run of the container.
func (a *podAgent) containerMarker() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return fmt.Sprintf("%s=%s/%d", containerMarker, a.folder, a.restarts)
}

func (a *podAgent) note(process *exec.Cmd, exit string, code int) {
	a.mutex.Lock()
	a.process = process
	if process != nil {
		a.started = time.Now()
		log.Printf("agent of %s: process %d, restart %d", a.pod.Name, process.Process.Pid, a.restarts)
	} else {
		a.exitText, a.exitCode, a.finished = exit, code, time.Now()
		log.Printf("agent of %s: ended: %s", a.pod.Name, exit)
	}
	a.mutex.Unlock()
	a.told()
}

// end asks for the end of the pod: SIGTERM, and SIGKILL when the grace period is over.
func (a *podAgent) end(grace time.Duration) {
	a.stopOnce.Do(func() {
		a.grace = grace
		close(a.stop)
	})
}

// pid of the supervisor, process 1 of the container; 0 while it does not run.
func (a *podAgent) pid() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.process == nil {
		return 0
	}
	return a.process.Process.Pid
}

// workers are the children of the supervisor that run as worker; at most one, but a dying one may still be there.
func workersOf(supervisor int) []int {
	if supervisor == 0 {
		return nil
	}
	var result []int
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", supervisor))
	for _, thread := range threads { // each has its own children
		text, _ := os.ReadFile(thread)
		for _, word := range strings.Fields(string(text)) {
			line, _ := os.ReadFile("/proc/" + word + "/cmdline")
			argv := bytes.Split(line, []byte{0})
			if pid, err := strconv.Atoi(word); err == nil && len(argv) > 1 && string(argv[1]) == workerWord {
				result = append(result, pid)
			}
		}
	}
	return result
}

// signal sends to the "worker", the "supervisor" or "both", and says whether there was somebody.
func (a *podAgent) signal(what string, number syscall.Signal) bool {
	supervisor := a.pid()
	pids := workersOf(supervisor)
	switch {
	case supervisor == 0:
		return false
	case what == "supervisor":
		pids = []int{supervisor}
	case what == "both":
		pids = append([]int{supervisor}, pids...) // so that it cannot start another worker in between
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, number)
	}
	return len(pids) > 0
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
