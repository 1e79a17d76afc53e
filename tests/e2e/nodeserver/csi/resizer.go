package csi

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// resizer is csi-resizer, and the kubelet that lets the file system grow: nothing is mounted here.
type resizer struct {
	*queue
	driver *driver
}

func newResizer(d *driver) *resizer {
	r := &resizer{driver: d}
	r.queue = newQueue("claim", r.sync)
	r.watch(d.caches.Core().V1().PersistentVolumeClaims().Informer())
	d.caches.Core().V1().PersistentVolumes().Informer()
	return r
}

func (r *resizer) sync(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	core := r.driver.caches.Core().V1()
	claim, err := core.PersistentVolumeClaims().Lister().PersistentVolumeClaims(namespace).Get(name)
	if err != nil {
		return unless(apierrors.IsNotFound(err), err)
	}
	wanted, have := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	if claim.Status.Phase != corev1.ClaimBound || claim.DeletionTimestamp != nil || wanted.Cmp(have) <= 0 {
		return nil
	}
	volume, err := core.PersistentVolumes().Lister().Get(claim.Spec.VolumeName)
	if err != nil || volume.Spec.CSI == nil || volume.Spec.CSI.Driver != Driver {
		return err
	}
	if err := r.driver.linstor.expand(ctx, volume.Spec.CSI.VolumeHandle, kibibytes(wanted.Value())); err != nil {
		return err
	}
	client := r.driver.config.Client.CoreV1()
	capacity := map[string]any{"capacity": map[string]string{"storage": wanted.String()}}
	if _, err := client.PersistentVolumes().Patch(ctx, volume.Name, types.MergePatchType,
		mustJSON(map[string]any{"spec": capacity}), metav1.PatchOptions{}); err != nil {
		return err
	}
	_, err = client.PersistentVolumeClaims(namespace).Patch(ctx, name, types.MergePatchType,
		mustJSON(map[string]any{"status": capacity}), metav1.PatchOptions{}, "status")
	return err
}
