{{/* Every right that Pilotlight has, in one place; docs/install-kubernetes.md has the same as a table. */}}

{{/* Both roles, in each namespace with pools. */}}
{{- define "pilotlight.readRules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [pilotlight.dev]
  resources: [scalepolicies, objectivepolicies]
  verbs: [get, list, watch]
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: [get, list, watch]
- apiGroups: [llm-d.ai, inference.networking.x-k8s.io]
  resources: [inferenceobjectives, inferencemodelrewrites]
  verbs: [get, list, watch]
{{- end -}}

{{/* The controller, in each namespace with pools. `.` is the entry of .Values.namespaces. */}}
{{- define "pilotlight.controllerRules" -}}
# Drain marks and pod-deletion-cost are annotations of pods. A pod that cannot start is deleted once, for another try.
- apiGroups: [""]
  resources: [pods]
  verbs: [patch, delete]
# Orders of people (wake, drain, pause) are annotations of the policy.
- apiGroups: [pilotlight.dev]
  resources: [scalepolicies]
  verbs: [patch]
- apiGroups: [pilotlight.dev]
  resources: [scalepolicies/status, objectivepolicies/status]
  verbs: [patch]
# Why pods are missing, and who else scales.
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch]
{{- range .workloads }}
# {{ .resource }} {{ .name }}
- apiGroups: [{{ .apiGroup | quote }}]
  resources: [{{ .resource | quote }}]
  resourceNames: [{{ .name | quote }}]
  verbs: [get]
- apiGroups: [{{ .apiGroup | quote }}]
  resources: [{{ printf "%s/scale" .resource | quote }}]
  resourceNames: [{{ .name | quote }}]
  verbs: [get, patch]
{{- end }}
{{- end -}}

{{/* The controller, in the namespace of the release. A Lease cannot be created by name, only used by name. */}}
{{- define "pilotlight.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ printf "pilotlight-%s" (include "pilotlight.installation" .) | quote }}]
  verbs: [get, update]
{{- end -}}

{{/* Both roles, in the whole cluster: one question about a token or a right, and nothing that lists or reads objects. */}}
{{- define "pilotlight.clusterRules" -}}
{{- if .Values.rbac.tokenReview -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end }}
{{- if .Values.rbac.subjectAccessReview }}
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end -}}

{{/* A binding to the ServiceAccount of a role: {root, component, roleKind, roleName}. */}}
{{- define "pilotlight.bindingBody" -}}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: {{ .roleKind }}, name: {{ .roleName }} }
subjects:
  - kind: ServiceAccount
    name: {{ include "pilotlight.serviceAccountName" (dict "root" .root "component" .component) }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}
