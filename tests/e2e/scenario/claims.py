"""Volumes as a user makes them: StorageClasses, claims and pods, all with kubectl."""
import json
import textwrap

from testbed import Refused

PROVISIONER = "linstor.csi.linbit.com"
PROPERTY = "property.linstor.csi.linbit.com/"


def storage_class(name, replicas, binding="WaitForFirstConsumer", parameters=None):
    """YAML of a StorageClass; with `WaitForFirstConsumer` the first replica is where the pod will be."""
    lines = "".join(f"\n  {key}: {json.dumps(value)}" for key, value in (parameters or {}).items())
    return textwrap.dedent(f"""\
        apiVersion: storage.k8s.io/v1
        kind: StorageClass
        metadata:
          name: {name}
        provisioner: {PROVISIONER}
        allowVolumeExpansion: true
        volumeBindingMode: {binding}
        parameters:
          autoPlace: "{replicas}"
          storagePool: pool1""") + lines + "\n---\n"


def claim(name, storage_class_name, size="64Mi"):
    """YAML of a claim "namespace/name"."""
    namespace, name = name.split("/")
    return textwrap.dedent(f"""\
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata:
          namespace: {namespace}
          name: {name}
        spec:
          storageClassName: {storage_class_name}
          accessModes: [ReadWriteOnce]
          resources:
            requests:
              storage: {size}
        ---
        """)


def pod(claim_name):
    """YAML of a pod that uses a claim; on the test bed it writes to the volume until it ends."""
    namespace, name = claim_name.split("/")
    return textwrap.dedent(f"""\
        apiVersion: v1
        kind: Pod
        metadata:
          namespace: {namespace}
          name: {name}
        spec:
          containers:
            - name: app
              image: example.com/app
              volumeMounts:
                - name: data
                  mountPath: /data
          volumes:
            - name: data
              persistentVolumeClaim:
                claimName: {name}
        ---
        """)


class Claims:
    """The part of Storage that knows which volume became of a claim."""

    def claim(self, name):
        namespace, name = name.split("/")
        return self.get("-n", namespace, "pvc", name)

    def claim_pod(self, name):
        namespace, name = name.split("/")
        return self.get("-n", namespace, "pod", name)

    def claims(self):
        """{LINSTOR's resource: "namespace/claim"}, as the PersistentVolumes say it."""
        found = {}
        for volume in self.get("pv")["items"]:
            source, owner = volume["spec"].get("csi", {}), volume["spec"].get("claimRef")
            if source.get("driver") == PROVISIONER and owner:
                found[source["volumeHandle"]] = f"{owner['namespace']}/{owner['name']}"
        return found

    def volume_of(self, name):
        """LINSTOR's name for the volume of a claim; waits until it is bound."""
        return self.bed.wait_for(lambda: next((v for v, c in self.claims().items() if c == name), ""), 60,
                                 f"a volume for claim {name}")

    def wait_bound(self, *names):
        self.bed.wait_for(lambda: all(self.claim(name)["status"]["phase"] == "Bound" for name in names), 60,
                          f"claims {', '.join(names)} to be bound", interval=0.3)
        return [self.volume_of(name) for name in names]

    def wait_pods(self, *names):
        """Waits until the pods of these claims run, so have their volumes open, and counts the volumes among ours."""
        self.bed.wait_for(lambda: all(self.claim_pod(name)["status"]["phase"] == "Running" for name in names), 90,
                          f"pods of {', '.join(names)} to run", interval=0.3)
        return [self.adopt(name, self.claim_pod(name)["spec"]["nodeName"]) for name in names]

    def adopt(self, name, primary, writer=True):
        """Counts the volume of a claim among those whose writers and replicas a test looks at; its name in LINSTOR."""
        resource = self.volume_of(name)
        replicas = self.linstor("GET", f"/v1/view/resources?resources={resource}")
        if not replicas:
            raise Refused(f"LINSTOR has no replica of {resource}")
        diskful = sum("DISKLESS" not in replica.get("flags", []) for replica in replicas)
        self.add_volume(resource, primary, diskful, writer, name)
        return resource
