{{/*
One object of files/monitoring as it is installed: in the namespace of the release, what the Prometheus Operator reads with the
labels that it looks for.
*/}}
{{- define "breakwater.monitoring.object" -}}
{{- $object := .object -}}
{{- $_ := set $object.metadata "namespace" .root.Release.Namespace -}}
{{- if hasPrefix "monitoring.coreos.com/" $object.apiVersion -}}
{{- $_ := set $object.metadata "labels" (merge (dict) $object.metadata.labels (.root.Values.monitoring.labels | default dict)) -}}
{{- end -}}
{{ toYaml $object }}
{{- end -}}
