"""What demo and end-to-end tests share: Breakwater installed on a test bed, volumes, writers, progress."""
from .claims import claim, pod, storage_class
from .guide import (CLUSTER_TLS_YAML, HANDSHAKE_DAEMON_YAML, STORAGE_CLASS_YAML)
from .storage import NAMESPACE, Storage, Volume

__all__ = ["CLUSTER_TLS_YAML", "HANDSHAKE_DAEMON_YAML", "NAMESPACE", "STORAGE_CLASS_YAML", "Storage", "Volume",
           "claim", "pod", "storage_class"]
