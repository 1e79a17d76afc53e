"""Schema of LinstorCluster."""

from replication_tls import replication_tls_spec, replication_tls_status
from shared import (AGE, array, boolean, ca_reference, capacity, column, condition_column, conditions, integer, issuer,
                    literal_properties, node_affinity, node_selector, obj, patches, pod_template, string, tls_config)

KIND = "LinstorCluster"
DESCRIPTION = "A storage cluster: the LINSTOR controller, its satellites, and the settings that they share."
COLUMNS = [
    condition_column("Available", "Available", "Whether the LINSTOR controller is reachable"),
    condition_column("Configured", "Configured", "Whether all settings are in place"),
    column("Version", ".status.version", priority=10, description="Version of LINSTOR"),
    column("Satellites", ".status.satellites", description="Running and expected satellites"),
    column("Used Capacity", ".status.capacity", description="Used and total capacity"),
    column("Volumes", ".status.numberOfVolumes", "integer", description="Number of volumes"),
    column("Snapshots", ".status.numberOfSnapshots", "integer", 10, "Number of snapshots"),
    condition_column("Encrypted", "ReplicationEncrypted", "Whether all replication is encrypted"),
    AGE,
]


def _component(what, workload, replicas=False):
    properties = {
        "enabled": boolean("Whether to deploy it. With false its objects are removed.", default=True),
        "podTemplate": pod_template(f"the {what}"),
    }
    if replicas:
        properties["replicas"] = integer("Number of pods, by default 1.", minimum=0)
    return obj(f"{workload} of the {what}.", properties)


def _api_tls():
    def secret(default):
        return string(f"Secret, by default {default}.")
    return obj("HTTPS for LINSTOR's REST API.", {
        "apiSecretName": secret("linstor-api-tls"),
        "clientSecretName": secret("linstor-client-tls"),
        "csiControllerSecretName": secret("linstor-csi-controller-tls"),
        "csiNodeSecretName": secret("linstor-csi-node-tls"),
        "affinityControllerSecretName": secret("linstor-affinity-controller-tls"),
        "nfsServerSecretName": secret("linstor-csi-nfs-server-tls"),
        "certManager": issuer("Issuer of cert-manager: Certificates are created for these secrets."),
        "caReference": ca_reference(),
    }, nullable=True)


def _toleration():
    return obj("A taint that is tolerated.", {
        "key": {"type": "string"},
        "operator": string("Exists or Equal."),
        "value": {"type": "string"},
        "effect": string("NoSchedule, PreferNoSchedule or NoExecute; empty for all."),
        "tolerationSeconds": integer("How long a NoExecute taint is tolerated.", 64),
    })


def spec():
    return obj("What the cluster should be.", {
        "repository": string("Registry and path of all images, instead of that of the image configuration."),
        "externalController": obj("Use this LINSTOR controller instead of deploying one.", {
            "url": string("URL of the REST API; several are separated by commas. No IPv6 literals: use a name.",
                          minLength=3),
        }, required=["url"]),
        "nodeSelector": node_selector(),
        "nodeAffinity": node_affinity(),
        "tolerations": array("Taints that all workloads tolerate; nodes with other taints get no satellite.",
                             _toleration(), **{"x-kubernetes-list-type": "atomic"}),
        "properties": literal_properties(
            "Properties of the LINSTOR controller: defaults for all resources.",
            ("self.name != 'DrbdOptions/Net/tls' || "
             "(has(self.value) && self.value in ['yes', 'no', 'Yes', 'No', 'YES', 'NO'])",
             "DrbdOptions/Net/tls is yes or no")),
        "patches": patches("the objects of the cluster"),
        "linstorPassphraseSecret": string("Secret with the key MASTER_PASSPHRASE."),
        "internalTLS": tls_config(
            "TLS from the controller to the satellites. Needed as soon as a LinstorSatelliteConfiguration has "
            "internalTLS: without it LINSTOR cannot connect to these satellites. {} is enough; the secret is then "
            "linstor-controller-internal-tls.", False),
        "apiTLS": _api_tls(),
        "controller": _component("LINSTOR controller", "Deployment"),
        "csiController": _component("CSI controller", "Deployment", replicas=True),
        "csiNode": _component("CSI driver on the nodes", "DaemonSet"),
        "highAvailabilityController": _component("high-availability controller", "DaemonSet"),
        "affinityController": _component("affinity controller", "Deployment", replicas=True),
        "nfsServer": _component("NFS server for ReadWriteMany volumes", "DaemonSet"),
        "maxConcurrentEvacuations": integer("How many satellites may be evacuated at a time; 0: no limit.",
                                            minimum=0),
        "replicationTLS": replication_tls_spec(),
    })


def status():
    return obj("What the cluster is.", {
        "conditions": conditions(),
        "version": string("Version of the LINSTOR controller."),
        "scheduledSatellites": integer("Number of satellites that should run."),
        "runningSatellites": integer("Number of satellites that run."),
        "satellites": string("Running and expected satellites, for people."),
        **capacity(),
        "replicationTLS": replication_tls_status(),
    })
