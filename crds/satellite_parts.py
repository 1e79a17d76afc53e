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
            "volumes away first, Delete drops the node at once.", enum=["Evacuate", "Retain", "Delete"]),
        "evacuationStrategy": obj("How long an evacuation waits for volumes to be attached elsewhere; 0: not at all.", {
            "attachedVolumeReattachTimeout": string("For volumes that are in use.", pattern=DURATION, default="5m"),
            "unattachedVolumeAttachTimeout": string("For volumes that are not.", pattern=DURATION, default="5m"),
        }, nullable=True),
        "resourceNameSuffixSeparator": string("What is put between the name of an object and that of the node.",
                                              enum=[".", "-"]),
    }
