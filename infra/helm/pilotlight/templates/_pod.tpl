{{/* The pod template of a role: {root, component, values, grace, checksum, storage}. */}}
{{- define "pilotlight.podTemplate" -}}
{{- $root := .root -}}
{{- $isGateway := eq .component "gateway" -}}
{{- $keys := ternary (include "pilotlight.keySources" $root) "" $isGateway -}}
{{- $redis := include "pilotlight.redisSecret" $root | fromYaml -}}
metadata:
  labels:
    {{- include "pilotlight.labels" (dict "root" $root "component" .component) | nindent 4 }}
    {{- with .values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    pilotlight.dev/configuration-checksum: {{ include "pilotlight.configuration" (dict "root" $root "component" .component) | sha256sum }}
    {{- with .values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "pilotlight.serviceAccountName" (dict "root" $root "component" .component) }}
  # Both roles speak to the API server.
  automountServiceAccountToken: true
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  securityContext: {{ toYaml $root.Values.podSecurityContext | nindent 4 }}
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
    {{- toYaml .values.topologySpreadConstraints | nindent 4 }}
  {{- else }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{ include "pilotlight.selectorLabels" (dict "root" $root "component" $.component) | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "pilotlight.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [serve, --file=/etc/pilotlight/configuration/pilotlight.yaml]
      env:
        {{- if $redis.name }}
        - name: PILOTLIGHT_REDIS_URL
          valueFrom:
            secretKeyRef: { name: {{ $redis.name | quote }}, key: {{ $redis.key | quote }} }
        {{- end }}
        {{- with $root.Values.redis.credentials.existingSecret }}
        {{- range $variable, $key := dict "USERNAME" "username" "PASSWORD" "password" "SENTINEL_USERNAME" "sentinel-username" "SENTINEL_PASSWORD" "sentinel-password" }}
        - name: PILOTLIGHT_REDIS_{{ $variable }}
          valueFrom:
            secretKeyRef: { name: {{ $root.Values.redis.credentials.existingSecret | quote }}, key: {{ $key }}, optional: true }
        {{- end }}
        {{- end }}
        {{- if $root.Values.redis.tls.existingSecret }}
        - { name: PILOTLIGHT_REDIS_TLS_CA_FILE, value: /etc/pilotlight/redis-tls/ca.crt }
        {{- if $root.Values.redis.tls.clientCertificate }}
        - { name: PILOTLIGHT_REDIS_TLS_CERT_FILE, value: /etc/pilotlight/redis-tls/tls.crt }
        - { name: PILOTLIGHT_REDIS_TLS_KEY_FILE, value: /etc/pilotlight/redis-tls/tls.key }
        {{- end }}
        {{- end }}
        {{- if $isGateway }}
        {{- with .values.awsCredentials.existingSecret }}
        {{- range $name := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
        - name: {{ $name }}
          valueFrom:
            secretKeyRef: { name: {{ $.values.awsCredentials.existingSecret | quote }}, key: {{ $name }} }
        {{- end }}
        {{- end }}
        {{- end }}
        {{- with .values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        {{- if $isGateway }}
        - { name: api, containerPort: 8080, protocol: TCP }
        {{- end }}
        - { name: admin, containerPort: 9090, protocol: TCP }
      # The first lists of a large cluster take a while, and Redis is waited for almost as long.
      startupProbe:
        httpGet: { path: /healthz, port: admin }
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet: { path: /healthz, port: admin }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: admin }
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      {{- if and $isGateway (gt (int $root.Values.gateway.preStopSleepSeconds) 0) }}
      lifecycle:
        preStop:
          sleep: { seconds: {{ int $root.Values.gateway.preStopSleepSeconds }} }
      {{- end }}
      resources: {{ toYaml .values.resources | nindent 8 }}
      securityContext: {{ toYaml $root.Values.securityContext | nindent 8 }}
      volumeMounts:
        - { name: configuration, mountPath: /etc/pilotlight/configuration, readOnly: true }
        {{- if $keys }}
        - { name: keys, mountPath: /etc/pilotlight/keys, readOnly: true }
        {{- end }}
        {{- if $root.Values.redis.tls.existingSecret }}
        - { name: redis-tls, mountPath: /etc/pilotlight/redis-tls, readOnly: true }
        {{- end }}
        - { name: data, mountPath: /var/lib/pilotlight }
        - { name: tmp, mountPath: /tmp }
        {{- with .values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: configuration
      configMap:
        name: {{ include "pilotlight.fullname" $root }}-configuration
        items: [{ key: {{ .component }}.yaml, path: pilotlight.yaml }]
    {{- if $keys }}
    - name: keys
      projected:
        defaultMode: 0440
        sources: {{- $keys | nindent 10 }}
    {{- end }}
    {{- with $root.Values.redis.tls.existingSecret }}
    - name: redis-tls
      secret: { secretName: {{ . | quote }}, defaultMode: 0440 }
    {{- end }}
    {{- if not .hasDataVolume }}
    - name: data
      emptyDir: { sizeLimit: 1Gi }
    {{- end }}
    - name: tmp
      emptyDir: { sizeLimit: 1Gi }
    {{- with .values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end -}}
