"""Faults between the operator and the API server: a TCP proxy for the network, an HTTP proxy for the server's moods.

    with FaultChain(bed, kubeconfig) as chain:       # operator -> FaultProxy -> AnswerProxy -> API server
        bed.start_operator(flags, kubeconfig=chain.kubeconfig)
        with chain.network.fault(BlackHole()):
            ...                                      # healed when the block ends
        with chain.server.answers(Answer(429, share=0.5, retry_after=1)):
            ...
"""
from .answers import Answer, AnswerProxy, Truncate
from .chain import FaultChain
from .tcp import BlackHole, Delay, Drop, Fault, FaultProxy, HalfChunk, Reset, TlsCut

__all__ = ["Answer", "AnswerProxy", "BlackHole", "Delay", "Drop", "Fault", "FaultChain", "FaultProxy", "HalfChunk",
           "Reset", "TlsCut", "Truncate"]
