package main

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Names of the simulated logs in the DRBD simulator, by container.
var logCommands = map[string]string{
	tlshdContainer:     "tlshd-log",
	satelliteContainer: "satellite-log",
}

// How often a followed log is read again.
const followInterval = 300 * time.Millisecond

func (h *handler) logs(w http.ResponseWriter, r *http.Request) {
	pod := h.target(w, r)
	if pod == nil {
		return
	}
	container := r.PathValue("container")
	read := func() string {
		if agent := h.agents.find(pod.UID); agent != nil && container == agentContainer {
			text, _ := os.ReadFile(agent.logPath())
			return string(text)
		}
		command, ok := logCommands[container]
		if !ok || h.config.drbdSimSocket == "" {
			return ""
		}
		text, err := h.sim.run(pod.Spec.NodeName, container, command)
		if err != nil {
			return ""
		}
		return text
	}
	query := r.URL.Query()
	text := read()
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, tail(text, query.Get("tailLines")))
	if query.Get("follow") != "true" {
		return
	}
	flusher, _ := w.(http.Flusher)
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		if flusher != nil {
			flusher.Flush()
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
		if current, err := h.cluster.pods.Pods(pod.Namespace).Get(pod.Name); err != nil || current.UID != pod.UID {
			return // the pod is gone: so is its log
		}
		next := read()
		if added, ok := strings.CutPrefix(next, text); ok {
			_, _ = io.WriteString(w, added)
			text = next
		} else if next != "" { // the simulator was restarted
			_, _ = io.WriteString(w, next)
			text = next
		}
	}
}

// tail keeps the last lines as `kubectl logs --tail` wants them.
func tail(text, lines string) string {
	count, err := strconv.Atoi(lines)
	if err != nil || count < 0 {
		return text
	}
	if count == 0 {
		return ""
	}
	all := strings.SplitAfter(text, "\n")
	if len(all) > 0 && all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return strings.Join(all[max(0, len(all)-count):], "")
}
