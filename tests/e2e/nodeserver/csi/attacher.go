package csi

import (
	"context"
	"fmt"
	"slices"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// On a VolumeAttachment: the volume is to be unpublished before the object goes.
const attachedFinalizer = "external-attacher/linstor-csi-linbit-com"

// attacher is csi-attacher: Kubernetes makes and deletes a VolumeAttachment for a node that has pods with a volume.
type attacher struct {
	*queue
	driver *driver
}

func newAttacher(d *driver) *attacher {
	a := &attacher{driver: d}
	a.queue = newQueue("attachment", a.sync)
	a.watch(d.caches.Storage().V1().VolumeAttachments().Informer())
	d.caches.Core().V1().PersistentVolumes().Informer()
	return a
}

func (a *attacher) sync(ctx context.Context, name string) error {
	attachment, err := a.driver.caches.Storage().V1().VolumeAttachments().Lister().Get(name)
	if err != nil || attachment.Spec.Attacher != Driver || attachment.Spec.Source.PersistentVolumeName == nil {
		return unless(apierrors.IsNotFound(err), err)
	}
	volume, err := a.driver.caches.Core().V1().PersistentVolumes().Lister().Get(*attachment.Spec.Source.PersistentVolumeName)
	if err != nil && !(apierrors.IsNotFound(err) && attachment.DeletionTimestamp != nil) {
		return err
	}
	handle := ""
	if err == nil && volume.Spec.CSI != nil {
		handle = volume.Spec.CSI.VolumeHandle
	}
	if attachment.DeletionTimestamp != nil {
		return a.detach(ctx, attachment, handle)
	}
	return a.attach(ctx, attachment, handle)
}

func (a *attacher) attach(ctx context.Context, attachment *storagev1.VolumeAttachment, handle string) error {
	if attachment.Status.Attached {
		return nil
	}
	if !slices.Contains(attachment.Finalizers, attachedFinalizer) {
		if err := a.setFinalizers(ctx, attachment, append(slices.Clone(attachment.Finalizers), attachedFinalizer)); err != nil {
			return err
		}
	}
	device, err := a.driver.linstor.publish(ctx, handle, attachment.Spec.NodeName)
	status := map[string]any{"attached": true, "attachError": nil, "attachmentMetadata": map[string]string{"devicePath": device}}
	if old := attachment.Status.AttachError; err != nil && old != nil && old.Message == err.Error() {
		return err // written again it would wake us again, at once
	}
	if err != nil {
		status = map[string]any{"attached": false, "attachError": map[string]any{
			"message": err.Error(), "time": metav1.NewTime(time.Now())}}
	}
	_, patchErr := a.driver.config.Client.StorageV1().VolumeAttachments().Patch(ctx, attachment.Name, types.MergePatchType,
		mustJSON(map[string]any{"status": status}), metav1.PatchOptions{}, "status")
	if err == nil {
		err = patchErr
	}
	return err
}

func (a *attacher) detach(ctx context.Context, attachment *storagev1.VolumeAttachment, handle string) error {
	if !slices.Contains(attachment.Finalizers, attachedFinalizer) {
		return nil
	}
	node := attachment.Spec.NodeName
	if a.driver.config.Open(handle, node) { // a kubelet says so in the Node's volumesInUse, and then nobody detaches it
		return fmt.Errorf("%s is still open on %s", handle, node)
	}
	if handle != "" {
		if err := a.driver.linstor.unpublish(ctx, handle, node); err != nil {
			return err
		}
	}
	rest := slices.DeleteFunc(slices.Clone(attachment.Finalizers), func(f string) bool { return f == attachedFinalizer })
	return a.setFinalizers(ctx, attachment, rest)
}

func (a *attacher) setFinalizers(ctx context.Context, attachment *storagev1.VolumeAttachment, finalizers []string) error {
	_, err := a.driver.config.Client.StorageV1().VolumeAttachments().Patch(ctx, attachment.Name, types.MergePatchType,
		mustJSON(map[string]any{"metadata": map[string]any{"finalizers": finalizers}}), metav1.PatchOptions{})
	return unless(apierrors.IsNotFound(err), err)
}
