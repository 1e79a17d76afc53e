package main

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	componentLabel      = "app.kubernetes.io/component"
	satelliteComponent  = "linstor-satellite"
	controllerComponent = "linstor-controller"
	satelliteContainer  = "linstor-satellite"
	tlshdContainer      = "ktls-utils"
	tlshdMountPath      = "/etc/tlshd.d"

	// On a Node: exec and logs of its pods fail as if the kubelet could not be reached.
	unreachableAnnotation = "testbed.breakwater/unreachable"
)

// cluster is a cached view of the API server.
type cluster struct {
	client     kubernetes.Interface
	factory    informers.SharedInformerFactory
	pods       listers.PodLister
	secrets    listers.SecretLister
	configMaps listers.ConfigMapLister
	nodes      listers.NodeLister
	claims     listers.PersistentVolumeClaimLister
	volumes    listers.PersistentVolumeLister
	attached   storagelisters.VolumeAttachmentLister
	dirty      chan struct{}
	agents     *agents // who knows best whether the container of an agent runs
}

func newCluster(client kubernetes.Interface) *cluster {
	factory := informers.NewSharedInformerFactory(client, 0)
	core, attachments := factory.Core().V1(), factory.Storage().V1().VolumeAttachments()
	c := &cluster{
		client:     client,
		factory:    factory,
		pods:       core.Pods().Lister(),
		secrets:    core.Secrets().Lister(),
		configMaps: core.ConfigMaps().Lister(),
		nodes:      core.Nodes().Lister(),
		claims:     core.PersistentVolumeClaims().Lister(),
		volumes:    core.PersistentVolumes().Lister(),
		attached:   attachments.Lister(),
		dirty:      make(chan struct{}, 1),
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.poke() },
		UpdateFunc: func(any, any) { c.poke() },
		DeleteFunc: func(any) { c.poke() },
	}
	core.Nodes().Informer()
	for _, informer := range []cache.SharedIndexInformer{
		core.Pods().Informer(), core.Secrets().Informer(), core.ConfigMaps().Informer(),
		core.PersistentVolumeClaims().Informer(), core.PersistentVolumes().Informer(), attachments.Informer(),
	} {
		_, _ = informer.AddEventHandler(handler) // fails only when the informer was stopped
	}
	return c
}

func (c *cluster) start(ctx context.Context) error {
	c.factory.Start(ctx.Done())
	for _, synced := range c.factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return errors.New("stopped before the caches were filled")
		}
	}
	return nil
}

// poke asks for a reconcile; many pokes make one.
func (c *cluster) poke() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

func (c *cluster) podsOf(component string) []*corev1.Pod {
	pods, _ := c.pods.List(labels.SelectorFromSet(labels.Set{componentLabel: component}))
	return pods
}

// runningPod finds a pod for exec. A real kubelet reported Running itself, so it knows the pod whenever a client
// does; our cache may lag behind, therefore the API server has the last word.
func (c *cluster) runningPod(ctx context.Context, namespace, name, container string) (*corev1.Pod, error) {
	pod, err := c.pods.Pods(namespace).Get(name)
	if err == nil && c.containerRunning(pod, container) {
		return pod, nil
	}
	return c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (c *cluster) unreachable(node string) bool {
	n, err := c.nodes.Get(node)
	return err == nil && n.Annotations[unreachableAnnotation] == "true"
}

func podRunning(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil && pod.Spec.NodeName != ""
}

// findContainer looks among the containers and the native sidecars (init containers that keep running).
func findContainer(pod *corev1.Pod, name string) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i]
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.Name == name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			return c
		}
	}
	return nil
}

// containerRun tells one start of a container from the next.
func containerRun(pod *corev1.Pod, name string) string {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for _, status := range statuses {
			if status.Name == name {
				return fmt.Sprintf("%s/%d", pod.UID, status.RestartCount)
			}
		}
	}
	return string(pod.UID)
}

// containerRunning honours a container status that a test has changed (for example to CrashLoopBackOff). In a pod that
// ends only the agent's container is left: it has its grace period, the others end when they are told.
func (c *cluster) containerRunning(pod *corev1.Pod, name string) bool {
	if name == agentContainer && c.agents != nil {
		if running, ours := c.agents.running(pod.UID); ours {
			return running
		}
	}
	if !podRunning(pod) || findContainer(pod, name) == nil {
		return false
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for _, status := range statuses {
			if status.Name == name {
				return status.State.Running != nil
			}
		}
	}
	return true
}
