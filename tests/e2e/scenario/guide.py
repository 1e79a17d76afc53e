"""The YAML of the how-to "TLS for DRBD replication", exactly as users of piraeus.io/v1 apply it."""

HANDSHAKE_DAEMON_YAML = """\
apiVersion: piraeus.io/v1
kind: LinstorSatelliteConfiguration
metadata:
  name: internal-tls
spec:
  internalTLS:
    tlsHandshakeDaemon: true
    # ...
"""

CLUSTER_TLS_YAML = """\
apiVersion: piraeus.io/v1
kind: LinstorCluster
metadata:
  name: linstorcluster
spec:
  properties:
    - name: DrbdOptions/Net/tls
      value: "yes"
"""

STORAGE_CLASS_YAML = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: example
provisioner: linstor.csi.linbit.com
parameters:
  property.linstor.csi.linbit.com/DrbdOptions/Net/tls: "yes"
  # ...
"""
