// The definitions of ServiceMonitor, PodMonitor and PrometheusRule, which scripts/prometheus.sh takes out of the module: nothing of it
// is built.
module breakwater/tests/e2e/tools/prometheus-operator

go 1.21

require github.com/prometheus-operator/prometheus-operator v0.85.0
