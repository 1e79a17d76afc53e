{{/*
One object of files/monitoring as it is installed: in the namespace of the release, with its labels; and what the Prometheus
Operator reads with those that it looks for.
*/}}
{{- define "breakwater.monitoring.object" -}}
{{- $object := .object -}}
{{- $_ := set $object.metadata "namespace" .root.Release.Namespace -}}
{{- $labels := merge (dict) $object.metadata.labels (include "breakwater.labels" .root | fromYaml) -}}
{{- if hasPrefix "monitoring.coreos.com/" $object.apiVersion -}}
{{- $labels = merge (dict) $labels .root.Values.monitoring.labels -}}
{{- end -}}
{{- $_ := set $object.metadata "labels" $labels -}}
{{ toYaml $object }}
{{- end -}}
