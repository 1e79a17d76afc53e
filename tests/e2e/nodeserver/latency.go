package main

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// latency is what the way between the operator and a node takes, added to every start of an exec and to every piece of
// its streams. It delays, it does not throttle: two pieces on the way are late by the same time, not by twice of it.
type latency struct{ nanoseconds atomic.Int64 }

func (l *latency) set(d time.Duration) { l.nanoseconds.Store(int64(d)) }

func (l *latency) get() time.Duration { return time.Duration(l.nanoseconds.Load()) }

// How many pieces of a stream may be on the way before its sender has to wait.
const piecesOnTheWay = 256

type piece struct {
	data []byte
	due  time.Time
}

// delayedWriter hands everything on in order, each piece when its time has come. What the other end does not take is
// dropped: a container runtime too lets a command go on whose client is gone, without a signal and without an error.
type delayedWriter struct {
	latency *latency
	queue   chan piece
	done    chan struct{}
	once    sync.Once
}

func newDelayedWriter(to io.Writer, l *latency) *delayedWriter {
	d := &delayedWriter{latency: l, queue: make(chan piece, piecesOnTheWay), done: make(chan struct{})}
	go func() {
		defer close(d.done)
		var failed error
		for p := range d.queue {
			if wait := time.Until(p.due); wait > 0 {
				time.Sleep(wait)
			}
			if failed == nil {
				_, failed = to.Write(p.data)
			}
		}
	}()
	return d
}

func (d *delayedWriter) Write(data []byte) (int, error) {
	d.queue <- piece{bytes.Clone(data), time.Now().Add(d.latency.get())}
	return len(data), nil
}

// Close waits until everything was handed on. Nobody may write any more.
func (d *delayedWriter) Close() error {
	d.once.Do(func() { close(d.queue) })
	<-d.done
	return nil
}
