#!/usr/bin/env bash
# Checks the chart: renders every example in tidelake/ci, holds the result against the schemas of Kubernetes, and sees what cannot run refused.
#
#   deploy/helm/check.sh
#
# Needs helm 3 (go install helm.sh/helm/v3/cmd/helm@v3.22.0) and kubernetes-validate, which brings the schemas (pip install kubernetes-validate).
# ServiceMonitor is a resource of the Prometheus operator and in no schema of Kubernetes: it is rendered, not checked.
set -euo pipefail
cd "$(dirname "$0")"

oldest=1.28 newest="${KUBERNETES:-1.37}"
for tool in helm kubernetes-validate; do
    command -v "$tool" > /dev/null || { echo "$0: needs $tool and did not find it" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for values in tidelake/ci/*.yaml; do
    for version in "$oldest" "$newest"; do
        helm lint --strict --quiet --kube-version "$version.0" tidelake --values "$values"
        helm template tl tidelake --kube-version "$version.0" --namespace logs --values "$values" --output-dir "$work/$version" > "$work/rendered"
        mapfile -t files < <(grep -o '/.*\.yaml$' "$work/rendered" | grep -v servicemonitor)
        kubernetes-validate --strict --quiet -k "$version" "${files[@]}"
        rm -r "${work:?}/$version"
    done
    echo "$values: as Kubernetes $oldest and $newest take it"
done

# refused VALUES TEXT: with these values nothing is rendered, and the reason says TEXT.
refused() {
    if helm template tl tidelake --kube-version "$newest.0" --set "$1" > /dev/null 2> "$work/reason"; then
        echo "$0: --set $1 was to be refused and is not" >&2
        exit 1
    fi
    grep -q "$2" "$work/reason" || { cat "$work/reason" >&2; exit 1; }
}
refused "" "access.usersSecretName"
refused "replicas=2,access.usersSecretName=users,lake=s3://b/lake" "cluster.secretName"
refused "replicas=2,access.usersSecretName=users,cluster.secretName=secret" "all of them reach"
refused "access.insecure=true,dataflow.files.page\.toml=x" "one of them is dataflow.sql"
refused "access.insecure=true,service.processes=some" "first or all"
echo "what cannot run is refused"
