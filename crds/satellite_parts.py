"""Fields that LinstorSatellite and LinstorSatelliteConfiguration share."""

from shared import DURATION, array, node_properties, obj, patches, string, tls_config
from storage_pools import storage_pools


def common_spec():
    return {
        "patches": patches("the objects of a satellite"),
        "storagePools": storage_pools("Storage pools of the node."),
        "properties": node_properties("Properties of the node.", 512),
        "internalTLS": tls_config("TLS from the controller to the satellite.", True),
        "ipFamilies": array("Address families that LINSTOR uses, by default all.",
                            {"type": "string", "enum": ["IPv4", "IPv6"]}),
        "deletionPolicy": string(
            "What happens in LINSTOR when the satellite goes: Retain keeps the node registered, Evacuate moves its "
            "volumes away first, Delete drops the node with what is on it.", enum=["Evacuate", "Retain", "Delete"]),
        "evacuationStrategy": obj("How long an evacuation waits, before LINSTOR makes copies, for pods to take the volumes of "
                                  "the node to other nodes: copies are then made there. Without it: 5m each.", {
            "attachedVolumeReattachTimeout": string("For volumes that a pod uses; 0 does not wait.", pattern=DURATION,
                                                    default="5m"),
            "unattachedVolumeAttachTimeout": string("For volumes that no pod uses; 0 does not wait.", pattern=DURATION,
                                                    default="5m"),
        }, nullable=True),
        "resourceNameSuffixSeparator": string("What is put between the name of an object and that of the node.",
                                              enum=[".", "-"]),
    }
