{{/* Milliseconds of a duration as the configuration writes it, like "1h30m"; fails with a sentence that names the setting. */}}
{{- define "pilotlight.milliseconds" -}}
{{- $text := .text -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- $parts := regexFindAll "[0-9]+(ms|s|m|h|d)" $text -1 -}}
{{- if or (eq (len $parts) 0) (ne (join "" $parts) $text) -}}
{{- fail (printf "%s is %q, which is no duration; write a whole number with a unit, like \"30s\" or \"1h30m\"." .setting $text) -}}
{{- end -}}
{{- $total := 0 -}}
{{- range $parts -}}
{{- $count := regexFind "^[0-9]+" . -}}
{{- $total = add $total (mul ($count | atoi) (index $units (trimPrefix $count .))) -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{/* Bytes of a size as the configuration or a resource limit writes it, like "1Gi" or "512M". */}}
{{- define "pilotlight.bytes" -}}
{{- $text := toString .text -}}
{{- $units := dict "" 1 "B" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- $count := regexFind "^[0-9]+" $text -}}
{{- $unit := trimPrefix $count $text -}}
{{- if or (eq $count "") (not (hasKey $units $unit)) -}}
{{- fail (printf "%s is %q, which is no size; write a whole number with a unit, like \"512Mi\" or \"3Gi\"." .setting $text) -}}
{{- end -}}
{{- mul ($count | atoi) (index $units $unit) -}}
{{- end -}}

{{/* One setting of .Values.config by path, or the program's default: {root, path: [..], default}. */}}
{{- define "pilotlight.setting" -}}
{{- $here := .root.Values.config -}}
{{- range .path -}}
{{- if kindIs "map" $here -}}{{- $here = get $here . -}}{{- end -}}
{{- end -}}
{{- if or (kindIs "invalid" $here) (kindIs "map" $here) (eq (toString $here) "") -}}{{- .default -}}{{- else -}}{{- $here -}}{{- end -}}
{{- end -}}

{{- define "pilotlight.maxHoldMs" -}}
{{- $text := include "pilotlight.setting" (dict "root" . "path" (list "timeouts" "maxHold") "default" "10m") -}}
{{- include "pilotlight.milliseconds" (dict "setting" "config.timeouts.maxHold" "text" $text) -}}
{{- end -}}

{{/*
How long a gateway that is stopped lets its calls finish. A gateway that stores work in a folder is replaced only after it has gone,
so a long drain would be an outage: 30 s. Of several, others take new calls meanwhile: as long as a call may be held.
*/}}
{{- define "pilotlight.drain" -}}
{{- $hold := include "pilotlight.setting" (dict "root" . "path" (list "timeouts" "maxHold") "default" "10m") -}}
{{- include "pilotlight.setting" (dict "root" . "path" (list "timeouts" "drain") "default" (ternary "30s" $hold (eq (include "pilotlight.storesInFolder" .) "true"))) -}}
{{- end -}}

{{- define "pilotlight.drainMs" -}}
{{- include "pilotlight.milliseconds" (dict "setting" "config.timeouts.drain" "text" (include "pilotlight.drain" .)) -}}
{{- end -}}

{{/* Seconds that stopping a gateway can take at most, without a margin. */}}
{{- define "pilotlight.gatewayStopSeconds" -}}
{{- $ms := add (include "pilotlight.maxHoldMs" . | int64) (include "pilotlight.drainMs" . | int64) 999 -}}
{{- add (div $ms 1000) (int64 .Values.gateway.preStopSleepSeconds) -}}
{{- end -}}

{{/* 30 s above it for closing Redis and the file store: two steps of at most 15 s. */}}
{{- define "pilotlight.gatewayGraceSeconds" -}}
{{- if kindIs "invalid" .Values.gateway.terminationGracePeriodSeconds -}}
{{- add (include "pilotlight.gatewayStopSeconds" . | int64) 30 -}}
{{- else -}}
{{- int64 .Values.gateway.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
