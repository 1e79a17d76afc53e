package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"sync"
	"time"
)

// simClient speaks the DRBD simulator's protocol: one JSON object per line, one answer per line.
type simClient struct {
	socket string

	mutex      sync.Mutex // one exchange at a time
	connection net.Conn
	answers    chan []byte
	generation int // counts connections: a new one means that the simulator may have lost our state
}

var errNoSim = errors.New("the DRBD simulator is not reachable")

// How long one exchange may take: long enough for a simulator that a test has paused for a while.
const simTimeout = 30 * time.Second

func newSimClient(socket string) *simClient { return &simClient{socket: socket} }

// connectLoop keeps a connection open and calls onConnect after each new one.
func (s *simClient) connectLoop(ctx context.Context, onConnect func()) {
	if s.socket == "" {
		return
	}
	for ctx.Err() == nil {
		connection, err := net.Dial("unix", s.socket)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		answers := make(chan []byte, 1)
		s.mutex.Lock()
		s.connection, s.answers = connection, answers
		s.generation++
		s.mutex.Unlock()
		log.Printf("drbd-sim: connected")
		stop := context.AfterFunc(ctx, func() { connection.Close() })
		onConnect()
		reader := bufio.NewReader(connection)
		for {
			line, err := reader.ReadBytes('\n')
			if err != nil {
				break
			}
			answers <- line
		}
		// Forget the connection first: a caller waits for an answer with the mutex held and must be woken by close.
		close(answers)
		connection.Close()
		stop()
		s.mutex.Lock()
		if s.connection == connection {
			s.connection = nil
		}
		s.mutex.Unlock()
		log.Printf("drbd-sim: disconnected")
	}
}

func (s *simClient) currentGeneration() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.connection == nil {
		return 0
	}
	return s.generation
}

func (s *simClient) call(request any, answer any) error {
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.connection == nil {
		return errNoSim
	}
	_ = s.connection.SetWriteDeadline(time.Now().Add(simTimeout))
	if _, err := s.connection.Write(append(line, '\n')); err != nil {
		s.connection.Close()
		return err
	}
	select {
	case reply, ok := <-s.answers:
		if !ok {
			return errNoSim
		}
		return json.Unmarshal(reply, answer)
	case <-time.After(simTimeout):
		s.connection.Close() // a late answer must not be taken for that of the next request
		return fmt.Errorf("drbd-sim: no answer within %v", simTimeout)
	}
}

// tell sends an operation that answers {"ok":true}.
func (s *simClient) tell(operation map[string]any) error {
	var answer struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if err := s.call(operation, &answer); err != nil {
		return err
	}
	if !answer.OK {
		return fmt.Errorf("drbd-sim: %v: %s", operation["op"], answer.Error)
	}
	return nil
}

// run executes a simulated command on a node and returns its standard output.
func (s *simClient) run(node, container string, argv ...string) (string, error) {
	var answer struct {
		Exit   int    `json:"exit"`
		Stdout string `json:"stdout"`
	}
	request := map[string]any{"op": "run", "node": node, "container": container, "argv": argv, "stdin": ""}
	err := s.call(request, &answer)
	return answer.Stdout, err
}
