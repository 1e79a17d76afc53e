package main

import (
	"errors"
	"fmt"
	"log"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"breakwater/tests/e2e/nodeserver/csi"
)

// attachedVolume implements objectGetter. The errors are what a kubelet says, in short.
func (c *cluster) attachedVolume(namespace, claim, node string) (string, error) {
	found, err := c.claims.PersistentVolumeClaims(namespace).Get(claim)
	if err != nil {
		return "", err
	}
	if found.Status.Phase != corev1.ClaimBound {
		return "", fmt.Errorf("claim %s is not bound", claim)
	}
	volume, err := c.volumes.Get(found.Spec.VolumeName)
	if err != nil {
		return "", err
	}
	if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != csi.Driver {
		return "", fmt.Errorf("claim %s: this kind of volume is not simulated", claim)
	}
	attachments, err := c.attached.List(everything)
	if err != nil {
		return "", err
	}
	for _, attachment := range attachments {
		name := attachment.Spec.Source.PersistentVolumeName
		if attachment.Spec.NodeName == node && name != nil && *name == volume.Name && attachment.Status.Attached {
			return volume.Spec.CSI.VolumeHandle, nil
		}
	}
	return "", fmt.Errorf("AttachVolume.Attach failed for volume %q: not attached to %s", volume.Name, node)
}

func podClaims(pod *corev1.Pod) (claims []string) {
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			claims = append(claims, volume.PersistentVolumeClaim.ClaimName)
		}
	}
	return claims
}

// What a pod does with its volume, in the absence of programs in it.
const writeIntervalMs = 20

// openVolume is a volume that a node has mounted, which makes the node its Primary.
type openVolume struct{ volume, node string }

// openVolumes opens volumes in the DRBD simulator for the pods that use them. A pod writes from then on until it ends.
type openVolumes struct {
	cluster    *cluster
	sim        *simClient
	mutex      sync.Mutex
	open       map[openVolume]bool
	generation int // of the simulator in which they are open
}

func newOpenVolumes(cluster *cluster, sim *simClient) *openVolumes {
	return &openVolumes{cluster: cluster, sim: sim, open: map[openVolume]bool{}}
}

// isOpen says whether the node still has the volume open: nobody may take it from the node then.
func (o *openVolumes) isOpen(volume, node string) bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.open[openVolume{volume, node}]
}

// openAll opens what the pod mounts. The volumes are attached already.
func (o *openVolumes) openAll(pod *corev1.Pod) error {
	for _, claim := range podClaims(pod) {
		volume, err := o.cluster.attachedVolume(pod.Namespace, claim, pod.Spec.NodeName)
		if err != nil {
			return err
		}
		if err := o.set(openVolume{volume, pod.Spec.NodeName}, "start"); err != nil {
			return fmt.Errorf("MountVolume.MountDevice failed for volume %q: %w", volume, err)
		}
	}
	return nil
}

// closeUnused closes what no pod uses any more and opens again what a new simulator does not know; false: try again.
func (o *openVolumes) closeUnused() bool {
	done := true
	used := map[openVolume]bool{}
	pods, _ := o.cluster.pods.List(everything)
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil || pod.Spec.NodeName == "" || len(podClaims(pod)) == 0 ||
			pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, claim := range podClaims(pod) {
			if volume, err := o.cluster.attachedVolume(pod.Namespace, claim, pod.Spec.NodeName); err == nil {
				used[openVolume{volume, pod.Spec.NodeName}] = true
			}
		}
		if podRunning(pod) {
			done = o.report(o.openAll(pod)) && done
		}
	}
	o.mutex.Lock()
	var unused []openVolume
	for v := range o.open {
		if !used[v] {
			unused = append(unused, v)
		}
	}
	o.mutex.Unlock()
	for _, v := range unused {
		done = o.report(o.set(v, "stop")) && done
	}
	return done
}

func (o *openVolumes) report(err error) bool {
	if err != nil && !errors.Is(err, errNoSim) { // the connect loop pokes when it is there
		log.Printf("volumes: %v", err)
	}
	return err == nil || errors.Is(err, errNoSim)
}

func (o *openVolumes) set(v openVolume, action string) error {
	generation := o.sim.currentGeneration()
	if generation == 0 {
		return errNoSim
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if generation != o.generation {
		o.open, o.generation = map[openVolume]bool{}, generation
	}
	if o.open[v] == (action == "start") {
		return nil
	}
	err := o.sim.tell(map[string]any{"op": "writer", "resource": v.volume, "node": v.node, "action": action,
		"interval_ms": writeIntervalMs})
	if err != nil {
		return err
	}
	log.Printf("volume %s on %s: %s", v.volume, v.node, action)
	if action == "start" {
		o.open[v] = true
	} else {
		delete(o.open, v)
	}
	return nil
}
