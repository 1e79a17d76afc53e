package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// control is what tests ask of the node server, as HTTP on a UNIX socket: faults between operator and nodes, and the
// agents' processes. Every answer is JSON; an error is {"error": "..."} with status 400.
type control struct {
	agents  *agents
	latency *latency
	streams *streams
}

type controlRequest struct {
	Node    string   `json:"node"`    // "": all nodes
	What    string   `json:"what"`    // worker, supervisor, both
	Signal  string   `json:"signal"`  // KILL, TERM, STOP, CONT
	Seconds *float64 `json:"seconds"` // of restart: null is as a kubelet does, below 0 is never
	Ms      int64    `json:"ms"`
	Reset   bool     `json:"reset"`
	Program []string `json:"program"` // of impostor: a command line of this machine, empty is the agent itself again
}

var signals = map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "STOP": syscall.SIGSTOP,
	"CONT": syscall.SIGCONT}

func (c *control) serve(path string) error {
	_ = os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(listener, c.handler()) }()
	return nil
}

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(name string, do func(controlRequest) (any, error)) {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			var request controlRequest
			decoder := json.NewDecoder(r.Body)
			decoder.DisallowUnknownFields()
			answer, err := any(nil), decoder.Decode(&request)
			if err == nil {
				answer, err = do(request)
			}
			w.Header().Set("Content-Type", "application/json")
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				answer = map[string]string{"error": err.Error()}
			}
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	fine := map[string]bool{"ok": true}
	handle("latency", func(r controlRequest) (any, error) {
		c.latency.set(time.Duration(r.Ms) * time.Millisecond)
		return fine, nil
	})
	handle("signal", func(r controlRequest) (any, error) {
		number, ok := signals[r.Signal]
		if !ok {
			return nil, fmt.Errorf("unknown signal %q", r.Signal)
		}
		return fine, c.agents.signal(r.Node, r.What, number)
	})
	handle("hold-worker", func(r controlRequest) (any, error) {
		seconds := 0.0
		if r.Seconds != nil {
			seconds = *r.Seconds
		}
		c.agents.hold(r.Node, time.Duration(seconds*float64(time.Second)))
		return fine, nil
	})
	handle("release-worker", func(r controlRequest) (any, error) {
		c.agents.release(r.Node)
		return fine, nil
	})
	handle("restart", func(r controlRequest) (any, error) {
		policy := restartPolicy{}
		if r.Seconds != nil {
			policy.never, policy.fixed = *r.Seconds < 0, true
			policy.after = time.Duration(*r.Seconds * float64(time.Second))
		}
		c.agents.setPolicy(r.Node, policy)
		return fine, nil
	})
	handle("impostor", func(r controlRequest) (any, error) {
		c.agents.setImpostor(r.Node, r.Program)
		return map[string]int{"cut": c.streams.cut(r.Node)}, nil
	})
	handle("cut-streams", func(r controlRequest) (any, error) {
		return map[string]int{"cut": c.streams.cut(r.Node)}, nil
	})
	handle("counters", func(r controlRequest) (any, error) { return c.streams.counters(r.Reset), nil })
	handle("agents", func(r controlRequest) (any, error) { return map[string]any{"agents": c.describe(r.Node)}, nil })
	return mux
}

// agentView is one agent as a test sees it.
type agentView struct {
	Node       string  `json:"node"`
	Pod        string  `json:"pod"`
	Supervisor int     `json:"supervisor"` // process id, 0: does not run
	Workers    []int   `json:"workers"`
	Restarts   int     `json:"restarts"`
	RunDir     string  `json:"runDir"`
	Log        string  `json:"log"`
	OwnSeconds float64 `json:"ownSeconds"` // CPU of supervisor and worker
	// CPU of the commands that they started and of earlier workers.
	ChildSeconds float64 `json:"childSeconds"`
	RssKiB       int64   `json:"rssKiB"`
	PeakKiB      int64   `json:"peakKiB"`
}

func (c *control) describe(node string) []agentView {
	result := []agentView{}
	for _, agent := range c.agents.onNode(node) {
		supervisor := agent.pid()
		view := agentView{Node: agent.pod.Spec.NodeName, Pod: agent.pod.Name, Supervisor: supervisor,
			Workers: workersOf(supervisor), RunDir: agent.runDir(), Log: agent.logPath()}
		agent.mutex.Lock()
		view.Restarts = agent.restarts
		agent.mutex.Unlock()
		for _, pid := range append([]int{supervisor}, view.Workers...) {
			view.add(pid)
		}
		result = append(result, view)
	}
	return result
}

func (v *agentView) add(pid int) {
	if pid == 0 {
		return
	}
	own, children := cpuSeconds(pid)
	v.OwnSeconds += own
	v.ChildSeconds += children
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	v.RssKiB += statusField(status, "VmRSS:")
	v.PeakKiB += statusField(status, "VmHWM:")
}

const ticksPerSecond = 100 // USER_HZ of every Linux that runs here

func cpuSeconds(pid int) (own, children float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" "))
	fields := bytes.Fields(rest) // from field 3 of proc(5), the state
	value := func(field int) float64 {
		if field-3 >= len(fields) {
			return 0
		}
		n, _ := strconv.ParseFloat(string(fields[field-3]), 64)
		return n / ticksPerSecond
	}
	return value(14) + value(15), value(16) + value(17)
}

func statusField(status []byte, name string) int64 {
	for _, line := range bytes.Split(status, []byte("\n")) {
		if words := bytes.Fields(line); len(words) > 1 && string(words[0]) == name {
			n, _ := strconv.ParseInt(string(words[1]), 10, 64)
			return n
		}
	}
	return 0
}

// streams counts execs and knows the connections of those that run.
type streams struct {
	mutex sync.Mutex
	open  map[net.Conn]string // to its node
	count execCounters
}

type execCounters struct {
	Execs    int            `json:"execs"`
	Connects int            `json:"connects"` // of these: streams to an agent
	Refused  int            `json:"refused"`  // no such container, or the node is unreachable
	ByNode   map[string]int `json:"byNode"`
	Open     int            `json:"open"`
}

func newStreams() *streams {
	return &streams{open: map[net.Conn]string{}, count: execCounters{ByNode: map[string]int{}}}
}

func (s *streams) began(node string, connect bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.count.Execs++
	s.count.ByNode[node]++
	if connect {
		s.count.Connects++
	}
}

func (s *streams) refused() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.count.Refused++
}

func (s *streams) add(connection net.Conn, node string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.open[connection] = node
}

func (s *streams) drop(connection net.Conn) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.open, connection)
}

// cut ends the connections of all execs of a node, as a network does that is torn: nobody says goodbye.
func (s *streams) cut(node string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	count := 0
	for connection, at := range s.open {
		if node == "" || at == node {
			connection.Close()
			count++
		}
	}
	return count
}

func (s *streams) counters(reset bool) execCounters {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	result := s.count
	result.Open = len(s.open)
	if reset {
		s.count = execCounters{ByNode: map[string]int{}}
	}
	return result
}
