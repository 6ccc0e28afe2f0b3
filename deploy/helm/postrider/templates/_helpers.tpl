{{- define "postrider.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "postrider.selector" -}}
app.kubernetes.io/name: postrider
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "postrider.labels" -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* What cannot work is refused before it is installed. */}}
{{- define "postrider.check" -}}
{{- if and (not .Values.store.url) (not .Values.persistence.enabled) -}}
{{- fail "give store.url (PostgreSQL), or persistence.enabled for one node with the embedded store: without either, mail would go with the pod" -}}
{{- end -}}
{{- if and (not .Values.store.url) (gt (int .Values.nodes) 1) -}}
{{- fail "more than one node needs PostgreSQL: give store.url, or nodes: 1" -}}
{{- end -}}
{{- if lt (int .Values.shutdown.graceSeconds) (add (int .Values.shutdown.preStopSeconds) 35) -}}
{{- fail "shutdown.graceSeconds must be at least 35 more than shutdown.preStopSeconds: a stop takes up to 30 seconds" -}}
{{- end -}}
{{- end -}}
