package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func runCommand(delay *latency, in io.Reader, out io.Writer, argv ...string) error {
	c := &command{pod: &corev1.Pod{}, latency: delay, execs: &execLog{}}
	return c.ExecInContainer(nil, "", "", "", argv, in, nopCloser{out}, nil, false, nil, 0)
}

// A stream of JSON lines stands still when one side waits for a full buffer of the other.
func TestBytesFlowPromptlyInBothDirections(t *testing.T) {
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- runCommand(&latency{}, inRead, outWrite, "cat") }()
	lines := bufio.NewReader(outRead)
	for _, line := range []string{"hello\n", "ping\n"} {
		if _, err := io.WriteString(inWrite, line); err != nil {
			t.Fatal(err)
		}
		if got, err := lines.ReadString('\n'); got != line {
			t.Fatalf("%q, %v", got, err)
		}
	}
	inWrite.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// REVIEW-1 "the beds are kinder than the world": a container runtime lets a command run on when its client is gone, so
// a late command arrives. Here the client takes nothing any more, and the command still does what it was told.
func TestACommandOutlivesItsClient(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	gone, gate := io.Pipe()
	gone.Close() // every write fails from now on
	script := `echo one; echo two; i=0; while [ $i -lt 2000 ]; do echo "a line of output $i"; i=$((i+1)); done; : > "$0"`
	if err := runCommand(&latency{}, nil, gate, "sh", "-c", script, mark); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the command did not come to its end: %v", err)
	}
}

// G4 compares 0 with 500 ms: if pieces waited for one another, a stream would become a narrow pipe, not a long one.
func TestLatencyDelaysButDoesNotThrottle(t *testing.T) {
	delay := &latency{}
	delay.set(200 * time.Millisecond)
	var out bytes.Buffer
	began := time.Now()
	writer := newDelayedWriter(&out, delay)
	for range 50 {
		_, _ = writer.Write([]byte("x"))
	}
	writer.Close()
	if took := time.Since(began); took < 200*time.Millisecond || took > 5*time.Second || out.Len() != 50 {
		t.Errorf("%v for %d bytes", took, out.Len())
	}
	began = time.Now()
	if err := runCommand(delay, nil, io.Discard, "true"); err != nil || time.Since(began) < 200*time.Millisecond {
		t.Errorf("an exec starts after %v: %v", time.Since(began), err)
	}
}

type slowWriter struct{ taken atomic.Int64 }

func (s *slowWriter) Write(p []byte) (int, error) {
	s.taken.Add(int64(len(p)))
	return len(p), nil
}

func TestExitCodeComesAfterTheLastOutput(t *testing.T) {
	delay, out := &latency{}, &slowWriter{}
	delay.set(50 * time.Millisecond)
	if err := runCommand(delay, nil, out, "sh", "-c", "echo x; exit 3"); err == nil || err.Error() !=
		"command terminated with exit code 3" {
		t.Errorf("%v", err)
	}
	if out.taken.Load() != 2 {
		t.Errorf("%d bytes before the exit code", out.taken.Load())
	}
}
