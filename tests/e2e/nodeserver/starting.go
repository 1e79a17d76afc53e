package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// On a Pod: its volumes are mounted. kwok lets nothing run without it, see controlplane.py.
const mountedAnnotation = "testbed.breakwater/mounted"

// How many pods are patched at a time: a cluster of 100 nodes starts hundreds at once.
const parallelPatches = 16

// starter does what a kubelet does before it starts a container: it mounts the pod's volumes. A Secret or ConfigMap
// that is missing (and not optional) keeps the whole pod in ContainerCreating.
type starter struct {
	cluster *cluster
	slots   chan struct{}
	mutex   sync.Mutex
	busy    map[types.UID]bool
	told    map[types.UID]string // what is missing, as written into the pod's status
	open    *openVolumes
}

func newStarter(c *cluster, open *openVolumes) *starter {
	return &starter{cluster: c, open: open, slots: make(chan struct{}, parallelPatches), busy: map[types.UID]bool{},
		told: map[types.UID]string{}}
}

// startAll returns false when it is to be tried again: DRBD may refuse to open a volume for a while.
func (s *starter) startAll(ctx context.Context) bool {
	done := true
	pods, _ := s.cluster.pods.List(everything)
	known := map[types.UID]bool{}
	for _, pod := range pods {
		known[pod.UID] = true
		if pod.Spec.NodeName == "" || pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodPending ||
			pod.Annotations[mountedAnnotation] != "" {
			continue
		}
		missing := ""
		if err := podVolumes(s.cluster, pod); err != nil {
			missing = err.Error()
		} else if err := s.open.openAll(pod); err != nil {
			missing, done = err.Error(), false
		}
		if s.begin(pod.UID, missing) {
			go s.patch(ctx, pod, missing)
		}
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for uid := range s.told {
		if !known[uid] {
			delete(s.told, uid)
		}
	}
	return done
}

func (s *starter) begin(uid types.UID, missing string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.busy[uid] || (missing != "" && s.told[uid] == missing) {
		return false
	}
	s.busy[uid] = true
	return true
}

func (s *starter) patch(ctx context.Context, pod *corev1.Pod, missing string) {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	var body any
	var subresource []string
	if missing == "" {
		annotations := map[string]string{mountedAnnotation: "true"}
		if s.cluster.agents.binary != "" && hasAgent(pod) {
			annotations[lastsAnnotation] = "true"
		}
		body = map[string]any{"metadata": map[string]any{"annotations": annotations}}
	} else {
		log.Printf("pod %s/%s cannot start: %s", pod.Namespace, pod.Name, missing)
		body = map[string]any{"status": map[string]any{"containerStatuses": creating(pod, missing)}}
		subresource = []string{"status"}
	}
	data, err := json.Marshal(body)
	if err == nil {
		_, err = s.cluster.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, data,
			metav1.PatchOptions{}, subresource...)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.busy, pod.UID)
	if err != nil {
		log.Printf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
		s.cluster.poke() // again, unless it is gone
	} else if missing != "" {
		s.told[pod.UID] = missing
	}
}

func creating(pod *corev1.Pod, missing string) []corev1.ContainerStatus {
	var result []corev1.ContainerStatus
	for _, container := range pod.Spec.Containers {
		result = append(result, corev1.ContainerStatus{Name: container.Name, Image: container.Image,
			State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating", Message: missing}}})
	}
	return result
}

// podVolumes says what keeps the pod's volumes from being mounted. Kinds that are not simulated count as mounted.
func podVolumes(get objectGetter, pod *corev1.Pod) error {
	mounted := map[string]bool{}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, container := range containers {
			for _, mount := range container.VolumeMounts {
				mounted[mount.Name] = true
			}
		}
	}
	for _, claim := range podClaims(pod) {
		if _, err := get.attachedVolume(pod.Namespace, claim, pod.Spec.NodeName); err != nil {
			return err
		}
	}
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if !mounted[volume.Name] || (volume.Secret == nil && volume.ConfigMap == nil && volume.Projected == nil) {
			continue
		}
		if _, err := sourceFiles(get, pod, volume); err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q: %w", volume.Name, err)
		}
	}
	return nil
}
