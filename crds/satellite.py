"""Schema of LinstorSatellite."""

from satellite_parts import common_spec
from shared import AGE, array, ca_reference, capacity, column, condition_column, conditions, obj, string

KIND = "LinstorSatellite"
DESCRIPTION = ("One node of the storage cluster. Written by the operator, from the LinstorCluster and the "
               "LinstorSatelliteConfigurations that match the node.")
COLUMNS = [
    condition_column("Connected", "Available", "Whether LINSTOR reaches the satellite"),
    condition_column("Configured", "Configured", "Whether all settings are in place"),
    column("Applied Configurations", ".metadata.annotations.piraeus\\.io/applied-configurations", priority=10,
           description="LinstorSatelliteConfigurations that it is made of"),
    column("Deletion Policy", ".spec.deletionPolicy", description="What happens when it is deleted"),
    column("Used Capacity", ".status.capacity", description="Used and total capacity"),
    column("Volumes", ".status.numberOfVolumes", "integer", description="Number of volumes"),
    column("Snapshots", ".status.numberOfSnapshots", "integer", 10, "Number of snapshots"),
    column("Storage Providers", ".status.storageProviders", priority=10, description="Kinds of pools it can have"),
    column("Device Layers", ".status.deviceLayers", priority=10, description="Layers that it supports"),
    condition_column("TLS Ready", "ReplicationTLSReady", "Whether the node can encrypt replication", 10),
    AGE,
]


def spec():
    fields = common_spec()
    fields["deletionPolicy"]["default"] = "Retain"
    cluster_reference = obj("The LinstorCluster that it belongs to.", {
        "name": string("Name of the LinstorCluster."),
        "clientSecretName": string("Secret with which the operator calls the REST API; empty for plain HTTP."),
        "caReference": ca_reference(),
        "externalController": obj("The external controller of the cluster.", {
            "url": string("URL of the REST API.", minLength=3),
        }, required=["url"]),
    })
    return obj("What the satellite should be.", {
        "clusterRef": cluster_reference,
        "repository": string("Registry and path of all images."),
        **fields,
    }, required=["clusterRef"])


def status():
    return obj("What the satellite is.", {
        "conditions": conditions(),
        **capacity(),
        "storageProviders": array("Kinds of storage pools that the node can have.", {"type": "string"}),
        "deviceLayers": array("Layers that the node supports.", {"type": "string"}),
    })
