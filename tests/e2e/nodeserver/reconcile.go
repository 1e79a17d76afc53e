package main

import (
	"context"
	"errors"
	"log"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// nodeState is what the DRBD simulator has to know about one node.
type nodeState struct {
	satelliteUID string // "" when no satellite runs
	address      string
	tlshdUID     string // "" when tlshd does not run
	files        fileSet
}

// reconciler plays the kubelet towards the DRBD simulator, the pod proxy and the processes of dead pods.
type reconciler struct {
	cluster    *cluster
	sim        *simClient
	proxy      *podProxy
	processes  *processes
	sent       map[string]nodeState
	generation int
}

func (r *reconciler) loop(ctx context.Context) {
	for {
		r.proxy.update(r.controllerAddresses())
		r.processes.keepOnly(r.runningUIDs())
		var retry <-chan time.Time
		if err := r.sendAll(); err != nil {
			if !errors.Is(err, errNoSim) { // the connect loop pokes us when it is there
				log.Printf("%v", err)
				retry = time.After(time.Second)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-r.cluster.dirty:
		case <-retry:
		}
	}
}

func (r *reconciler) controllerAddresses() map[string]bool {
	result := map[string]bool{}
	for _, pod := range r.cluster.podsOf(controllerComponent) {
		if podRunning(pod) && pod.Status.PodIP != "" && !r.crashed(pod) {
			result[pod.Status.PodIP] = true
		}
	}
	return result
}

// crashed: the controller's own container is not running, which takes its port away.
func (r *reconciler) crashed(pod *corev1.Pod) bool {
	return findContainer(pod, controllerComponent) != nil && !containerRunning(pod, controllerComponent)
}

func (r *reconciler) runningUIDs() map[string]bool {
	result := map[string]bool{}
	for uid := range r.processes.podUIDs() {
		result[uid] = false
	}
	if len(result) == 0 {
		return result
	}
	pods, _ := r.cluster.pods.List(everything)
	for _, pod := range pods {
		if podRunning(pod) {
			result[string(pod.UID)] = true
		}
	}
	return result
}

func (r *reconciler) desired() map[string]nodeState {
	newest := map[string]*corev1.Pod{}
	for _, pod := range r.cluster.podsOf(satelliteComponent) {
		if !podRunning(pod) {
			continue
		}
		if findContainer(pod, satelliteContainer) != nil && !containerRunning(pod, satelliteContainer) {
			continue
		}
		other := newest[pod.Spec.NodeName]
		if other == nil || other.CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest[pod.Spec.NodeName] = pod
		}
	}
	result := map[string]nodeState{}
	for node, pod := range newest {
		result[node] = r.podState(pod)
	}
	return result
}

func (r *reconciler) podState(pod *corev1.Pod) nodeState {
	state := nodeState{satelliteUID: string(pod.UID), address: pod.Status.PodIP}
	if !containerRunning(pod, tlshdContainer) {
		return state
	}
	files, err := mountedFiles(r.cluster, pod, findContainer(pod, tlshdContainer), tlshdMountPath)
	if err != nil {
		log.Printf("pod %s/%s: container %s could not start: %v", pod.Namespace, pod.Name, tlshdContainer, err)
		return state
	}
	state.tlshdUID, state.files = string(pod.UID), files
	return state
}

// sendAll sends the differences, or everything to a simulator that has just come up.
func (r *reconciler) sendAll() error {
	generation := r.sim.currentGeneration()
	if generation == 0 {
		return errNoSim
	}
	if generation != r.generation {
		for node := range r.sent {
			r.sent[node] = nodeState{}
		}
		r.generation = generation
	}
	desired := r.desired()
	for node, state := range desired {
		if err := r.send(node, r.sent[node], state); err != nil {
			return err
		}
		r.sent[node] = state
	}
	for node, state := range r.sent {
		if _, ok := desired[node]; !ok {
			if err := r.send(node, state, nodeState{}); err != nil {
				return err
			}
			r.sent[node] = nodeState{}
		}
	}
	return nil
}

// send reports a replaced pod as stopped first: its processes are new ones.
func (r *reconciler) send(node string, old, new nodeState) error {
	satellite := func(running bool, address string) error {
		log.Printf("node %s: satellite running=%v %s", node, running, address)
		return r.sim.tell(map[string]any{"op": "satellite", "node": node, "running": running, "address": address})
	}
	tlshd := func(running bool, files fileSet) error {
		log.Printf("node %s: tlshd running=%v, %d files", node, running, len(files.files))
		return r.sim.tell(map[string]any{"op": "tlshd", "node": node, "running": running,
			"files": files.files, "modes": files.modes})
	}
	if old.tlshdUID != "" && old.tlshdUID != new.tlshdUID {
		if err := tlshd(false, newFileSet()); err != nil {
			return err
		}
	}
	if old.satelliteUID != "" && old.satelliteUID != new.satelliteUID {
		if err := satellite(false, old.address); err != nil {
			return err
		}
	}
	if new.satelliteUID != "" && (old.satelliteUID != new.satelliteUID || old.address != new.address) {
		if err := satellite(true, new.address); err != nil {
			return err
		}
	}
	if new.tlshdUID != "" && (old.tlshdUID != new.tlshdUID || !reflect.DeepEqual(old.files, new.files)) {
		return tlshd(true, new.files)
	}
	return nil
}
