"""A real node: kubelet, containerd and runc in namespaces of their own, with the images of `make images`. See README.md."""
