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
	satelliteRun string // "" when no satellite runs
	address      string
	tlshdRun     string // "" when tlshd does not run
	files        fileSet
}

// reconciler plays the kubelet towards the DRBD simulator, the pod proxy and the processes of dead pods.
type reconciler struct {
	cluster    *cluster
	sim        *simClient
	proxy      *podProxy
	processes  *processes
	starter    *starter
	agents     *agents
	linstor    *linstorBackend
	csi        *csiNodes
	driver     *csiDriver
	open       *openVolumes
	sent       map[string]nodeState
	generation int
}

func (r *reconciler) loop(ctx context.Context) {
	for {
		started := r.starter.startAll(ctx)
		addresses, run := r.controllers()
		r.linstor.controllerRuns(ctx, run)
		r.proxy.update(addresses)
		r.processes.keepOnly(r.runningUIDs())
		var retry <-chan time.Time
		if err := r.sendAll(); err != nil {
			if !errors.Is(err, errNoSim) { // the connect loop pokes us when it is there
				log.Printf("%v", err)
				retry = time.After(time.Second)
			}
		}
		r.driver.reconcile(ctx)
		closed := r.open.closeUnused()
		if !(r.csi.reconcile(ctx) && started && closed) && retry == nil {
			retry = time.After(time.Second)
		}
		r.agents.reconcile(ctx)
		select {
		case <-ctx.Done():
			return
		case <-r.cluster.dirty:
		case <-retry:
		}
	}
}

// controllers returns where LINSTOR's controller is reached and which run of which pod that is.
func (r *reconciler) controllers() (map[string]bool, string) {
	addresses := map[string]bool{}
	newest := ""
	var created time.Time
	for _, pod := range r.cluster.podsOf(controllerComponent) {
		if !podRunning(pod) || pod.Status.PodIP == "" || r.crashed(pod) {
			continue
		}
		addresses[pod.Status.PodIP] = true
		if newest == "" || pod.CreationTimestamp.Time.After(created) {
			newest, created = containerRun(pod, controllerComponent), pod.CreationTimestamp.Time
		}
	}
	return addresses, newest
}

// crashed: the controller's own container is not running, which takes its port away.
func (r *reconciler) crashed(pod *corev1.Pod) bool {
	return findContainer(pod, controllerComponent) != nil && !r.cluster.containerRunning(pod, controllerComponent)
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
		if podRunning(pod) || r.agents.lingering(pod.UID) {
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
		if findContainer(pod, satelliteContainer) != nil && !r.cluster.containerRunning(pod, satelliteContainer) {
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
	state := nodeState{satelliteRun: containerRun(pod, satelliteContainer), address: pod.Status.PodIP}
	if !r.cluster.containerRunning(pod, tlshdContainer) {
		return state
	}
	state.tlshdRun = containerRun(pod, tlshdContainer)
	files, err := mountedFiles(r.cluster, pod, findContainer(pod, tlshdContainer), tlshdMountPath)
	if err != nil { // it was mounted once: a Secret that goes away later stays as it was
		log.Printf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
		files = newFileSet()
		if old := r.sent[pod.Spec.NodeName]; old.tlshdRun == state.tlshdRun {
			files = old.files
		}
	}
	state.files = files
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

// send reports a replaced pod or a restarted container as stopped first: its processes are new ones.
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
	if old.tlshdRun != "" && old.tlshdRun != new.tlshdRun {
		if err := tlshd(false, newFileSet()); err != nil {
			return err
		}
	}
	if old.satelliteRun != "" && old.satelliteRun != new.satelliteRun {
		if err := satellite(false, old.address); err != nil {
			return err
		}
	}
	if new.satelliteRun != "" && (old.satelliteRun != new.satelliteRun || old.address != new.address) {
		if err := satellite(true, new.address); err != nil {
			return err
		}
	}
	if new.tlshdRun != "" && (old.tlshdRun != new.tlshdRun || !reflect.DeepEqual(old.files, new.files)) {
		return tlshd(true, new.files)
	}
	return nil
}
