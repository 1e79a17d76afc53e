package main

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// fileSet is what a container sees in one folder: name to content and to octal mode.
type fileSet struct {
	files map[string]string
	modes map[string]string
}

func newFileSet() fileSet { return fileSet{files: map[string]string{}, modes: map[string]string{}} }

// objectGetter reads what volumes refer to.
type objectGetter interface {
	secret(namespace, name string) (map[string][]byte, error)
	configMap(namespace, name string) (map[string][]byte, error)
	// attachedVolume is LINSTOR's name of a claim's volume, an error until it is attached to the node.
	attachedVolume(namespace, claim, node string) (string, error)
}

func (c *cluster) secret(namespace, name string) (map[string][]byte, error) {
	s, err := c.secrets.Secrets(namespace).Get(name)
	if err != nil {
		return nil, err
	}
	return s.Data, nil
}

func (c *cluster) configMap(namespace, name string) (map[string][]byte, error) {
	m, err := c.configMaps.ConfigMaps(namespace).Get(name)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for k, v := range m.Data {
		data[k] = []byte(v)
	}
	for k, v := range m.BinaryData {
		data[k] = v
	}
	return data, nil
}

// mountedFiles resolves everything that a container mounts at or (by subPath) directly below a folder. The error
// says why the pod could not start in a real cluster.
func mountedFiles(get objectGetter, pod *corev1.Pod, container *corev1.Container, folder string) (fileSet, error) {
	result := newFileSet()
	for _, mount := range container.VolumeMounts {
		target := path.Clean(mount.MountPath)
		inFolder := target == folder
		single := path.Dir(target) == folder && mount.SubPath != ""
		if !inFolder && !single {
			continue
		}
		content, err := volumeFiles(get, pod, mount.Name)
		if err != nil {
			return newFileSet(), fmt.Errorf("volume %q: %w", mount.Name, err)
		}
		for name, data := range content.files {
			to := name
			switch {
			case single && name == mount.SubPath:
				to = path.Base(target)
			case single:
				continue
			case mount.SubPath != "":
				prefix := strings.TrimSuffix(mount.SubPath, "/") + "/"
				if !strings.HasPrefix(name, prefix) {
					continue
				}
				to = strings.TrimPrefix(name, prefix)
			}
			result.files[to] = data
			result.modes[to] = content.modes[name]
		}
	}
	return result, nil
}

func volumeFiles(get objectGetter, pod *corev1.Pod, name string) (fileSet, error) {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return sourceFiles(get, pod, &pod.Spec.Volumes[i])
		}
	}
	return newFileSet(), fmt.Errorf("not in the pod")
}

func sourceFiles(get objectGetter, pod *corev1.Pod, volume *corev1.Volume) (fileSet, error) {
	out := newFileSet()
	add := func(lookup func(string, string) (map[string][]byte, error), name string, optional *bool,
		items []corev1.KeyToPath, mode *int32) error {
		mayMiss := optional != nil && *optional
		data, err := lookup(pod.Namespace, name)
		if err != nil {
			if mayMiss {
				return nil
			}
			return err
		}
		return addItems(out, pod, data, items, mode, mayMiss)
	}
	switch {
	case volume.Secret != nil:
		s := volume.Secret
		return out, add(get.secret, s.SecretName, s.Optional, s.Items, s.DefaultMode)
	case volume.ConfigMap != nil:
		m := volume.ConfigMap
		return out, add(get.configMap, m.Name, m.Optional, m.Items, m.DefaultMode)
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			var err error
			switch mode := volume.Projected.DefaultMode; {
			case source.Secret != nil:
				s := source.Secret
				err = add(get.secret, s.Name, s.Optional, s.Items, mode)
			case source.ConfigMap != nil:
				m := source.ConfigMap
				err = add(get.configMap, m.Name, m.Optional, m.Items, mode)
			}
			if err != nil {
				return newFileSet(), err
			}
		}
		return out, nil
	case volume.EmptyDir != nil:
		return out, nil
	}
	return out, fmt.Errorf("this kind of volume is not simulated")
}

func addItems(out fileSet, pod *corev1.Pod, data map[string][]byte, items []corev1.KeyToPath, mode *int32, mayMiss bool) error {
	if len(items) == 0 {
		for key, value := range data {
			put(out, pod, key, value, mode)
		}
		return nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if mayMiss {
				continue
			}
			return fmt.Errorf("references non-existent key %q", item.Key)
		}
		itemMode := mode
		if item.Mode != nil {
			itemMode = item.Mode
		}
		put(out, pod, item.Path, value, itemMode)
	}
	return nil
}

func put(out fileSet, pod *corev1.Pod, name string, value []byte, mode *int32) {
	bits := int32(0o644) // the API's default for all three kinds
	if mode != nil {
		bits = *mode
	}
	if sc := pod.Spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		bits |= 0o440 // the kubelet makes volumes readable for the pod's fsGroup: tlshd then warns about tls.key
	}
	out.files[name] = string(value)
	out.modes[name] = fmt.Sprintf("%o", bits)
}
