"""Schema of the extension replicationTLS: encryption of DRBD's replication, and migration of old volumes."""

from shared import DURATION, array, boolean, integer, obj, rules, string


def _duration(description, **more):
    return string(description, pattern=DURATION, maxLength=32, **more)


def _certificates():
    return obj("Whose certificate tlshd presents to the other nodes.", {
        "mode": string(
            "InternalTLS: the Secret of the satellite's internalTLS; its key opens the satellites of LINSTOR too. "
            "Managed: certificates of an authority that the operator keeps for replication only. CertManager: of an "
            "issuer of cert-manager. Secret: of Secrets that somebody else keeps. In all but the first only tlshd gets "
            "the key.", enum=["InternalTLS", "Managed", "CertManager", "Secret"], default="InternalTLS"),
        "duration": _duration(
            "Life of a node's certificate in the modes Managed and CertManager, renewed after two thirds of it; 1h to "
            "8784h.", default="720h",
            **rules(("duration(self) >= duration('1h')", "must be at least 1h"),
                    ("duration(self) <= duration('8784h')", "must be at most 8784h"))),
        "issuerRef": obj("Mode CertManager: who issues. Use it for nothing else.", {
            "name": string("Name of the Issuer or ClusterIssuer.", minLength=1),
            "kind": string("Issuer, ClusterIssuer, or a kind of the group."),
            "group": string("API group of an external issuer."),
        }, required=["name"]),
        "secretName": string(
            "Mode Secret: name of the Secret of a node with ca.crt, tls.crt and tls.key; {node} stands for the name of "
            "the node. Without {node} all nodes share one.", maxLength=253),
    }, **rules(
        ("!has(self.mode) || self.mode != 'CertManager' || has(self.issuerRef)",
         "mode CertManager needs issuerRef"),
        ("!has(self.mode) || self.mode != 'Secret' || (has(self.secretName) && self.secretName != '')",
         "mode Secret needs secretName")))


def _migration():
    return obj("How existing volumes move between plaintext and TLS.", {
        "policy": string("Automatic; Manual: only volumes that the annotation breakwater.io/migrate names (comma list, "
                         "* for all); Paused: none is started, and one that moves stops before its next connection.",
                         enum=["Automatic", "Manual", "Paused"], default="Automatic"),
        "strategy": string("PairByPair never freezes I/O; SuspendIO freezes it for a moment; Auto chooses.",
                           enum=["Auto", "PairByPair", "SuspendIO"], default="Auto"),
        "maxParallelResources": integer("How many volumes move at a time.", minimum=1, maximum=1000, default=4),
        "maxParallelPerNode": integer("How many of them may be on one node.", minimum=1, maximum=1000, default=2),
        "suspendTimeout": _duration(
            "SuspendIO: longest time that a volume may stay frozen, also when the operator dies; 3s to 5m. A switch "
            "takes one to three seconds, and one that fails is undone within the same time.", default="10s",
            **rules(("duration(self) >= duration('3s')", "must be at least 3s"),
                    ("duration(self) <= duration('5m')", "must be at most 5m"))),
        "healStale": boolean("Heal connections that look established while the peer's data is stale; false: report "
                             "them only.", default=True),
        "allowSingleCopy": boolean(
            "PairByPair may cut a connection although the Primary is then alone with its copy. With true you accept "
            "that for the second in which a connection is switched; false: such volumes are switched with suspended "
            "I/O, or not at all.", default=False),
        "resumeForeignSuspensionsAfter": _duration(
            "End suspensions of I/O that this operator did not make when they have lasted this long, at least 10s. "
            "Without it they are reported and never ended, because a snapshot or a person may need them.",
            **rules(("duration(self) >= duration('10s')", "must be at least 10s"))),
    })


def _rekey():
    return obj("When a connection gets new session keys by a planned reconnect, one connection at a time, when nothing "
               "else moves. Without it keys last as long as the connection.", {
        "maxAge": _duration("A session that is older, at least 1h; 168h is a good value.",
                            **rules(("duration(self) >= duration('1h')", "must be at least 1h"))),
        "maxBytes": string("A session one direction of which has carried more; 64Gi is a good value.",
                           pattern="^[1-9][0-9]{0,5}[GT]i$", maxLength=8),
    })


