package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// On a Pod: kwok does not delete it, the node server does when its agent has ended, see controlplane.py.
const lastsAnnotation = "testbed.breakwater/lasts-until-its-agent-ends"

const (
	defaultGrace = 30 * time.Second
	// How often a worker that a test wants dead is looked for.
	holdInterval = 5 * time.Millisecond
)

// agents runs the container breakwater-agent of every pod that has one, as a real process.
type agents struct {
	cluster   *cluster
	processes *processes
	binary    string   // "": the container is one of kwok's, which exist in the status only
	extra     []string // options that only the test bed has
	folder    string
	searchEnv func(pod *corev1.Pod, container string) []string
	spawner   spawner

	mutex    sync.Mutex
	byUID    map[types.UID]*podAgent
	policies map[string]restartPolicy // by node; "" is for all others
	holds    map[string]chan struct{} // by node: workers are killed as soon as they appear

	impostors map[string][]string // by node: what talks to the operator in the agent's place
}

func newAgents(c config, cluster *cluster, p *processes) *agents {
	return &agents{
		cluster: cluster, processes: p, binary: c.agentBinary, extra: c.agentArguments, folder: c.agentDir,
		searchEnv: func(pod *corev1.Pod, container string) []string {
			return environmentOf(pod, container, c.shimDir, c.drbdSimSocket)
		},
		spawner: newSpawner(), byUID: map[types.UID]*podAgent{},
		policies: map[string]restartPolicy{}, holds: map[string]chan struct{}{}, impostors: map[string][]string{},
	}
}

func hasAgent(pod *corev1.Pod) bool { return findContainer(pod, agentContainer) != nil }

// reconcile starts the agents of new pods, ends those of deleted ones and kills those of pods that are gone.
func (s *agents) reconcile(ctx context.Context) {
	if s.binary == "" {
		return
	}
	pods, _ := s.cluster.pods.List(everything)
	known := map[types.UID]bool{}
	for _, pod := range pods {
		known[pod.UID] = true
		if !hasAgent(pod) {
			continue
		}
		agent := s.find(pod.UID)
		switch {
		case pod.DeletionTimestamp != nil && agent != nil:
			agent.end(graceOf(pod))
		case pod.DeletionTimestamp != nil && pod.Annotations[lastsAnnotation] != "":
			go s.remove(ctx, pod) // it never ran here
		case pod.DeletionTimestamp == nil && agent == nil && pod.Status.Phase == corev1.PodRunning:
			s.start(ctx, pod)
		}
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for uid, agent := range s.byUID {
		if !known[uid] { // deleted by force
			agent.end(0)
		}
	}
}

func graceOf(pod *corev1.Pod) time.Duration {
	if pod.DeletionGracePeriodSeconds != nil {
		return time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	}
	return defaultGrace
}

func (s *agents) find(uid types.UID) *podAgent {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.byUID[uid]
}

func (s *agents) all() []*podAgent {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var result []*podAgent
	for _, agent := range s.byUID {
		result = append(result, agent)
	}
	return result
}

func (s *agents) start(ctx context.Context, pod *corev1.Pod) {
	folder := filepath.Join(s.folder, string(pod.UID))
	agent := &podAgent{pod: pod, folder: folder, run: s.spawner.start, stop: make(chan struct{}),
		changed: make(chan struct{})}
	if err := os.MkdirAll(agent.runDir(), 0o700); err != nil {
		log.Printf("agent of %s: %v", pod.Name, err)
		return
	}
	container := findContainer(pod, agentContainer)
	agent.argv = s.commandLine(agent, append(append([]string{}, container.Command...), container.Args...))
	agent.argv = append(agent.argv, s.extra...)
	agent.env = append(s.searchEnv(pod, agentContainer), s.processes.marker(string(pod.UID)))
	statuses := make(chan struct{}, 1)
	agent.told = func() {
		select {
		case statuses <- struct{}{}:
		default:
		}
	}
	agent.ended = func() {
		agent.mutex.Lock()
		agent.gone = true
		agent.mutex.Unlock()
		close(statuses)
		s.mutex.Lock()
		delete(s.byUID, pod.UID)
		s.mutex.Unlock()
		_ = os.RemoveAll(folder)
		s.remove(ctx, pod)
	}
	s.mutex.Lock()
	policy, ok := s.policies[pod.Spec.NodeName]
	if !ok {
		policy = s.policies[""]
	}
	agent.policy = policy
	s.byUID[pod.UID] = agent
	s.mutex.Unlock()
	go s.report(ctx, agent, statuses)
	go agent.loop()
}

// setImpostor lets a program answer the operator's streams to a node, instead of its agent: a node that is not to be trusted.
func (s *agents) setImpostor(node string, program []string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.impostors[node] = program
}

// connectLine is what answers a stream to the agent.
func (s *agents) connectLine(agent *podAgent, argv []string) []string {
	s.mutex.Lock()
	impostor := s.impostors[agent.pod.Spec.NodeName]
	s.mutex.Unlock()
	if len(impostor) > 0 {
		return impostor
	}
	return s.commandLine(agent, argv)
}

// commandLine maps the path in the container to the program that stands in for it, working in the pod's own folder.
func (s *agents) commandLine(agent *podAgent, argv []string) []string {
	if len(argv) == 0 || argv[0] != agentProgram {
		return []string{"/nonexistent" + agentProgram} // the image has no such entry point: it fails as in a cluster
	}
	return append(append([]string{s.binary}, argv[1:]...), "--run-dir", agent.runDir())
}

// remove takes the pod away, as a kubelet does when all its containers have ended.
func (s *agents) remove(ctx context.Context, pod *corev1.Pod) {
	now := int64(0)
	err := s.cluster.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
		log.Printf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
		time.AfterFunc(time.Second, s.cluster.poke) // again
	}
	s.cluster.poke()
}

