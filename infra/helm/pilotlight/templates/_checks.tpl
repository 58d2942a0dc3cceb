{{/* What the schema cannot say. Each refusal is one sentence with its remedy. */}}
{{- define "pilotlight.checks" -}}
{{- $image := include "pilotlight.image" . -}}
{{- $redis := .Values.redis -}}
{{- $several := or (dig "redis" "sentinel" "nodes" nil .Values.config) (dig "redis" "cluster" "nodes" nil .Values.config) -}}
{{- if not (or $redis.bundled.enabled $redis.existingSecret.name $several) -}}
{{- fail "redis.existingSecret.name is empty: Pilotlight keeps its queue in Redis. Create a Secret whose key \"url\" holds redis://user:password@host:6379/0 and name it there, list config.redis.sentinel.nodes or config.redis.cluster.nodes, or set redis.bundled.enabled=true for a trial." -}}
{{- end -}}
{{- if and $several (or $redis.bundled.enabled $redis.existingSecret.name) -}}
{{- fail "config.redis names sentinels or nodes of a cluster beside redis.existingSecret.name or redis.bundled.enabled, and only one Redis can hold the queue: remove one of them." -}}
{{- end -}}
{{- if and $redis.bundled.enabled $redis.existingSecret.name -}}
{{- fail "redis.existingSecret.name and redis.bundled.enabled are both set, and only one Redis can hold the queue: remove one of them." -}}
{{- end -}}
{{- if and (eq (include "pilotlight.storesInFolder" .) "true") (gt (int .Values.gateway.replicas) 1) -}}
{{- fail (printf "gateway.replicas is %d while gateway.jobs.enabled is true: stored work lives in a folder that only one gateway may use. Keep it in a bucket (config.storage.kind=s3), set gateway.jobs.enabled=false (calls are still held and queued), or gateway.replicas=1." (int .Values.gateway.replicas)) -}}
{{- end -}}
{{- $grace := include "pilotlight.gatewayGraceSeconds" . | int64 -}}
{{- $stop := include "pilotlight.gatewayStopSeconds" . | int64 -}}
{{- if le $grace $stop -}}
{{- fail (printf "gateway.terminationGracePeriodSeconds is %d, but preStopSleepSeconds + config.timeouts.maxHold + config.timeouts.drain take up to %d s: held calls would be cut. Set at least %d, or leave it out." $grace $stop (add $stop 30)) -}}
{{- end -}}
{{- include "pilotlight.checkMemory" . -}}
{{- include "pilotlight.checkNamespaces" . -}}
{{- include "pilotlight.checkCallers" . -}}
{{- end -}}

{{- define "pilotlight.checkMemory" -}}
{{- $limit := dig "limits" "memory" "" .Values.gateway.resources -}}
{{- if $limit -}}
{{- $heldText := include "pilotlight.setting" (dict "root" . "path" (list "limits" "heldBytes") "default" "1Gi") -}}
{{- $collectedText := include "pilotlight.setting" (dict "root" . "path" (list "limits" "collectedBytes") "default" "512Mi") -}}
{{- $held := include "pilotlight.bytes" (dict "setting" "config.limits.heldBytes" "text" $heldText) | int64 -}}
{{- $collected := include "pilotlight.bytes" (dict "setting" "config.limits.collectedBytes" "text" $collectedText) | int64 -}}
{{- $bytes := include "pilotlight.bytes" (dict "setting" "gateway.resources.limits.memory" "text" $limit) | int64 -}}
{{- if le $bytes (add $held $collected) -}}
{{- fail (printf "gateway.resources.limits.memory is %s, but config.limits.heldBytes (%s) and config.limits.collectedBytes (%s) alone may fill it: raise the memory or lower these limits." $limit $heldText $collectedText) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pilotlight.checkNamespaces" -}}
{{- $seen := dict -}}
{{- range (include "pilotlight.namespaces" . | fromJson).list -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "namespaces lists %q twice: put all its workloads into one entry." .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- end -}}

{{/* The program refuses to listen where nobody could call; said here before a pod has to crash for it. */}}
{{- define "pilotlight.checkCallers" -}}
{{- $anonymous := include "pilotlight.setting" (dict "root" . "path" (list "auth" "anonymous" "enabled") "default" "") -}}
{{- if and (ne $anonymous "true") (not .Values.config.tenants) -}}
{{- fail "config.tenants is empty and config.auth.anonymous.enabled is not true, so nobody could call: add a tenant (its keysSecret, serviceAccounts or oidc say who speaks for it), or set config.auth.anonymous.enabled=true for a trial in a network that you trust." -}}
{{- end -}}
{{- end -}}
