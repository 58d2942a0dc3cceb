{{/* Names and labels. */}}

{{- define "pilotlight.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "pilotlight.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "pilotlight.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "pilotlight.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pilotlight.installation" -}}
{{- default (include "pilotlight.fullname" .) .Values.installation -}}
{{- end -}}

{{- define "pilotlight.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pilotlight.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "pilotlight.labels" -}}
{{ include "pilotlight.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "pilotlight.serviceAccountName" -}}
{{- $given := ternary .root.Values.serviceAccount.gatewayName .root.Values.serviceAccount.controllerName (eq .component "gateway") -}}
{{- default (printf "%s-%s" (include "pilotlight.fullname" .root) .component) $given -}}
{{- end -}}

{{- define "pilotlight.image" -}}
{{- $repository := required "image.repository is empty: no image of Pilotlight has been published yet. Build one (docs/install-kubernetes.md, \"The image\"), push it, and set image.repository to its name." .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The Secret that holds the Redis URL: {name, key}. */}}
{{- define "pilotlight.redisSecret" -}}
{{- if .Values.redis.bundled.enabled -}}
name: {{ include "pilotlight.fullname" . }}-redis
key: url
{{- else -}}
name: {{ .Values.redis.existingSecret.name }}
key: {{ .Values.redis.existingSecret.key }}
{{- end -}}
{{- end -}}

{{/* The namespaces with pools, as {"list": [{name, workloads}]}; the release's own when none is given. */}}
{{- define "pilotlight.namespaces" -}}
{{- $given := default (list (dict "name" .Release.Namespace)) .Values.namespaces -}}
{{- dict "list" $given | toJson -}}
{{- end -}}