def replication_tls_spec():
    return obj("Encryption of DRBD's replication.", {
        "certificates": _certificates(),
        "migration": _migration(),
        "minimum": string(
            "Cluster: what stands only in LINSTOR can raise encryption, never lower it; such a value is pinned back and "
            "reported. None: LINSTOR's own order of values decides, and whoever reaches its REST API can decrypt.",
            enum=["Cluster", "None"], default="Cluster"),
        "minimumVersion": string(
            "The oldest version of TLS that counts as encryption: both sockets of both ends of a connection must show it. "
            "A connection below it keeps the condition ReplicationEncrypted at False (BelowMinimum).",
            enum=["TLS1.2", "TLS1.3"], default="TLS1.3"),
        "ciphers": array(
            "Ciphers that count as encryption, as the kernel's sockets name them. Empty: any that the kernel has.",
            string("Such as aes-gcm-256, aes-gcm-128, chacha20-poly1305.", pattern="^[a-z0-9-]+$", maxLength=32),
            maxItems=16),
        "exemptions": array(
            "Volumes that may be in plaintext although the cluster asks for TLS. They are wanted in plaintext, unless "
            "LINSTOR asks for TLS there.", obj(
                "One of resource, claim and storageClass names the volumes.", {
                    "resource": string("A resource definition of LINSTOR.", maxLength=48),
                    "claim": string("A PersistentVolumeClaim: namespace/name.", pattern="^[^/]+/[^/]+$", maxLength=317),
                    "storageClass": string("All volumes of a StorageClass.", maxLength=253),
                    "reason": string("Why, for those who read the status.", maxLength=256),
                }), maxItems=256),
        "rekey": _rekey(),
        "enforce": boolean("No plaintext: exempt volumes keep the condition ReplicationEncrypted at False "
                           "(PlaintextForbidden), and a volume whose connections were all encrypted is not brought back "
                           "to plaintext by a repair, as long as the Primary has quorum and another copy without the "
                           "broken connection.", default=False),
        "allowHandshakeDaemonRemoval": boolean(
            "The handshake daemon may go from satellites whose volumes are encrypted. Without it it stays there, whatever "
            "the LinstorSatelliteConfigurations say, until nothing on the node is encrypted any more: a connection that "
            "breaks without it does not come back. Take the field away again afterwards.", default=False),
    })


def _counts(description, names):
    return obj(description, {name: {"type": "integer", "format": "int64"} for name in names})


def _texts(description, names):
    return obj(description, {name: {"type": "string"} for name in names})


def replication_tls_status():
    return obj("State of the encryption, from evidence on the nodes.", {
        "phase": string("Where the migration is.",
                        enum=["Idle", "Preflight", "Migrating", "Paused", "Blocked", "Partial", "Complete"]),
        "exempt": array("Volumes that may be in plaintext by somebody's word in Kubernetes.", _texts(
            "A volume; `claim` is namespace/name of its PersistentVolumeClaim.", ["resource", "claim", "reason", "since"])),
        "connections": _counts("Connections between nodes, by what their sockets show.",
                               ["total", "encrypted", "plaintext", "belowMinimum", "unknown"]),
        "resources": _counts("Volumes.", ["total", "migrated", "migrating", "pending", "failed"]),
        "inFlight": array("Journal: written before a step is done.", _texts(
            "A volume that is being migrated; `transaction` is what the agents of the nodes were asked for, `node` is "
            "whose agent leads it.", ["resource", "claim", "strategy", "step", "pair", "startedAt", "transaction", "node"])),
        "failures": array("What went wrong, worst first.", _texts(
            "A failure.", ["resource", "claim", "node", "reason", "message", "since"])),
        "stalePeers": array(
            "Connections whose peer does not get all writes, until there is proof that the copies are equal.",
            obj("A connection.", {
                **{name: {"type": "string"} for name in ["resource", "claim", "node", "peer", "since", "sockets"]},
                "volume": {"type": "integer", "format": "int64"},
                "state": string("Stale: being healed, or held. Diverged: it was interrupted before it was healed, so "
                                "the copies may differ for good.", enum=["Stale", "Diverged"]),
                "role": string("Of `node` when it showed that. A Secondary's entry ends when the Primary sees both copies in "
                               "sync.", enum=["Primary", "Secondary"]),
            })),
    })
