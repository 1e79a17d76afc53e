package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

var everything = labels.Everything()

// Environment variable by which a process, and everything it starts, is known to belong to a pod. A process that
// left its group with setsid outlives its exec, but not its pod.
const podMarker = "BREAKWATER_TESTBED_POD"

// The same for one run of a container, of which only the agent's has more than one.
const containerMarker = "BREAKWATER_TESTBED_CONTAINER"

// processes remembers which pods have run commands, to end what is left when a pod ends.
type processes struct {
	instance string // of this node server: several test beds may run at a time
	mutex    sync.Mutex
	uids     map[string]bool
}

func newProcesses() *processes { return &processes{instance: rand.Text(), uids: map[string]bool{}} }

// marker registers a pod and returns the environment entry for its processes.
func (p *processes) marker(podUID string) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.uids[podUID] = true
	return podMarker + "=" + p.instance + "/" + podUID
}

func (p *processes) podUIDs() map[string]bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	result := map[string]bool{}
	for uid := range p.uids {
		result[uid] = true
	}
	return result
}

// keepOnly kills the processes of pods that are known here, but not running.
func (p *processes) keepOnly(running map[string]bool) {
	for uid, alive := range running {
		if alive {
			continue
		}
		p.mutex.Lock()
		delete(p.uids, uid)
		p.mutex.Unlock()
		killAllMarked(podMarker + "=" + p.instance + "/" + uid)
	}
}

func (p *processes) killAll() { killMarked(podMarker + "=" + p.instance + "/") }

// killAllMarked also finds what was forked while it looked.
func killAllMarked(entryPrefix string) {
	for i := 0; i < 100 && killMarked(entryPrefix) > 0; i++ {
		time.Sleep(5 * time.Millisecond)
	}
}

// killMarked returns how many processes it found.
func killMarked(entryPrefix string) int {
	prefix := []byte(entryPrefix)
	found := 0
	directories, _ := filepath.Glob("/proc/[0-9]*")
	for _, directory := range directories {
		environ, err := os.ReadFile(directory + "/environ")
		if err != nil {
			continue // gone, or not ours
		}
		for _, entry := range bytes.Split(environ, []byte{0}) {
			if bytes.HasPrefix(entry, prefix) {
				if pid, err := strconv.Atoi(filepath.Base(directory)); err == nil {
					_ = syscall.Kill(pid, syscall.SIGKILL)
					found++
				}
				break
			}
		}
	}
	return found
}
