package csi

import (
	"context"
	"crypto/sha1"
	"fmt"
	"log"
	"slices"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

const (
	// HostLabel is the driver's topology of a node; a kubelet puts it on the Node.
	HostLabel = "linbit.com/hostname"

	capacityPoll = time.Minute // csi-provisioner --capacity-poll-interval
	noSpacePoll  = time.Second // until the pools are there: a scheduler that waits would otherwise wait for a minute
)

// capacity publishes how much space a class has on each node: the scheduler takes no node without for a claim that waits
// for its first consumer.
type capacity struct {
	driver *driver
	dirty  chan struct{}
}

func newCapacity(d *driver) *capacity {
	c := &capacity{driver: d, dirty: make(chan struct{}, 1)}
	poke := func(any) {
		select {
		case c.dirty <- struct{}{}:
		default:
		}
	}
	storage := d.caches.Storage().V1()
	for _, informer := range []cache.SharedIndexInformer{storage.StorageClasses().Informer(), storage.CSINodes().Informer()} {
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: poke, UpdateFunc: func(_, o any) { poke(o) }, DeleteFunc: poke})
	}
	return c
}

func (c *capacity) run(ctx context.Context) {
	for ctx.Err() == nil {
		poll := capacityPoll
		complete, err := c.publish(ctx)
		if err != nil {
			log.Printf("csi: capacity: %v", err)
		}
		if err != nil || !complete {
			poll = noSpacePoll
		}
		select {
		case <-ctx.Done():
		case <-c.dirty:
		case <-time.After(poll):
		}
	}
}

// publish returns false while a node has no space for a class.
func (c *capacity) publish(ctx context.Context) (bool, error) {
	wanted, err := c.wanted(ctx)
	if err != nil {
		return false, err
	}
	api := c.driver.config.Client.StorageV1().CSIStorageCapacities(c.driver.config.Namespace)
	have, err := api.List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	complete := true
	for i := range have.Items {
		old := &have.Items[i]
		fresh := wanted[old.Name]
		delete(wanted, old.Name)
		if fresh == nil {
			err = api.Delete(ctx, old.Name, metav1.DeleteOptions{})
		} else if old.Capacity.Cmp(*fresh.Capacity) != 0 {
			old.Capacity = fresh.Capacity
			_, err = api.Update(ctx, old, metav1.UpdateOptions{})
		}
		if unless(apierrors.IsNotFound(err), err) != nil {
			return false, err
		}
		complete = complete && (fresh == nil || !fresh.Capacity.IsZero())
	}
	for _, fresh := range wanted {
		if _, err := api.Create(ctx, fresh, metav1.CreateOptions{}); err != nil {
			return false, err
		}
		complete = complete && !fresh.Capacity.IsZero()
	}
	return complete, nil
}

func (c *capacity) wanted(ctx context.Context) (map[string]*storagev1.CSIStorageCapacity, error) {
	storage := c.driver.caches.Storage().V1()
	classes, err := storage.StorageClasses().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	classes = slices.DeleteFunc(classes, func(s *storagev1.StorageClass) bool { return s.Provisioner != Driver })
	if len(classes) == 0 {
		return nil, nil
	}
	nodes, err := storage.CSINodes().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	pools, err := c.driver.linstor.pools(ctx)
	if err != nil {
		return nil, err
	}
	result := map[string]*storagev1.CSIStorageCapacity{}
	for _, class := range classes {
		p, err := parseParameters(class.Parameters)
		if err != nil {
			continue // its claims say so
		}
		for _, node := range nodes {
			if !slices.ContainsFunc(node.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == Driver }) {
				continue
			}
			made := capacityOf(class.Name, node.Name, space(pools, p.filter.Pools, node.Name))
			result[made.Name] = made
		}
	}
	return result, nil
}

// space is the free space in KiB of the node's pools that a class may use.
func space(pools []storagePool, allowed []string, node string) (free int64) {
	for _, pool := range pools {
		if pool.Node == node && pool.Provider != "DISKLESS" && (len(allowed) == 0 || slices.Contains(allowed, pool.Name)) {
			free += pool.FreeKiB
		}
	}
	return free
}

func capacityOf(class, node string, free int64) *storagev1.CSIStorageCapacity {
	return &storagev1.CSIStorageCapacity{
		ObjectMeta:       metav1.ObjectMeta{Name: fmt.Sprintf("csisc-%x", sha1.Sum([]byte(class+" "+node)))},
		NodeTopology:     &metav1.LabelSelector{MatchLabels: map[string]string{HostLabel: node}},
		StorageClassName: class,
		Capacity:         resource.NewQuantity(free*1024, resource.BinarySI),
	}
}
