{{/*
The `kind: Configuration` document of one role: {root, component}. Who may call is the gateway's alone: the
controller gets neither tenants nor their keys, only how its admin listener knows people.
*/}}
{{- define "pilotlight.configuration" -}}
{{- $root := .root -}}
{{- $isGateway := eq .component "gateway" -}}
{{- $names := list -}}
{{- range (include "pilotlight.namespaces" $root | fromJson).list -}}{{- $names = append $names .name -}}{{- end -}}
{{- $host := $root.Values.listenAddress -}}
{{- $own := dict
  "installation" (include "pilotlight.installation" $root)
  "role" .component
  "kubernetes" (dict "enabled" true "namespaces" $names "namespace" $root.Release.Namespace)
  "server" (dict "host" (ternary $host "127.0.0.1" $isGateway) "port" 8080)
  "admin" (dict "host" $host "port" 9090)
  "data" (dict "dir" "/var/lib/pilotlight")
  "jobs" (dict "enabled" (and $isGateway $root.Values.gateway.jobs.enabled))
  "timeouts" (dict "drain" (ternary (include "pilotlight.drain" $root) "10s" $isGateway))
-}}
{{- $given := deepCopy $root.Values.config -}}
{{- if $isGateway -}}
{{- $tenants := list -}}
{{- range $given.tenants -}}
{{- $tenant := omit . "keysSecret" -}}
{{- with .keysSecret -}}{{- $tenant = set $tenant "keysFile" (printf "/etc/pilotlight/keys/%s" $tenant.name) -}}{{- end -}}
{{- $tenants = append $tenants $tenant -}}
{{- end -}}
{{- if $tenants -}}{{- $given = set $given "tenants" $tenants -}}{{- end -}}
{{- else -}}
{{- $auth := default dict $given.auth -}}
{{- $listener := pick $auth "protectMetrics" -}}
{{- with dig "serviceAccounts" "audiences" nil $auth -}}
{{- $listener = set $listener "serviceAccounts" (dict "audiences" .) -}}
{{- end -}}
{{- $given = omit $given "tenants" "auth" "sqs" -}}
{{- if $listener -}}{{- $given = set $given "auth" $listener -}}{{- end -}}
{{- end -}}
apiVersion: pilotlight.dev/v1alpha1
kind: Configuration
spec:
  {{- mergeOverwrite $given $own | toYaml | nindent 2 }}
{{- end -}}

{{/* "true" when stored work needs a volume that one gateway has for itself. */}}
{{- define "pilotlight.storesInFolder" -}}
{{- $kind := include "pilotlight.setting" (dict "root" . "path" (list "storage" "kind") "default" "folder") -}}
{{- and .Values.gateway.jobs.enabled (ne $kind "s3") -}}
{{- end -}}

{{/* Key hashes of tenants as files, by the kubelet; Pilotlight has no right to read Secrets. */}}
{{- define "pilotlight.keySources" -}}
{{- range .Values.config.tenants -}}
{{- $tenant := .name -}}
{{- with .keysSecret }}
- secret:
    name: {{ .name }}
    items:
      - key: {{ .key | quote }}
        path: {{ $tenant }}
{{- end -}}
{{- end -}}
{{- end -}}
