"""Schema of storage pools, with the rules about what may not change."""

from shared import CLEAN_DEVICE, CLEAN_PATH, LVM_NAME, array, map_list, node_properties, obj, rules, string

TYPES = ["lvmPool", "lvmThinPool", "filePool", "fileThinPool", "zfsPool", "zfsThinPool"]


def _arguments(description):
    return array(description, {"type": "string"})


def _unchanged(field, what):
    """LINSTOR never changes these of an existing pool: a difference would only look like a change."""
    def value(of):
        return f"(has({of}.{field}) ? {of}.{field} : '')"
    return (f"{value('self')} == {value('oldSelf')}", f"{what} of an existing storage pool cannot be changed")


def _lvm(thin):
    properties = {
        "volumeGroup": string("Name of the volume group, by default " +
                              ("linstor_<thin pool>." if thin else "that of the storage pool."),
                              pattern=LVM_NAME, maxLength=127),
    }
    checks = [_unchanged("volumeGroup", "the volume group")]
    if thin:
        properties["thinPool"] = string("Name of the thin pool, by default that of the storage pool.",
                                        pattern=LVM_NAME, maxLength=127)
        checks.append(_unchanged("thinPool", "the thin pool"))
    properties["physicalVolumeCreateArguments"] = _arguments("Additional arguments for pvcreate.")
    properties["volumeGroupCreateArguments"] = _arguments("Additional arguments for vgcreate.")
    if thin:
        properties["logicalVolumeCreateArguments"] = _arguments("Additional arguments for lvcreate.")
    else:
        properties["sharedSpace"] = string("Name of the disks that this pool shares with pools of other nodes: these have "
                                           "the same name here, and LINSTOR counts what is on them once. Not changed later.")
        properties["externalLocking"] = {
            "description": "LVM is locked by lvmlockd of the host, whose /run/lvmlockd.pid the satellite gets. Not changed "
                           "later.", "type": "boolean"}
    description = "LVM thin pool." if thin else "LVM volume group."
    return obj(description, properties, **rules(*checks))


def _file(description):
    return obj(description, {
        "directory": string("Directory on the host, by default /var/lib/linstor-pools/<pool>.",
                            pattern=CLEAN_PATH, maxLength=1024),
    }, **rules(_unchanged("directory", "the directory")))


def _zfs(description):
    return obj(description, {
        "zPool": string("Name of the zpool, by default that of the storage pool.", maxLength=255),
        "zpoolCreateArguments": _arguments("Additional arguments for zpool create."),
    }, **rules(_unchanged("zPool", "the zpool")))


def storage_pools(description):
    types = {
        "lvmPool": _lvm(thin=False),
        "lvmThinPool": _lvm(thin=True),
        "filePool": _file("Directory with one allocated file per volume."),
        "fileThinPool": _file("Directory with one sparse file per volume."),
        "zfsPool": _zfs("ZFS pool."),
        "zfsThinPool": _zfs("ZFS pool with sparse volumes."),
    }
    source = obj("What to make the pool from when it does not exist.", {
        "hostDevices": array("Paths of block devices.",
                             {"type": "string", "pattern": CLEAN_DEVICE, "maxLength": 256},
                             minItems=1, maxItems=64, **{"x-kubernetes-list-type": "set"}),
    }, required=["hostDevices"])
    count = ", ".join(f"has(self.{name})" for name in TYPES)
    same = " && ".join(f"has(self.{name}) == has(oldSelf.{name})" for name in TYPES)
    pool = obj("A storage pool.", {
        "name": string("Name in LINSTOR.", minLength=3, maxLength=48,
                       pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{1,46}[A-Za-z0-9]$"),
        "properties": node_properties("Properties of the pool.", 128),
        **types,
        "source": source,
    }, required=["name"], **rules(
        (f"[{count}].exists_one(x, x)", "must have exactly one type: " + ", ".join(TYPES)),
        (same, "the type of an existing storage pool cannot be changed"),
        ("!has(self.source) || !(has(self.filePool) || has(self.fileThinPool))",
         "file pools cannot have a source"),
        ("has(self.source) == has(oldSelf.source) && (!has(self.source) || self.source == oldSelf.source)",
         "the source of an existing storage pool cannot be changed")))
    return map_list(description, pool, maxItems=64)
