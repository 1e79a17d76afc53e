package main

import (
	"context"
	"log"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"breakwater/tests/e2e/nodeserver/csi"
)

const csiControllerComponent = "linstor-csi-controller"

// csiDriver serves claims while a pod of LINSTOR's CSI controller runs, with the rights of its ServiceAccount.
type csiDriver struct {
	cluster *cluster
	config  *rest.Config
	backend string // of LINSTOR, "" when there is none
	open    *openVolumes
	pod     string        // in whose place it serves, "" when it does not
	stop    func()        // ends it
	ended   chan struct{} // is closed then
}

func (c *csiDriver) reconcile(ctx context.Context) {
	if c.backend == "" {
		return
	}
	var first *corev1.Pod
	for _, pod := range c.cluster.podsOf(csiControllerComponent) {
		if !podRunning(pod) {
			continue
		}
		if string(pod.UID) == c.pod {
			return
		}
		if first == nil || pod.Name < first.Name { // several replicas elect one
			first = pod
		}
	}
	if c.pod != "" {
		c.stop()
		<-c.ended
		c.pod = ""
	}
	if first == nil {
		return
	}
	if err := c.start(ctx, first); err != nil {
		log.Printf("CSI controller: %v", err)
	}
}

func (c *csiDriver) start(ctx context.Context, pod *corev1.Pod) error {
	config := rest.CopyConfig(c.config)
	namespace := "system:serviceaccounts:" + pod.Namespace
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + pod.Namespace + ":" + pod.Spec.ServiceAccountName,
		Groups:   []string{"system:serviceaccounts", namespace, "system:authenticated"}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		csi.Run(running, csi.Config{Client: client, Linstor: c.backend, Namespace: pod.Namespace, Open: c.open.isOpen})
	}()
	c.pod, c.stop, c.ended = string(pod.UID), stop, ended
	return nil
}
