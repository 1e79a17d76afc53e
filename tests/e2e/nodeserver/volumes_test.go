package main

import (
	"errors"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

type fakeObjects map[string]map[string][]byte

func (f fakeObjects) secret(namespace, name string) (map[string][]byte, error) {
	return f.get("secret/" + namespace + "/" + name)
}

func (f fakeObjects) configMap(namespace, name string) (map[string][]byte, error) {
	return f.get("configmap/" + namespace + "/" + name)
}

func (f fakeObjects) attachedVolume(namespace, claim, node string) (string, error) {
	_, err := f.get("claim/" + namespace + "/" + claim + "/" + node)
	return claim, err
}

func (f fakeObjects) get(key string) (map[string][]byte, error) {
	if data, ok := f[key]; ok {
		return data, nil
	}
	return nil, errors.New(key + " not found")
}

func pointer[T any](v T) *T { return &v }

func podWith(volume corev1.VolumeSource, mount corev1.VolumeMount) (*corev1.Pod, *corev1.Container) {
	mount.Name = "tls"
	pod := &corev1.Pod{}
	pod.Namespace = "ns"
	pod.Spec.Volumes = []corev1.Volume{{Name: "tls", VolumeSource: volume}}
	pod.Spec.Containers = []corev1.Container{{Name: tlshdContainer, VolumeMounts: []corev1.VolumeMount{mount}}}
	return pod, &pod.Spec.Containers[0]
}

func TestMountedFiles(t *testing.T) {
	objects := fakeObjects{
		"secret/ns/node1-tls": {"tls.crt": []byte("C"), "tls.key": []byte("K")},
		"configmap/ns/ca":     {"ca.crt": []byte("A")},
	}
	projected := corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: pointer(int32(0o644)),
		Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "node1-tls"},
				Items: []corev1.KeyToPath{
					{Key: "tls.crt", Path: "tls.crt"}, {Key: "tls.key", Path: "tls.key", Mode: pointer(int32(0o600))},
				},
			}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "ca"}}},
		},
	}}
	folder := corev1.VolumeMount{MountPath: tlshdMountPath + "/"}
	secret := func(name string, optional *bool) corev1.VolumeSource {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: name, DefaultMode: pointer(int32(0o600)), Optional: optional}}
	}
	tests := []struct {
		name    string
		volume  corev1.VolumeSource
		mount   corev1.VolumeMount
		fsGroup *int64
		files   map[string]string
		modes   map[string]string
		fails   bool
	}{
		{"projected with items and modes", projected, folder, nil,
			map[string]string{"tls.crt": "C", "tls.key": "K", "ca.crt": "A"},
			map[string]string{"tls.crt": "644", "tls.key": "600", "ca.crt": "644"}, false},
		{"one file by subPath", secret("node1-tls", nil),
			corev1.VolumeMount{MountPath: tlshdMountPath + "/cert.pem", SubPath: "tls.crt"}, nil,
			map[string]string{"cert.pem": "C"}, map[string]string{"cert.pem": "600"}, false},
		{"fsGroup widens the mode", secret("node1-tls", nil), folder, pointer(int64(1)),
			map[string]string{"tls.crt": "C", "tls.key": "K"},
			map[string]string{"tls.crt": "640", "tls.key": "640"}, false},
		{"missing secret", secret("absent", nil), folder, nil, nil, nil, true},
		{"missing optional secret", secret("absent", pointer(true)), folder, nil,
			map[string]string{}, map[string]string{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pod, container := podWith(test.volume, test.mount)
			if test.fsGroup != nil {
				pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: test.fsGroup}
			}
			got, err := mountedFiles(objects, pod, container, tlshdMountPath)
			if (err != nil) != test.fails {
				t.Fatalf("error = %v, want one: %v", err, test.fails)
			}
			if test.fails {
				return
			}
			if !reflect.DeepEqual(got.files, test.files) || !reflect.DeepEqual(got.modes, test.modes) {
				t.Errorf("got %v %v, want %v %v", got.files, got.modes, test.files, test.modes)
			}
		})
	}
}

func TestPodVolumes(t *testing.T) {
	objects := fakeObjects{"secret/ns/there": {"tls.key": []byte("K")}}
	source := func(name string, optional *bool, key string) corev1.VolumeSource {
		return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
			Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name},
				Optional: optional, Items: []corev1.KeyToPath{{Key: key, Path: key}}}}}}}
	}
	for _, test := range []struct {
		name    string
		volume  corev1.VolumeSource
		mounted bool
		waits   bool
	}{
		{"there", source("there", nil, "tls.key"), true, false},
		{"missing", source("absent", nil, "tls.key"), true, true},
		{"missing key", source("there", nil, "tls.crt"), true, true},
		{"missing but optional", source("absent", pointer(true), "tls.key"), true, false},
		{"missing but nobody mounts it", source("absent", nil, "tls.key"), false, false},
		{"of a kind that is not simulated", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}, true, false},
	} {
		pod, container := podWith(test.volume, corev1.VolumeMount{MountPath: "/any"})
		if !test.mounted {
			container.VolumeMounts = nil
		}
		if err := podVolumes(objects, pod); (err != nil) != test.waits {
			t.Errorf("%s: error = %v, want one: %v", test.name, err, test.waits)
		}
	}
}

func TestTail(t *testing.T) {
	for _, test := range []struct{ lines, want string }{{"", "a\nb\n"}, {"1", "b\n"}, {"0", ""}, {"9", "a\nb\n"}} {
		if got := tail("a\nb\n", test.lines); got != test.want {
			t.Errorf("tail %q = %q, want %q", test.lines, got, test.want)
		}
	}
}
