{{- define "tidelake.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Pods, services and the rest are named by it; short enough for a number behind it. */}}
{{- define "tidelake.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "tidelake.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tidelake.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidelake.selector" -}}
app.kubernetes.io/name: {{ include "tidelake.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidelake.labels" -}}
{{ include "tidelake.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tidelake.isCluster" -}}
{{- if gt (int .Values.replicas) 1 -}}yes{{- end -}}
{{- end -}}

{{- define "tidelake.hasSharedVolume" -}}
{{- if and .Values.persistence.enabled (eq .Values.persistence.accessMode "ReadWriteMany") -}}yes{{- end -}}
{{- end -}}

{{/* One line per process. A pod finds its own whole name in /etc/hosts, before DNS has it. */}}
{{- define "tidelake.hosts" -}}
{{- $name := include "tidelake.fullname" . -}}
{{- range $process := until (int .Values.replicas) -}}
{{- if $process }}{{ "\n" }}{{ end -}}
{{ printf "%s-%d.%s-peers.%s.svc.%s:%d" $name $process $name $.Release.Namespace $.Values.cluster.domain (int $.Values.cluster.port) }}
{{- end -}}
{{- end -}}

{{/* What would not run is refused here, where it can still be read. */}}
{{- define "tidelake.check" -}}
{{- if lt (int .Values.replicas) 1 -}}
{{- fail "replicas: at least 1" -}}
{{- end -}}
{{- if and (not .Values.access.usersSecretName) (not .Values.access.insecure) -}}
{{- fail "access.usersSecretName: name a Secret with users.toml (`tidelake token new` makes its lines), or set access.insecure=true to let anybody in who reaches the service" -}}
{{- end -}}
{{- if include "tidelake.isCluster" . -}}
{{- if and (not .Values.cluster.secretName) (not .Values.access.insecure) -}}
{{- fail "cluster.secretName: several processes need a Secret with `secret` by which they know each other: kubectl create secret generic tidelake-cluster --from-literal=secret=$(openssl rand -hex 32)" -}}
{{- end -}}
{{- if and (not .Values.lake) (not (include "tidelake.hasSharedVolume" .)) -}}
{{- fail "lake: several processes need one that all of them reach: lake=s3://bucket/path, or persistence.accessMode=ReadWriteMany" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.persistence.existingClaim (include "tidelake.isCluster" .) (not (include "tidelake.hasSharedVolume" .)) -}}
{{- fail "persistence.existingClaim: several processes share one claim only with persistence.accessMode=ReadWriteMany" -}}
{{- end -}}
{{- if not (has .Values.service.processes (list "first" "all")) -}}
{{- fail "service.processes: first or all" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host: the name under which the page is reached" -}}
{{- end -}}
{{- end -}}
