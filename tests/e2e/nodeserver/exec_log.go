package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// execLog keeps what was told to and said by every exec, one file for each: a test looks for what should not be there.
type execLog struct {
	folder string // empty: nothing is kept
	count  atomic.Int64
}

// begin returns where both directions of one exec are written to, and what ends it.
func (l *execLog) begin(node, container string) (io.Writer, func()) {
	if l.folder == "" {
		return io.Discard, func() {}
	}
	name := fmt.Sprintf("%s-%s-%d", node, container, l.count.Add(1))
	file, err := os.OpenFile(filepath.Join(l.folder, name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return io.Discard, func() {}
	}
	return &lockedWriter{to: file}, func() { file.Close() }
}

// lockedWriter never fails: an exec must not end because its log does.
type lockedWriter struct {
	mutex sync.Mutex
	to    io.Writer
}

func (w *lockedWriter) Write(data []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	_, _ = w.to.Write(data)
	return len(data), nil
}
