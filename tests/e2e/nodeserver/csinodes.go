package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"breakwater/tests/e2e/nodeserver/csi"
)

const (
	csiNodeComponent = "linstor-csi-node"
	topologyProperty = "Aux/topology/"
)

// csiNodes registers LINSTOR's CSI driver, as the kubelet does when the driver of a new pod answers; with the topology keys
// that LINSTOR has for the node then, as the driver says them.
type csiNodes struct {
	cluster    *cluster
	backend    string            // of LINSTOR, "" when there is none
	registered map[string]string // by node: the pod that was registered
	client     http.Client
}

func newCSINodes(cluster *cluster, backend string) *csiNodes {
	return &csiNodes{cluster: cluster, backend: backend, registered: map[string]string{},
		client: http.Client{Timeout: 5 * time.Second}}
}

// reconcile returns false when it is to be tried again: the driver waits until LINSTOR knows its node.
func (c *csiNodes) reconcile(ctx context.Context) bool {
	done := true
	for _, pod := range c.cluster.podsOf(csiNodeComponent) {
		node := pod.Spec.NodeName
		if c.backend == "" || !podRunning(pod) || pod.DeletionTimestamp != nil || c.registered[node] == string(pod.UID) {
			continue
		}
		if err := c.register(ctx, pod); err != nil {
			log.Printf("CSI driver on %s: %v", node, err)
			done = false
			continue
		}
		c.registered[node] = string(pod.UID)
	}
	return done
}

func (c *csiNodes) register(ctx context.Context, pod *corev1.Pod) error {
	node := pod.Spec.NodeName
	keys, err := c.topologyKeys(ctx, node)
	if err != nil {
		return err
	}
	if err := c.label(ctx, node); err != nil {
		return err
	}
	driver := storagev1.CSINodeDriver{Name: csi.Driver, NodeID: node, TopologyKeys: keys}
	api := c.cluster.client.StorageV1().CSINodes()
	found, err := api.Get(ctx, node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = api.Create(ctx, &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: node},
			Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{driver}}}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	found.Spec.Drivers = slices.DeleteFunc(found.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == csi.Driver })
	found.Spec.Drivers = append(found.Spec.Drivers, driver)
	_, err = api.Update(ctx, found, metav1.UpdateOptions{})
	return err
}

// label puts the topology of the node on it: the scheduler looks there for nodes that have space.
func (c *csiNodes) label(ctx context.Context, node string) error {
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, csi.HostLabel, node)
	_, err := c.cluster.client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func (c *csiNodes) topologyKeys(ctx context.Context, node string) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.backend+"/v1/nodes/"+node, nil)
	if err != nil {
		return nil, err
	}
	reply, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("LINSTOR says %s", reply.Status)
	}
	var known struct {
		Props map[string]string `json:"props"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&known); err != nil {
		return nil, err
	}
	keys := []string{csi.HostLabel}
	for name := range known.Props {
		if key, ok := strings.CutPrefix(name, topologyProperty); ok && key != "" && key != keys[0] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
