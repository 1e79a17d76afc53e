"""A real Kubernetes control plane with fake nodes and simulated storage, on one small machine.

    from testbed import TestBed
    with TestBed(nodes=3) as bed:
        bed.kubectl("get", "nodes")
"""

from .bed import TestBed
from .kube import KubectlError, WaitTimeout
from .pki import ReplicationPki
from .process import StartError

__all__ = ["KubectlError", "ReplicationPki", "StartError", "TestBed", "WaitTimeout"]
