package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The test program is also the agent: a supervisor that starts its worker again, and writes what happened.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "run":
			supervisor()
			return
		case workerWord:
			time.Sleep(time.Hour)
			return
		}
	}
	os.Exit(m.Run())
}

func supervisor() {
	signals := make(chan os.Signal, 1)
	if os.Getenv("DEAF") != "" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(signals, syscall.SIGTERM)
	}
	fmt.Println("started")
	for {
		worker := exec.Command(os.Args[0], workerWord)
		if worker.Start() != nil {
			return
		}
		dead := make(chan struct{})
		go func() {
			_ = worker.Wait()
			close(dead)
		}()
		select {
		case <-signals:
			fmt.Println("terminated")
			return // the worker stays behind, as a careless process 1 would leave it
		case <-dead:
		}
	}
}

type testAgent struct {
	*podAgent
	done chan struct{}
}

func newTestAgent(t *testing.T, policy restartPolicy, env ...string) *testAgent {
	t.Helper()
	agent := &podAgent{pod: &corev1.Pod{}, folder: t.TempDir(), run: newSpawner().start, env: env,
		argv: []string{os.Args[0], "run"}, stop: make(chan struct{}), changed: make(chan struct{}), policy: policy,
		told: func() {}}
	result := &testAgent{agent, make(chan struct{})}
	agent.ended = func() { close(result.done) }
	go agent.loop()
	t.Cleanup(func() {
		agent.end(0)
		<-result.done
	})
	eventually(t, "worker", func() bool { return result.worker() != 0 })
	return result
}

func (a *testAgent) worker() int {
	if workers := workersOf(a.pid()); len(workers) == 1 {
		return workers[0]
	}
	return 0
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}

// alive: a zombie is none, its new parent has only not looked yet.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.HasPrefix(text[bytes.LastIndexByte(text, ')')+1:], []byte(" Z"))
}

// A test that kills a worker must hit the worker alone, or it would prove nothing about the supervisor.
func TestAKilledWorkerLeavesTheSupervisor(t *testing.T) {
	agent := newTestAgent(t, restartPolicy{never: true})
	supervisor, worker := agent.pid(), agent.worker()
	if !agent.signal("worker", syscall.SIGKILL) {
		t.Fatal("nobody to kill")
	}
	eventually(t, "new worker", func() bool { return agent.worker() != 0 && agent.worker() != worker })
	if agent.pid() != supervisor || agent.restarts != 0 {
		t.Errorf("the container was started again")
	}
}

// REVIEW-1 L1: what a container starts dies with it. A simulated container that leaves processes behind would keep a
// guardian alive that no real one has.
func TestADeadSupervisorTakesItsContainerAlongAndIsStartedAgain(t *testing.T) {
	agent := newTestAgent(t, restartPolicy{})
	supervisor, worker := agent.pid(), agent.worker()
	state := filepath.Join(agent.folder, "state")
	if err := os.WriteFile(state, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	agent.signal("supervisor", syscall.SIGKILL)
	eventually(t, "restart at once", func() bool { return agent.pid() != 0 && agent.pid() != supervisor })
	if alive(worker) {
		t.Errorf("the worker outlived its container")
	}
	if _, err := os.Stat(state); err != nil {
		t.Errorf("the emptyDir must outlive the container: %v", err)
	}
	body, first := agent.status()
	if first || body["status"].(map[string]any)["containerStatuses"].([]map[string]any)[0]["restartCount"] != 1 {
		t.Errorf("status: %v", body)
	}
}

func TestAPolicyThatChangesWakesTheRestart(t *testing.T) {
	agent := newTestAgent(t, restartPolicy{never: true})
	agent.signal("both", syscall.SIGKILL)
	eventually(t, "end", func() bool { return agent.pid() == 0 })
	agent.setPolicy(restartPolicy{fixed: true})
	eventually(t, "restart", func() bool { return agent.pid() != 0 })
}

func TestTheEndOfAPodIsSIGTERMAndThenSIGKILL(t *testing.T) {
	polite := newTestAgent(t, restartPolicy{})
	worker := polite.worker()
	polite.end(time.Hour)
	<-polite.done
	if alive(worker) {
		t.Errorf("the worker outlived its pod")
	}
	if text, _ := os.ReadFile(polite.logPath()); string(text) != "started\nterminated\n" {
		t.Errorf("log: %q", text)
	}

	deaf := newTestAgent(t, restartPolicy{}, "DEAF=1")
	began := time.Now()
	deaf.end(300 * time.Millisecond)
	<-deaf.done
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("killed after %v, before its grace period was over", took)
	}
}

func TestBackOffIsTheKubelets(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 0, 2: 10 * time.Second, 3: 20 * time.Second,
		6: 160 * time.Second, 7: 300 * time.Second, 1000: 300 * time.Second} {
		if got, ever := (restartPolicy{}).wait(failures); got != want || !ever {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}
