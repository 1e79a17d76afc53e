// Package csi stands in for LINSTOR's CSI driver and its sidecars: it turns claims into volumes, makes them available on
// nodes, resizes and deletes them. To LINSTOR it sends what the driver sends, as recorded in facts/CSI.md; to Kubernetes it speaks
// as the ServiceAccount of the pod that it stands in for, so with the rights that the operator gives to that.
package csi

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Config is what the stand-in needs of the world.
type Config struct {
	Client    kubernetes.Interface
	Linstor   string // host:port of its REST API
	Namespace string // of the pod
	// Open says whether a pod of the node still has the volume open.
	Open func(volume, node string) bool
}

const workers = 10 // WORKER_THREADS of the Deployment

// As the sidecars: at first after a second, later after more and more.
func retries() workqueue.TypedRateLimiter[string] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, 5*time.Minute)
}

type driver struct {
	config  Config
	linstor *linstor
	caches  informers.SharedInformerFactory
}

// Run serves until the context ends.
func Run(ctx context.Context, config Config) {
	ctx = klog.NewContext(ctx, klog.Background())
	d := &driver{config: config, linstor: newLinstor(config.Linstor),
		caches: informers.NewSharedInformerFactory(config.Client, 0)}
	attacher, resizer, capacity := newAttacher(d), newResizer(d), newCapacity(d)
	core, storage := d.caches.Core().V1(), d.caches.Storage().V1()
	provisioner := controller.NewProvisionController(ctx, config.Client, Driver, d,
		controller.LeaderElection(false), // there is one
		controller.AddFinalizer(true),
		controller.RateLimiter(retries()),
		controller.FailedProvisionThreshold(0),
		controller.FailedDeleteThreshold(0),
		controller.Threadiness(workers),
		controller.ClaimsInformer(core.PersistentVolumeClaims().Informer()),
		controller.VolumesInformer(core.PersistentVolumes().Informer()),
		controller.ClassesInformer(storage.StorageClasses().Informer()),
		controller.CreateProvisionedPVLimiter(retries()))
	d.caches.Start(ctx.Done())
	d.caches.WaitForCacheSync(ctx.Done())
	log.Printf("csi: serves %s", Driver)
	var group sync.WaitGroup
	for _, serve := range []func(context.Context){attacher.run, resizer.run, capacity.run, provisioner.Run} {
		group.Go(func() { serve(ctx) })
	}
	group.Wait()
	log.Printf("csi: ended")
}

// Provision makes the volume of a claim.
func (d *driver) Provision(ctx context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume,
	controller.ProvisioningState, error) {
	p, err := parseParameters(o.StorageClass.Parameters)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	size := o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]
	r := request{id: o.PVName, sizeKiB: kibibytes(size.Value()), parameters: p, namespace: o.PVC.Namespace, claim: o.PVC.Name,
		block: o.PVC.Spec.VolumeMode != nil && *o.PVC.Spec.VolumeMode == corev1.PersistentVolumeBlock}
	if p.usePVCName {
		r.id = o.PVC.Namespace + "-" + o.PVC.Name
	}
	if o.SelectedNodeName != "" {
		r.preferred = []string{o.SelectedNodeName}
	}
	if err := d.linstor.create(ctx, r); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	source := &corev1.CSIPersistentVolumeSource{Driver: Driver, VolumeHandle: r.id}
	if !r.block {
		source.FSType = p.fsType
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: size},
			MountOptions:                  o.StorageClass.MountOptions,
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: source},
			VolumeMode:                    o.PVC.Spec.VolumeMode,
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes the volume of a PersistentVolume that nobody claims any more.
func (d *driver) Delete(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != Driver {
		return &controller.IgnoredError{Reason: "not a volume of " + Driver}
	}
	attachments, err := d.caches.Storage().V1().VolumeAttachments().Lister().List(labels.Everything())
	if err != nil {
		return err
	}
	for _, attachment := range attachments {
		if name := attachment.Spec.Source.PersistentVolumeName; name != nil && *name == volume.Name {
			return fmt.Errorf("%s is still attached to node %s", volume.Name, attachment.Spec.NodeName)
		}
	}
	return d.linstor.delete(ctx, volume.Spec.CSI.VolumeHandle)
}

// SupportsBlock is asked before a claim of a raw device is served.
func (d *driver) SupportsBlock(context.Context) bool { return true }

// kibibytes rounds up, and knows LINSTOR's smallest volume.
func kibibytes(bytes int64) int64 { return max(4, (bytes+1023)/1024) }
