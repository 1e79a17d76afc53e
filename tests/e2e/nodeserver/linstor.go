package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"
)

// linstorBackend is the simulator of LINSTOR, which runs all the time. A controller pod that was started anew is told to
// it, because a real controller then connects to its satellites again and makes them adjust everything.
type linstorBackend struct {
	address string // "" when there is none
	run     string // of the controller that it was told of last
	client  http.Client
}

func newLinstorBackend(address string) *linstorBackend {
	return &linstorBackend{address: address, client: http.Client{Timeout: 10 * time.Second}}
}

func (l *linstorBackend) controllerRuns(ctx context.Context, run string) {
	if l.address == "" || run == "" || run == l.run {
		return
	}
	l.run = run
	go func() { // a test may have stopped the simulator
		for ctx.Err() == nil {
			err := l.restart(ctx)
			if err == nil {
				return
			}
			log.Printf("linstor-sim: %v", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
}

func (l *linstorBackend) restart(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.address+"/sim/restart", nil)
	if err != nil {
		return err
	}
	reply, err := l.client.Do(request)
	if err != nil {
		return err
	}
	reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("POST /sim/restart: %s", reply.Status)
	}
	return nil
}
