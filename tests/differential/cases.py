"""Patches to compare with kustomize: made by hand, and generated from a seed.

A case is {"name", "resources", "patches"}. `@ID@` in the resources becomes a name of the case's own: all cases of a batch are one
kustomization, and objects without a namespace must not meet there.
"""
import copy
import json
import pathlib
import random

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]

BASE = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web, tier: front, v: "1.2"}
  annotations: {note: a, owner.example.com/team: x}
  finalizers: [example.com/a, example.com/b]
spec:
  replicas: 2
  paused: true
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {checksum: "12"}}
    spec:
      nodeSelector: {disk: ssd, zone: a}
      containers:
        - name: app
          image: app:1
          command: [run, --fast]
          args: [a, b]
          env: [{name: A, value: "1"}, {name: B, value: "2"}, {name: C, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
          envFrom: [{configMapRef: {name: settings}}]
          ports: [{name: http, containerPort: 80, protocol: TCP}, {name: dns, containerPort: 53, protocol: TCP}, {name: udp, containerPort: 53, protocol: UDP}]
          volumeMounts: [{name: data, mountPath: /data}, {name: data, mountPath: /more, subPath: x}]
          resources: {limits: {cpu: 100m, memory: 64Mi}}
          securityContext: {capabilities: {drop: [ALL], add: [NET_ADMIN]}, privileged: false}
          livenessProbe: {httpGet: {path: /, port: http}, periodSeconds: 5}
        - {name: side, image: "side:1"}
      volumes:
        - {name: data, emptyDir: {}}
        - {name: cfg, configMap: {name: settings, defaultMode: 0440}}
        - {name: all, projected: {sources: [{secret: {name: a}}, {configMap: {name: b}}]}}
      tolerations: [{key: a, operator: Exists}, {key: b, value: c}]
      imagePullSecrets: [{name: pull}]
      hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]
      topologySpreadConstraints:
        - {topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}
        - {topologyKey: host, maxSkew: 2, whenUnsatisfiable: ScheduleAnyway}
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - {weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {app: web}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: other, labels: {app: api, tier: back}}
spec: {selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: api}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node}
spec: {selector: {matchLabels: {app: node}}, template: {metadata: {labels: {app: node}}, spec: {containers: [{name: app, image: node}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: TCP}, {name: udp, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, annotations: {note: b}}
data: {a: "1", b.conf: "x\\ny\\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {a: b}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
secrets: [{name: a}, {name: b}]
imagePullSecrets: [{name: pull}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: role-@ID@}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}, {apiGroups: [apps], resources: ["*"], verbs: [list]}]
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: tls, labels: {app: web}}
spec: {dnsNames: [a, b], issuerRef: {name: ca, kind: Issuer}, secretName: tls, keystores: [{name: x, y: 1}]}
"""

HEADS = {
    "web": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n",
    "node": "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: node}\n",
    "service": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n",
    "map": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n",
    "secret": "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n",
    "account": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n",
    "role": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: role-@ID@}\n",
    "certificate": "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: tls}\n",
}


def container(text):
    return f"spec: {{template: {{spec: {{containers: [{text}]}}}}}}"


def pod(text):
    return f"spec: {{template: {{spec: {{{text}}}}}}}"


# Strategic merge patches: what for, and what follows the head.
MERGES = [
    ("web", "spec: {replicas: 3, strategy: {type: Recreate}}"),
    ("web", "spec: {replicas: null, paused: ~}"),
    ("web", "spec: {absent: null, selector: {matchLabels: {gone: null}}}"),
    ("web", "spec: {new: {a: null, b: {c: null}, d: [{e: null, f: 1}], g: {}}}"),
    ("web", "spec: {strategy: {rollingUpdate: null}}"),
    ("web", container("{name: app, image: app:2}")),
    ("web", container("{name: first, image: x}, {name: side, image: y}, {name: last, image: z}")),
    ("web", container("{name: app, $patch: delete}")),
    ("web", container("{name: missing, $patch: delete}, {name: side, image: q}")),
    ("web", container("{name: app, $patch: delete}, {name: side, $patch: delete}")),
    ("web", container("{name: app, $patch: replace, image: only}")),
    ("web", container("{name: app, $patch: merge, image: merged}")),
    ("web", container("{$patch: replace}, {name: one, image: x}")),
    ("web", container("{name: one, image: x}, {$patch: replace}")),
    ("web", container("{$patch: replace}")),
    ("web", container("{$patch: delete}")),
    ("web", container("{$patch: merge}, {name: app, image: m}")),
    ("web", container("")),
    ("web", pod("containers: null")),
    ("web", container("{image: nameless}")),
    ("web", container("{name: app, image: a}, {name: app, image: b}")),
    ("web", container("{name: app, env: [{name: B, value: x}, {name: D, value: y}]}")),
    ("web", container("{name: app, env: [{name: C, value: plain, valueFrom: null}]}")),
    ("web", container("{name: app, env: [{name: A, $patch: delete}, {name: B, $patch: replace, value: r}]}")),
    ("web", container("{name: app, env: [{$patch: replace}, {name: Z, value: z}]}")),
    ("web", container("{name: app, env: null, args: null, resources: null}")),
    ("web", container("{name: app, env: [{name: A, value: 5}, {name: B, value: true}, {name: N, value: '7'}]}")),
    ("web", container("{name: app, envFrom: [{secretRef: {name: keys}}]}")),
    ("web", container("{name: app, command: [other], args: []}")),
    ("web", container("{name: app, args: [$patch, delete]}")),
    ("web", container("{name: app, ports: [{containerPort: 80, name: web}]}")),
    ("web", container("{name: app, ports: [{containerPort: 53, protocol: UDP, name: x}]}")),
    ("web", container("{name: app, ports: [{containerPort: 53, protocol: TCP, $patch: delete}]}")),
    ("web", container("{name: app, ports: [{containerPort: 53, protocol: SCTP}]}")),
    ("web", container("{name: app, ports: [{containerPort: 443, protocol: TCP}, {containerPort: 443, protocol: UDP}]}")),
    ("web", container("{name: app, ports: [{containerPort: 80, protocol: TCP, hostPort: 80}, {containerPort: 53, protocol: TCP, hostPort: 53}]}")),
    ("web", container("{name: side, ports: [{containerPort: 1}, {containerPort: 2, name: n}]}")),
    ("web", container("{name: app, volumeMounts: [{mountPath: /more, name: cfg}, {mountPath: /new, name: data}]}")),
    ("web", container("{name: app, volumeMounts: [{mountPath: /data, $patch: delete}]}")),
    ("web", container("{name: app, volumeDevices: [{devicePath: /dev/x, name: data}]}")),
    ("web", container("{name: app, resources: {limits: {cpu: null, gpu: 1}, requests: {cpu: 1.5}}}")),
    ("web", container("{name: app, resources: {limits: {$patch: replace, cpu: 1}}}")),
    ("web", container("{name: app, resources: {$patch: delete}}")),
    ("web", container("{name: app, securityContext: {capabilities: {drop: [], add: [SYS_ADMIN]}, privileged: true}}")),
    ("web", container("{name: app, livenessProbe: {httpGet: null, tcpSocket: {port: 80}}}")),
    ("web", container("{name: app, livenessProbe: {$patch: replace, exec: {command: [x]}}}")),
    ("web", pod("initContainers: [{name: init, image: i, env: [{name: A, value: '1'}]}]")),
    ("web", pod("ephemeralContainers: [{name: e, image: i}]")),
    ("web", pod("volumes: [{name: data, emptyDir: null, hostPath: {path: /x}}]")),
    ("web", pod("volumes: [{name: data, $patch: replace, hostPath: {path: /x}}, {name: n, emptyDir: {}}]")),
    ("web", pod("volumes: [{name: cfg, configMap: {items: [{key: a, path: b}]}}]")),
    ("web", pod("volumes: [{name: all, projected: {sources: [{secret: {name: c}}]}}]")),
    ("web", pod("volumes: [{name: data, emptyDir: {medium: Memory}}]")),
    ("web", pod("tolerations: [{key: only}]")),
    ("web", pod("tolerations: []")),
    ("web", pod("imagePullSecrets: [{name: other}, {name: pull}]")),
    ("web", pod("hostAliases: [{ip: 10.0.0.1, hostnames: [b]}, {ip: 10.0.0.2, hostnames: [c]}]")),
    ("web", pod("topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: DoNotSchedule, maxSkew: 9}]")),
    ("web", pod("topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, maxSkew: 9}]")),
    ("web", pod("topologySpreadConstraints: [{topologyKey: rack, whenUnsatisfiable: DoNotSchedule, maxSkew: 1}]")),
    ("web", pod("nodeSelector: {zone: null, new: x}")),
    ("web", pod("nodeSelector: {$patch: replace, only: x}")),
    ("web", pod("nodeSelector: {$patch: delete}")),
    ("web", pod("nodeSelector: {}")),
    ("web", pod("nodeSelector: null, tolerations: null, volumes: null")),
    ("web", pod("affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 5}]}}")),
    ("web", pod("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]}}}")),
    ("web", pod("schedulingGates: [{name: g}], resourceClaims: [{name: c, resourceClaimName: d}]")),
    ("web", pod("readinessGates: [{conditionType: a}], overhead: {cpu: 1m}, hostNetwork: true")),
    ("web", pod("securityContext: {sysctls: [{name: a, value: b}], supplementalGroups: [1, 2]}")),
    ("web", "spec: {template: {$patch: replace, spec: {containers: [{name: n}]}}}"),
    ("web", "spec: {$patch: delete}"),
    ("web", "spec: {$patch: replace, replicas: 1}"),
    ("web", "spec: {template: {metadata: {annotations: {checksum: null, k: v}}}}"),
    ("web", "$patch: delete"),
    ("web", "$patch: replace\nspec: {replicas: 9}"),
    ("web", "$patch: merge\nspec: {replicas: 9}"),
    ("web", "spec: {replicas: '3', paused: 'yes'}"),
    ("web", "spec: {a: yes, b: No, c: on, d: OFF, e: y, f: N, g: TRUE, h: False}"),
    ("web", "spec: {a: 0440, b: 0o17, c: 0x1F, d: 0b11, e: 1_000, f: +5, g: -0, h: 08, i: 00}"),
    ("web", "spec: {a: 1e3, b: 1.50, c: .5, d: 5., e: -1E-3, g: 1.0, h: 123456789012345678901}"),
    ("web", "spec: {a: 12:30, b: '2001-01-01', c: 9223372036854775807, d: -9223372036854775808, e: 0.1}"),
    ("web", "spec: {a: 2001-01-01, b: 2001-12-14t21:59:43.10-05:00, c: 2001-12-14 21:59:43}"),
    ("web", "spec: {a: .inf, b: -.INF}"),
    ("web", "spec: {a: !!str 5, b: !!int '7', c: !!str yes, d: !!bool 'true', e: !!float '2', f: !!null ''}"),
    ("web", "spec: {a: '', b: ~, c: 'null', d: \"~\", e: 'true', f: \"0x1F\", g: '1e3'}"),
    ("web", "spec:\n  a: |\n    one\n    two\n  b: >\n    folded\n    text\n  c: |-\n    x\n  d: |+\n    y\n\n  e: plain\n    goes on"),
    ("web", "spec: {a: \"\\u00e9\\t\\\"\\\\\\x07\\n\", b: 'it''s', c: \"\\U0001F600\", d: ä€😀, e: '# no comment', f: 'a: b', g: ' x '}"),
    ("web", "spec: {a: '" + "long " * 20000 + "'}"),
    ("web", "spec: {a: \"" + "\\u4e2d" * 3000 + "\"}"),
    ("web", "spec: {\"a.b/c\": 1, 'x y': 2, \"\": 3, 5: 6, true: 7, ~: 8, 1.5: 9}"),
    ("web", "spec: {yes: 1, on: 2, 0x10: 3, 1_0: 4}"),
    ("web", "spec: &s {m: &m {a: 1, b: {c: 2}}, n: *m, o: {<<: *m, a: 9}}"),
    ("web", "x-a: &a {k: 1}\nx-b: &b {k: 2, l: 3}\nspec: {o: {<<: [*a, *b]}, p: {l: 7, <<: *b}}"),
    ("web", "spec: {template: {spec: {containers: [&c {name: app, image: anchored}, {<<: *c, name: copy}]}}}"),
    ("web", "spec: {o: {<<: 5}}"),
    ("web", "spec: {a: 1, a: 2}"),
    ("web", "spec: {a: [1, [2, {b: null}], null, {c: ~, d: 1}]}"),
    ("web", "spec: {replicas: {a: 1}}"),
    ("web", "spec: {replicas: [1]}"),
    ("web", "spec: {template: {spec: {nodeSelector: {disk: {a: 1}}}}}"),
    ("web", "spec: {template: {spec: {tolerations: {key: a}}}}"),
    ("web", "spec: {template: {spec: {containers: [[a]]}}}"),
    ("web", "spec: {template: {spec: {containers: [a]}}}"),
    ("web", "spec: {template: {spec: {containers: [null]}}}"),
    ("web", "spec: {template: {spec: {containers: [{name: null, image: x}]}}}"),
    ("web", "spec: {template: {spec: {containers: [{name: 5, image: x}]}}}"),
    ("web", "spec: null"),
    ("web", ""),
    ("web", "spec: {}"),
    ("web", "status: {replicas: 1}"),
    ("web", "# only a comment"),
    ("web", "spec: {$patch: bogus, replicas: 4}"),
    ("web", "spec: {template: {spec: {$setElementOrder/containers: [{name: side}, {name: app}], containers: [{name: app, image: o}]}}}"),
    ("web", "spec: {template: {spec: {volumes: [{name: data, $retainKeys: [name, hostPath], hostPath: {path: /x}}]}}}"),
    ("node", "spec: {updateStrategy: {type: OnDelete}, template: {spec: {containers: [{name: app, env: [{name: A, value: b}]}]}}}"),
    ("node", pod("volumes: [{name: a, hostPath: {path: /a, type: ''}}], containers: [{name: app, volumeMounts: [{name: a, mountPath: /a}]}]")),
    ("service", "spec: {ports: [{port: 80, targetPort: 9090}]}"),
    ("service", "spec: {ports: [{port: 53, protocol: UDP, targetPort: 1}]}"),
    ("service", "spec: {ports: [{port: 53, protocol: TCP, $patch: delete}]}"),
    ("service", "spec: {ports: [{port: 443, name: tls}], selector: {app: null, x: z}}"),
    ("service", "spec: {ports: [{name: http, targetPort: 1}]}"),
    ("service", "spec: {type: NodePort, externalIPs: [1.2.3.4], ports: [{$patch: replace}, {port: 1}]}"),
    ("service", "spec: {clusterIP: None, ports: null}"),
    ("map", "data: {a: null, c: '3'}"),
    ("map", "data:\n  b.conf: |\n    new\n  n: \"\"\nbinaryData: {x: AAEC}"),
    ("map", "data: null"),
    ("map", "data: {$patch: replace, only: x}"),
    ("map", "immutable: true\ndata: {a: 5, b.conf: true}"),
    ("secret", "stringData: {a: c, d: e}\ntype: Opaque"),
    ("secret", "data: {k: dg==}\nstringData: null"),
    ("account", "imagePullSecrets: [{name: other}]"),
    ("account", "secrets: [{name: b, namespace: x}, {name: c}]"),
    ("account", "automountServiceAccountToken: false"),
    ("role", "rules: [{apiGroups: [x], resources: [y], verbs: [z]}]"),
    ("role", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}"),
    ("certificate", "spec: {dnsNames: [c], keystores: [{name: x, z: 2}]}"),
    ("certificate", "spec: {issuerRef: {kind: null, group: g}, dnsNames: null, privateKey: {rotationPolicy: Always}}"),
    ("certificate", "spec: {keystores: [{name: x, $patch: delete}]}"),
    ("certificate", "spec: {keystores: [{$patch: replace}, {name: n}]}"),
    ("certificate", "spec: {$patch: replace, secretName: n}"),
]

# Whole patches, with a target or without.
WHOLE = [
    ("metadata of all kinds", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {tier: null, new: l}, annotations: {note: null, n: a}, finalizers: [example.com/c]}", None),
    ("finalizers twice", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, finalizers: [example.com/b, example.com/d]}", None),
    ("owners", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, ownerReferences: [{uid: u, name: n, kind: K, apiVersion: v1}]}", None),
    ("labels replaced", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {$patch: replace, a: b}}", None),
    ("labels null", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: null, annotations: null}", None),
    ("label that is a number", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {a: '5'}, annotations: {b: 'true'}}", None),
    ("no such name", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: nobody}\nspec: {replicas: 1}", None),
    ("no such kind", "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: web}\nspec: {replicas: 1}", None),
    ("no such version", "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}", None),
    ("namespace left out", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: 1}", None),
    ("namespace right", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: other}\nspec: {replicas: 1}", None),
    ("namespace wrong", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: other}\nspec: {replicas: 1}", None),
    ("namespace default", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: default}\nspec: {replicas: 1}", None),
    ("no apiVersion", "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}", None),
    ("no kind", "apiVersion: apps/v1\nmetadata: {name: web}\nspec: {replicas: 1}", None),
    ("no name", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 1}", None),
    ("no name, target", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 1}", {"kind": "Deployment"}),
    ("no kind, target", "apiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 1}", {"kind": "Deployment"}),
    ("no apiVersion, target", "kind: Deployment\nmetadata: {name: x}\nspec: {replicas: 1}", {"kind": "Deployment"}),
    ("spec only, target", "spec: {replicas: 1}", {"kind": "Deployment"}),
    ("text", "hello", None),
    ("text, target", "hello", {"kind": "Deployment"}),
    ("number", "5", {"kind": "Deployment"}),
    ("nothing but a comment", "# nothing", {"kind": "Deployment"}),
    ("empty object", "{}", {"kind": "Deployment"}),
    ("empty list", "[]", {"kind": "Deployment"}),
    ("null", "null", {"kind": "Deployment"}),
    ("list of text", "[a]", {"kind": "Deployment"}),
    ("broken YAML", "spec: {replicas: [", {"kind": "Deployment"}),
    ("broken JSON", '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, ', None),
    ("tab", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n\tname: web", None),
    ("JSON", '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 7, "a": "\\u00e9\\/"}}', None),
    ("document marks", "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 7}\n...\n", None),
    ("comment first", "# c\n---\n# d\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 7} # e\n", None),
    ("empty documents", "---\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 7}\n---\n", None),
    ("two documents", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 7}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: keys}\ntype: x\n", None),
    ("two documents, target", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 7}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: keys}\ntype: x\n", {"kind": "Deployment"}),
    ("carriage returns", "apiVersion: apps/v1\r\nkind: Deployment\r\nmetadata: {name: web}\r\nspec:\r\n  a: |\r\n    x\r\n    y\r\n", None),
    ("byte order mark", "\ufeffapiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 7}\n", None),
    ("indented", "  apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: web}\n  spec: {replicas: 7}\n", None),
    ("name is a number", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: 5}\nspec: {replicas: 7}\n", None),
    ("metadata is text", "apiVersion: apps/v1\nkind: Deployment\nmetadata: web\nspec: {replicas: 7}\n", None),
    ("other name, target", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: 7}", {"kind": "Deployment"}),
    ("other kind, target", "apiVersion: v1\nkind: Nothing\nmetadata: {name: x}\nspec: {replicas: 7, template: {spec: {containers: [{name: app, image: k}]}}}", {"kind": "Deployment|DaemonSet"}),
    ("other namespace, target", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: y, labels: {q: r}}", {"kind": "Deployment"}),
    ("delete, target", "apiVersion: v1\nkind: X\nmetadata: {name: x}\n$patch: delete", {"labelSelector": "app=web"}),
    ("delete everything", "apiVersion: v1\nkind: X\nmetadata: {name: x}\n$patch: delete", {"name": ".*"}),
    ("delete, nothing there", "apiVersion: v1\nkind: X\nmetadata: {name: x}\n$patch: delete", {"name": "nobody"}),
    ("replace, target", "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: node}\n$patch: replace\nspec: {a: b}", {"kind": "DaemonSet"}),
    ("list keys of the target's kind", "apiVersion: v1\nkind: X\nmetadata: {name: x}\nspec: {ports: [{port: 80, targetPort: 1}]}", {"kind": "Service"}),
]

# JSON patches for Deployment web.
OPERATIONS = [
    "[{op: add, path: /spec/replicas, value: 5}]",
    "[{op: replace, path: /spec/replicas, value: null}]",
    "[{op: replace, path: /spec/missing, value: 1}]",
    "[{op: remove, path: /spec/replicas}]",
    "[{op: remove, path: /spec/missing}]",
    "[{op: add, path: /spec/template/spec/containers/-, value: {name: new, image: n}}]",
    "[{op: add, path: /spec/template/spec/containers/0, value: {name: new, image: n}}]",
    "[{op: add, path: /spec/template/spec/containers/2, value: {name: new}}]",
    "[{op: add, path: /spec/template/spec/containers/3, value: {name: new}}]",
    "[{op: add, path: /spec/template/spec/containers/-1, value: {name: new}}]",
    "[{op: remove, path: /spec/template/spec/containers/-1}]",
    "[{op: replace, path: /spec/template/spec/containers/-1/image, value: x}]",
    "[{op: remove, path: /spec/template/spec/containers/-}]",
    "[{op: replace, path: /spec/template/spec/containers/-, value: {name: new}}]",
    "[{op: remove, path: /spec/template/spec/containers/0}, {op: remove, path: /spec/template/spec/containers/0}]",
    "[{op: remove, path: /spec/template/spec/containers/5}]",
    "[{op: replace, path: /spec/template/spec/containers/01/image, value: x}]",
    "[{op: replace, path: /spec/template/spec/containers/one/image, value: x}]",
    "[{op: add, path: /spec/template/spec/containers/1e0, value: x}]",
    "[{op: add, path: /spec/a/b/c, value: 1}]",
    "[{op: add, path: /spec/replicas/x, value: 1}]",
    "[{op: add, path: /metadata/annotations/a~1b, value: c}, {op: add, path: /metadata/annotations/d~0e, value: f}]",
    "[{op: add, path: /metadata/annotations/a~2b, value: c}]",
    "[{op: replace, path: /metadata/annotations/owner.example.com~1team, value: y}]",
    "[{op: add, path: /metadata/labels/new, value: l}, {op: remove, path: /metadata/labels/tier}]",
    "[{op: remove, path: /metadata/labels}, {op: remove, path: /metadata/annotations}]",
    "[{op: add, path: /metadata/annotations, value: {only: x}}]",
    "[{op: test, path: /spec/replicas, value: 2}, {op: add, path: /spec/t, value: ok}]",
    "[{op: test, path: /spec/replicas, value: 3}, {op: add, path: /spec/t, value: ok}]",
    "[{op: test, path: /spec/replicas, value: 2.0}]",
    "[{op: test, path: /spec/replicas, value: '2'}]",
    "[{op: test, path: /spec/missing, value: null}, {op: add, path: /spec/t, value: ok}]",
    "[{op: test, path: /spec/missing, value: 1}]",
    "[{op: test, path: /spec/template/metadata, value: {annotations: {checksum: '12'}, labels: {app: web}}}]",
    "[{op: test, path: /spec/template/spec/containers/0/args, value: [b, a]}]",
    "[{op: copy, from: /spec/template/spec/containers/0, path: /spec/template/spec/containers/-}]",
    "[{op: copy, from: /spec/replicas, path: /spec/copy}, {op: copy, from: /metadata/labels, path: /spec/l}, {op: add, path: /spec/l/x, value: y}]",
    "[{op: copy, from: /spec/missing, path: /spec/copy}]",
    "[{op: move, from: /spec/replicas, path: /spec/moved}]",
    "[{op: move, from: /spec/template/spec/containers/0, path: /spec/template/spec/containers/1}]",
    "[{op: move, from: /spec/template, path: /spec/template/spec/x}]",
    "[{op: move, from: /spec/missing, path: /spec/x}]",
    "[{op: move, path: /spec/x}]",
    "[{op: add, path: /spec/novalue}]",
    "[{op: replace, path: /spec/replicas}]",
    "[{op: ADD, path: /spec/x, value: 1}]",
    "[{op: merge, path: /spec/x, value: 1}]",
    "[{op: add, value: 1}]",
    "[{path: /spec/x, value: 1}]",
    "[{op: add, path: spec/x, value: 1}]",
    "[{op: add, path: '', value: 1}]",
    "[{op: add, path: /, value: 1}]",
    "[{op: add, path: /spec/, value: 1}]",
    "[{op: add, path: /spec/x, value: 1, comment: why}]",
    "[{op: add, path: /spec/x, value: yes}, {op: add, path: /spec/y, value: 'yes'}, {op: add, path: /spec/z, value: [on, Off, y, N, oN]}]",
    "[{op: add, path: /spec/x, value: {a: 0440, b: 1_000, c: 0x1F, d: 1e3, e: 1.50, f: 0o17, g: ~, h: .5, yes: z}}]",
    "[{op: add, path: /spec/x, value: 2001-01-01}, {op: add, path: /spec/y, value: 12:30}]",
    "[{op: add, path: /spec/x, value: 12345678901234567890}, {op: add, path: /spec/y, value: 9007199254740993}]",
    "[{op: add, path: /spec/x, value: {<<: {a: 1}, b: 2}}]",
    "[{op: add, path: /spec/x, value: &v {a: 1}}, {op: add, path: /spec/y, value: *v}]",
    "- op: add\n  path: /spec/x\n  value: |\n    a\n    b\n- op: add\n  path: /spec/y\n  value: >-\n    c\n    d\n",
    '[{"op": "add", "path": "/spec/x", "value": {"a": [1, 2.5, true, null, "\\u00e9"]}}]',
    '{"op": "add", "path": "/spec/x", "value": 1}',
    "# comment\n---\n- {op: add, path: /spec/x, value: 1}\n",
    "[{op: add, path: /spec/x, value: '" + "y" * 100000 + "'}]",
    "[{op: add, path: '/spec/ä€', value: '😀'}, {op: add, path: '/spec/a b', value: \"\\t\\n\\x01\"}]",
    "[{op: replace, path: /metadata/name, value: renamed}]",
    "[{op: replace, path: /kind, value: StatefulSet}]",
    "[{op: remove, path: /metadata/name}]",
    "[{op: remove, path: /metadata/finalizers/0}, {op: add, path: /metadata/finalizers/-, value: example.com/z}]",
    "[{op: remove, path: /spec/template/spec/containers/0/env}, {op: add, path: /spec/template/spec/containers/0/env, value: []}]",
    "[{op: add, path: /metadata/namespace, value: elsewhere}]",
]

# Targets of a patch that leaves a mark.
TARGETS = [
    {}, {"kind": "Deployment"}, {"kind": "Deploy"}, {"kind": "Deploy.*"}, {"kind": "deployment"}, {"kind": "Deployment|Service"},
    {"group": "apps"}, {"group": "app"}, {"group": "apps|cert-manager.io"}, {"version": "v1"}, {"version": "v1beta1"},
    {"group": "apps", "version": "v1", "kind": "DaemonSet", "name": "node"}, {"name": "web"}, {"name": "we"}, {"name": "we."},
    {"name": "^web$"}, {"name": "web|api"}, {"name": ".*"}, {"name": "[a-n].*"}, {"name": "(?i)WEB"}, {"name": "role-.*"},
    {"name": "WEB"}, {"namespace": "other"}, {"namespace": "default"}, {"namespace": "o.*"}, {"namespace": "none"},
    {"labelSelector": "app=web"}, {"labelSelector": "app==web"}, {"labelSelector": "app!=web"}, {"labelSelector": "app"},
    {"labelSelector": "!app"}, {"labelSelector": "app in (web, api)"}, {"labelSelector": "app in(web)"},
    {"labelSelector": "app notin (web)"}, {"labelSelector": "app=web,tier=front"}, {"labelSelector": "app=web, tier"},
    {"labelSelector": "app,!tier"}, {"labelSelector": "v=1.2"}, {"labelSelector": "v>1"}, {"labelSelector": "tier in (front,)"},
    {"labelSelector": "app="}, {"labelSelector": " app = web "}, {"labelSelector": "app = web tier"}, {"labelSelector": "=web"},
    {"labelSelector": "app in web"}, {"labelSelector": ","}, {"annotationSelector": "note=a"}, {"annotationSelector": "note"},
    {"annotationSelector": "note in (a, b)"}, {"annotationSelector": "owner.example.com/team=x"}, {"annotationSelector": "!note"},
    {"labelSelector": "app=web", "annotationSelector": "note=a"}, {"kind": "Deployment", "labelSelector": "tier=back"},
    {"name": "("}, {"name": "a(?=b)"}, {"kind": "[", "name": "x"}, {"name": "nobody"}, {"kind": "ConfigMap|Secret", "name": "s.*|k.*"},
    {"version": "v[0-9]+", "kind": "Certificate"}, {"group": "rbac\\..*"}, {"kind": "Deployment", "namespace": "other", "name": "api"},
]

MARK = "---\n[{op: add, path: /metadata/annotations/hit, value: 'yes'}]"
RENAME = "apiVersion: v1\nkind: Other\nmetadata: {name: other}\nspec: {replicas: 7}"
WEB = {"kind": "Deployment", "name": "web"}

# Several patches, one after the other: (name, [(patch, target, options)]).
SERIES = [
    ("same field twice", [(HEADS["web"] + "spec: {replicas: 3}", None, {}), (HEADS["web"] + "spec: {replicas: 4}", None, {})]),
    ("merge, then operations", [(HEADS["web"] + "spec: {a: {b: 1}}", None, {}), ("---\n[{op: replace, path: /spec/a/b, value: 2}]", WEB, {})]),
    ("operations, then merge", [("---\n[{op: add, path: /spec/a, value: {b: 2, c: 3}}]", WEB, {}), (HEADS["web"] + "spec: {a: {b: null}}", None, {})]),
    ("label, then target by it", [("---\n[{op: add, path: /metadata/labels/hot, value: x}]", WEB, {}), (MARK, {"labelSelector": "hot=x"}, {})]),
    ("annotation, then target by it", [(MARK, {"kind": "Service"}, {}), ("---\n[{op: add, path: /metadata/annotations/again, value: x}]", {"annotationSelector": "hit"}, {})]),
    ("rename", [(RENAME, WEB, {"allowNameChange": True})]),
    ("change of kind", [(RENAME, WEB, {"allowKindChange": True})]),
    ("rename and kind", [(RENAME, WEB, {"allowNameChange": True, "allowKindChange": True})]),
    ("neither", [(RENAME, WEB, {"allowNameChange": False, "allowKindChange": False})]),
    ("unknown option", [(RENAME, WEB, {"somethingElse": True})]),
    ("rename, then by the new name", [(RENAME, WEB, {"allowNameChange": True}), (MARK, {"name": "other"}, {})]),
    ("rename, then by the old name", [(RENAME, WEB, {"allowNameChange": True}), (MARK, {"name": "web", "kind": "Deployment"}, {})]),
    ("rename, then merge by the old name", [(RENAME, WEB, {"allowNameChange": True}), (HEADS["web"] + "spec: {x: 1}", None, {})]),
    ("rename, then merge by the new name", [(RENAME, WEB, {"allowNameChange": True}), ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: other}\nspec: {x: 1}", None, {})]),
    ("rename by operations, then merge by the old name", [("---\n[{op: replace, path: /metadata/name, value: renamed}]", WEB, {}), (HEADS["web"] + "spec: {x: 1}", None, {})]),
    ("delete, then patch it", [(HEADS["web"] + "$patch: delete", None, {}), (HEADS["web"] + "spec: {x: 1}", None, {})]),
    ("delete, then target it", [(HEADS["web"] + "$patch: delete", None, {}), (MARK, WEB, {})]),
    ("container out and in", [(HEADS["web"] + container("{name: app, $patch: delete}"), None, {}), (HEADS["web"] + container("{name: app, image: again}"), None, {})]),
    ("second one fails", [(HEADS["web"] + "spec: {x: 1}", None, {}), ("---\n[{op: remove, path: /spec/y}]", WEB, {})]),
    ("list replaced, then merged", [(HEADS["web"] + container("{$patch: replace}, {name: n, image: n}"), None, {}), (HEADS["web"] + container("{name: n, env: [{name: A, value: b}]}, {name: m}"), None, {})]),
    ("operations on several", [("---\n[{op: add, path: /spec/template/spec/hostNetwork, value: true}]", {"kind": "Deployment|DaemonSet"}, {})]),
    ("operations that fit one of several", [("---\n[{op: replace, path: /spec/replicas, value: 1}]", {"kind": "Deployment|DaemonSet"}, {})]),
    ("nothing matches, twice", [(MARK, {"name": "nobody"}, {}), (MARK, {"labelSelector": "no=one"}, {})]),
    ("two renames to one name", [("apiVersion: v1\nkind: X\nmetadata: {name: same}", {"kind": "Deployment"}, {"allowNameChange": True})]),
]


def listed(text):
    """Operations as YAML: what begins with a bracket kustomize reads as JSON only."""
    return "---\n" + text if text.startswith("[") and not text.startswith('[{"') else text


def hand_made():
    cases = []

    def add(name, patches):
        cases.append({"name": name, "resources": BASE, "patches": [
            {"patch": patch, **({} if target is None else {"target": target}), **({"options": options} if options else {})}
            for patch, target, options in patches]})
    for number, (head, body) in enumerate(MERGES):
        add(f"merge {number}: {head} {body[:70]!r}", [(HEADS[head] + body + "\n", None, {})])
    for name, patch, target in WHOLE:
        add(f"whole: {name}", [(patch, target, {})])
    for number, patch in enumerate(OPERATIONS):
        add(f"operations {number}: {patch[:70]!r}", [(listed(patch), WEB, {})])
    add("operations without a target", [(MARK, None, {})])
    add("operations in flow style", [(OPERATIONS[0], WEB, {})])
    for target in TARGETS:
        add(f"target {json.dumps(target)}", [(MARK, target, {})])
    for name, patches in SERIES:
        add(f"series: {name}", patches)
    return cases


# -- generated

WORDS = ["x", "", "yes", "no", "on", "Off", "y", "null", "~", "true", "5", "0x1F", "1e3", "1_000", "0440", "12:30:45", "a: b", "# c", " lead",
         "tail ", "two\nlines\n", "tab\t", "quote\"'", "back\\slash", "ä€😀", "{a}", "[b]", "&c", "*d", "!e", "|", ">", "%", "@", "`", "-", "- f",
         "?", ":", ",", "<<", "=", "$patch", "${V}", "long " * 300, "\x07", "1.0", "-0", ".5", "0o7", "2001-01-01"]
PLAIN = ["yes", "no", "On", "1_000", "0440", "0x1F", "1e3", "1.50", "~", "null", "True", "0o17", "text", "'quoted'", "\"d\\tq\"", "5", "-7", ".5"]
KEYS = {"containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "ports": "containerPort",
        "volumeMounts": "mountPath", "imagePullSecrets": "name"}


class Raw(str):
    """A scalar as it is to stand in the YAML text."""


def emit(value):
    """Flow YAML; whoever reads JSON can read it but for Raw scalars."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {emit(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(emit, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.manifests = [(path.name, path.read_text()) for path in sorted((ROOT / "operator/core/render/manifests").glob("*.yaml"))]
        self.manifests = [(name, text) for name, text in self.manifests if "kind: Cluster" not in text and "kind: CSIDriver" not in text]

    def chance(self, percent):
        return self.random.randrange(100) < percent

    def case(self, number):
        name, text = ("base", BASE) if self.chance(40) else self.random.choice(self.manifests)
        documents = [d for d in yaml.safe_load_all(text.replace("@ID@", f"{number}")) if d]
        documents = [d for d in documents if d["kind"] != "ClusterRole"]
        patches = [self.patch(documents) for _ in range(self.random.choice([1, 1, 1, 2, 3]))]
        text = "\n---\n".join(part for part in text.split("\n---\n") if "kind: ClusterRole" not in part)
        return {"name": f"generated {number}: {name}", "resources": text, "patches": patches}

    def patch(self, documents):
        document = self.random.choice([d for d in documents if {"spec", "data", "stringData"} & d.keys()] or documents)
        if self.chance(60) or not {"spec", "data", "stringData"} & document.keys():
            return self.merge_patch(document)
        operations = self.operations(document)
        kind = self.random.choice(["name", "name", "kind", "regex", "label"])
        target = {"kind": document["kind"], "name": document["metadata"]["name"]}
        if kind == "regex":
            target["name"] = target["name"][:3] + ".*"
        labels = document["metadata"].get("labels")
        if kind == "label" and labels:
            key = sorted(labels)[0]
            target = {"kind": document["kind"], "labelSelector": f"{key} in ({labels[key]}, other)"}
        return {"patch": operations, "target": target}

    # strategic merge

    def merge_patch(self, document):
        body = self.change(copy.deepcopy({k: v for k, v in document.items() if k not in ("apiVersion", "kind", "metadata")}), 0)
        metadata = {"name": document["metadata"]["name"]}
        if "namespace" in document["metadata"]:
            metadata["namespace"] = document["metadata"]["namespace"]
        if self.chance(30):
            metadata["labels"] = {self.random.choice(["app", "new", "a.b/c"]): self.random.choice(["v", None])}
        if self.chance(30):
            metadata["annotations"] = {"note": self.random.choice([w for w in WORDS if not w[:1].isdigit()]), "gone": None}
        whole = {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": metadata, **body}
        if self.chance(50):
            return {"patch": emit(whole)}
        return {"patch": yaml.dump(json.loads(json.dumps(self.plain(whole))), allow_unicode=self.chance(50), width=self.random.choice([40, 1000]))}

    def plain(self, value):
        if isinstance(value, dict):
            return {k: self.plain(v) for k, v in value.items()}
        return [self.plain(v) for v in value] if isinstance(value, list) else str(value) if isinstance(value, Raw) else value

    def scalar(self):
        return self.random.choice([Raw(self.random.choice(PLAIN)), self.random.choice(WORDS), self.random.randrange(-5, 10**6), True, False, 2.5])

    def change(self, value, depth, key=""):
        """A patch for `value`: some of its members, changed."""
        if isinstance(value, dict):
            result = {}
            for name, member in value.items():
                if self.chance(35 if depth > 1 else 60):
                    result[name] = self.change(member, depth + 1, name)
            if self.chance(15):
                result[f"new{self.random.randrange(3)}"] = self.random.choice([self.scalar(), {"a": self.scalar(), "b": None}, [self.scalar()], {}])
            if depth > 2 and self.chance(5):
                result["$patch"] = self.random.choice(["replace", "delete", "merge"] if key else ["delete", "merge"])  # see MEANT
            return result
        if isinstance(value, list):
            return self.change_list(value, depth, key)
        if self.chance(10) and key not in ("name", "containerPort", "mountPath", "port"):
            return None
        # Over a text no number: whether it becomes one depends on how the text was quoted, there.
        return self.random.choice([w for w in WORDS if not w[:1].isdigit() and w[:1] not in "-."]) if isinstance(value, str) else self.scalar()

    def change_list(self, value, depth, key):
        identity = KEYS.get(key)
        if identity is None or not all(isinstance(e, dict) and identity in e for e in value):
            return [self.scalar() for _ in range(self.random.randrange(3))] if not value or not isinstance(value[0], dict) else \
                [{**e, "x": True} for e in value if self.chance(50)]
        result = []
        for element in value:
            if not self.chance(40):
                continue
            kept = {identity: element[identity]}
            if identity == "containerPort" and "protocol" in element:
                kept["protocol"] = element["protocol"]
            rest = {k: v for k, v in element.items() if k not in kept}
            result.append({**kept, **(self.change(rest, depth + 1) if self.chance(80) else {"$patch": "delete"})})
        if self.chance(25):
            result.insert(self.random.randrange(len(result) + 1), {identity: {"containerPort": 9000, "mountPath": "/new"}.get(identity, "new"), "z": self.scalar()})
        if self.chance(8):
            result.insert(self.random.randrange(len(result) + 1), {"$patch": "replace"})
        self.random.shuffle(result)
        return result

    # JSON6902

    def operations(self, document):
        result, current = [], copy.deepcopy(document)
        for _ in range(self.random.randrange(1, 5)):
            place = self.place(current)
            if place is None:
                break  # it is empty by now
            pointer, parent, step = place
            op = self.random.choice(["add", "add", "replace", "remove", "test", "copy"])
            path = "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in pointer)
            value = self.random.choice([self.scalar(), {"a": self.scalar()}, [self.scalar()]])
            if step in ("name", "port", "containerPort", "protocol", "mountPath", "priorityClassName"):
                continue  # elements without their keys are among the cases made by hand; kustomize looks into references
            structured = isinstance(parent[step], dict) or (parent[step] and isinstance(parent[step], list) and isinstance(parent[step][0], dict))
            if op in ("add", "replace") and structured:
                if isinstance(parent, dict):
                    op = "test"  # a selector, a template, a list of containers: what they are other parts rely on
                else:
                    number = self.random.randrange(10000, 20000)
                    value = {"name": f"gen{number}", "port": number, "containerPort": number, "protocol": "TCP", "mountPath": f"/gen{number}", "x": self.scalar()}
            if op == "add" and isinstance(parent, list):
                at = self.random.choice([step, "-"])
                path = path[:path.rindex("/") + 1] + str(at)
                parent.insert(step if at != "-" else len(parent), self.plain(value))
            elif op == "copy":
                result.append({"op": op, "from": path, "path": f"/spec/copied{self.random.randrange(3)}"})
                if "spec" not in current:
                    result.pop()
                continue
            elif op == "remove":
                del parent[step]
            elif op == "test":
                if isinstance(parent[step], (dict, list)) or result:
                    continue  # what an operation before has written may be spelled in another way
                value = parent[step]
            else:
                parent[step] = self.plain(value)
            result.append({"op": op, "path": path, **({} if op == "remove" else {"value": value})})
        return "---\n" + emit(result) if self.chance(60) else json.dumps(self.plain(result), indent=self.random.choice([None, 2]))

    def place(self, document):
        """A pointer below spec or data, with the container and the key or index in it."""
        for _ in range(20):
            top = self.random.choice([k for k in ("spec", "data", "stringData") if k in document] or ["metadata"])
            pointer, parent, step, at = [top], document, top, document[top]
            while isinstance(at, (dict, list)) and at and (self.chance(70) or len(pointer) == 1):
                step = self.random.choice(sorted(at) if isinstance(at, dict) else list(range(len(at))))
                parent, at = at, at[step]
                pointer.append(step)
            if len(pointer) > 1:
                return pointer, parent, step
        return None


def generated(count, seed):
    generator = Generator(seed)
    return [generator.case(number) for number in range(count)]