// running tells whether the container runs; false, false when it is none of ours.
func (s *agents) running(uid types.UID) (running, ours bool) {
	agent := s.find(uid)
	if agent == nil {
		return false, s.binary != ""
	}
	return agent.pid() != 0, true
}

// lingering: the pod is deleted, but its agent has not ended yet.
func (s *agents) lingering(uid types.UID) bool { return s.find(uid) != nil }

// report writes what happened into the pod's status, as a kubelet does. What was overtaken is left out.
func (s *agents) report(ctx context.Context, agent *podAgent, changes <-chan struct{}) {
	for range changes {
		body, first := agent.status()
		if first {
			continue // kwok has said so
		}
		data, err := json.Marshal(body)
		if err != nil {
			continue
		}
		pod := agent.pod
		_, err = s.cluster.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, data,
			metav1.PatchOptions{}, "status")
		if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			log.Printf("status of pod %s/%s: %v", pod.Namespace, pod.Name, err)
			time.AfterFunc(time.Second, func() {
				agent.mutex.Lock()
				defer agent.mutex.Unlock()
				if !agent.gone {
					agent.told()
				}
			})
		}
	}
}

// status is a patch for the pod's status; first: the first start, of which there is nothing to tell.
func (a *podAgent) status() (body map[string]any, first bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	ready := a.process != nil
	state := map[string]any{"running": nil, "terminated": nil, "waiting": nil}
	entry := map[string]any{"name": agentContainer, "ready": ready, "restartCount": a.restarts, "state": state}
	if ready {
		state["running"] = map[string]any{"startedAt": metav1.NewTime(a.started)}
	} else {
		state["waiting"] = map[string]any{"reason": "CrashLoopBackOff", "message": a.exitText}
	}
	if !a.finished.IsZero() {
		entry["lastState"] = map[string]any{"terminated": map[string]any{"exitCode": a.exitCode, "reason": "Error",
			"finishedAt": metav1.NewTime(a.finished), "startedAt": metav1.NewTime(a.started)}}
	}
	word := map[bool]string{true: "True", false: "False"}[ready]
	conditions := []map[string]any{
		{"type": "Ready", "status": word, "lastTransitionTime": metav1.Now()},
		{"type": "ContainersReady", "status": word, "lastTransitionTime": metav1.Now()},
	}
	body = map[string]any{"status": map[string]any{
		"containerStatuses": []map[string]any{entry}, "conditions": conditions}}
	return body, ready && a.restarts == 0
}

// onNode lists the agents of a node, or of all nodes.
func (s *agents) onNode(node string) []*podAgent {
	var result []*podAgent
	for _, agent := range s.all() {
		if node == "" || agent.pod.Spec.NodeName == node {
			result = append(result, agent)
		}
	}
	return result
}

func (s *agents) signal(node, what string, number syscall.Signal) error {
	if what != "worker" && what != "supervisor" && what != "both" {
		return fmt.Errorf("%q is none of worker, supervisor, both", what)
	}
	hit := false
	for _, agent := range s.onNode(node) {
		hit = agent.signal(what, number) || hit
	}
	if !hit {
		return fmt.Errorf("no %s runs on %q", what, node)
	}
	return nil
}

func (s *agents) setPolicy(node string, policy restartPolicy) {
	s.mutex.Lock()
	s.policies[node] = policy
	if node == "" {
		s.policies = map[string]restartPolicy{"": policy}
	}
	s.mutex.Unlock()
	for _, agent := range s.onNode(node) {
		agent.setPolicy(policy)
	}
}

// hold kills the workers of a node as soon as they appear, until release or until the time is over (0: no limit).
func (s *agents) hold(node string, limit time.Duration) {
	s.release(node)
	end := make(chan struct{})
	s.mutex.Lock()
	s.holds[node] = end
	s.mutex.Unlock()
	go func() {
		var over <-chan time.Time
		if limit > 0 {
			over = time.After(limit)
		}
		ticker := time.NewTicker(holdInterval)
		defer ticker.Stop()
		for {
			for _, agent := range s.onNode(node) {
				agent.signal("worker", syscall.SIGKILL)
			}
			select {
			case <-end:
				return
			case <-over:
				return
			case <-ticker.C:
			}
		}
	}()
}

func (s *agents) release(node string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if end := s.holds[node]; end != nil {
		close(end)
		delete(s.holds, node)
	}
}
