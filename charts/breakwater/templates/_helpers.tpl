{{/*
Names are fixed, and equal to those of deploy/default and of the Piraeus Operator: its custom resources are cluster-scoped,
so there is one operator in a cluster, and its rights and admission policies go by these names.
*/}}
{{- define "breakwater.name" -}}
piraeus-operator-controller-manager
{{- end }}

{{- define "breakwater.selectorLabels" -}}
app.kubernetes.io/component: piraeus-operator
app.kubernetes.io/name: piraeus-datastore
{{- end }}

{{/* On every object; the selector has nothing of the release, so that kustomize and Helm can follow each other. */}}
{{- define "breakwater.labels" -}}
app.kubernetes.io/name: piraeus-datastore
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What survives `helm uninstall`: with a definition all its objects would go. */}}
{{- define "breakwater.crdAnnotations" -}}
{{- if .Values.crds.keep }}
annotations:
  helm.sh/resource-policy: keep
{{- end }}
{{- end }}

{{- define "breakwater.image" -}}
{{- with .Values.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The Secret with the certificate of webhook and metrics. */}}
{{- define "breakwater.certificateSecret" -}}
{{- $own := ternary "breakwater-webhook-certificate" "webhook-server-cert" (eq .Values.webhook.certificate "Operator") }}
{{- .Values.webhook.secretName | default $own }}
{{- end }}

{{/* The node agent as a document of the image configuration. */}}
{{- define "breakwater.agentImages" -}}
base: {{ .Values.agent.image.registry | default .Values.registry | trimSuffix "/" | quote }}
components:
  {{- if not .Values.agent.enabled }}
  breakwater-agent: {}
  {{- else }}
  breakwater-agent:
    image: {{ .Values.agent.image.repository }}
    {{- if .Values.agent.image.digest }}
    digest: {{ .Values.agent.image.digest }}
    {{- else }}
    tag: {{ .Values.agent.image.tag | quote }}
    {{- end }}
  {{- end }}
{{- end }}
