"""A real Kubernetes control plane with fake nodes and simulated storage, on one small machine.

    from testbed import TestBed
    with TestBed(nodes=3) as bed:
        bed.kubectl("get", "nodes")
"""

from .bed import DrbdSimError, TestBed
from .kube import KubectlError, Refused, WaitTimeout
from .pki import ReplicationPki
from .process import StartError

__all__ = ["DrbdSimError", "KubectlError", "Refused", "ReplicationPki", "StartError", "TestBed", "WaitTimeout"]
