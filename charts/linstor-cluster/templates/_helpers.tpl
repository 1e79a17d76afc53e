{{- define "linstor-cluster.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Metadata of an object: (dict "context" $ "item" the entry of the list, "annotations" more of them). Not the namespace: most
objects here have none.
*/}}
{{- define "linstor-cluster.metadata" -}}
{{- $annotations := merge (dict) (.annotations | default dict) (.item.annotations | default dict) }}
{{- if .context.Values.keep }}
{{- $_ := set $annotations "helm.sh/resource-policy" "keep" }}
{{- end -}}
name: {{ .item.name }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "linstor-cluster.labels" .context | nindent 2 }}
  {{- with .item.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* A TLS block of the preset, (dict "context" $ "issuer" "internal" or "api"): {} when the Secrets are made by hand. */}}
{{- define "linstor-cluster.tls" -}}
{{- $encryption := .context.Values.encryption }}
{{- if eq $encryption.certificates "Secrets" -}}
{}
{{- else -}}
{{- $own := dict "name" (printf "linstor-%s-ca" .issuer) "kind" "Issuer" -}}
{{- toYaml (dict "certManager" (get $encryption (printf "%sIssuerRef" .issuer) | default $own)) -}}
{{- end -}}
{{- end }}

{{/* The spec of the LinstorCluster: what the preset says, and over it what the user says. */}}
{{- define "linstor-cluster.spec" -}}
{{- $spec := deepCopy (.Values.linstorCluster.spec | default dict) }}
{{- if .Values.encryption.enabled }}
{{- $preset := dict "internalTLS" (include "linstor-cluster.tls" (dict "context" . "issuer" "internal") | fromYaml)
      "replicationTLS" (dict "certificates" (dict "mode" "Managed")) }}
{{- if .Values.encryption.apiTLS }}
{{- $_ := set $preset "apiTLS" (include "linstor-cluster.tls" (dict "context" . "issuer" "api") | fromYaml) }}
{{- end }}
{{- $properties := list (dict "name" "DrbdOptions/Net/tls" "value" "yes") }}
{{- range $spec.properties }}
{{- if ne .name "DrbdOptions/Net/tls" }}
{{- $properties = append $properties . }}
{{- end }}
{{- end }}
{{- $spec = mergeOverwrite $preset $spec }}
{{- $_ := set $spec "properties" $properties }}
{{- end }}
{{- toYaml $spec }}
{{- end }}
