package app

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cistern-cloud/cistern/internal/api"
)

// metrics is what /metrics shows. The registry is our own, so that no library
// adds to it.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	writes   prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cistern_http_requests_total", Help: "Requests that were answered.",
		}, []string{"method", "route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cistern_http_request_duration_seconds", Help: "How long requests took to be answered.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route"}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "cistern_database_commit_writes", Help: "How many writes shared a commit.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.writes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// served counts a request. What no route matches is one route together.
func (m *metrics) served(r api.Served) {
	route := r.Route
	if route == "" {
		route = "unmatched"
	}
	m.requests.WithLabelValues(r.Method, route, strconv.Itoa(r.Status)).Inc()
	m.duration.WithLabelValues(r.Method, route).Observe(r.Duration.Seconds())
}

func (m *metrics) committed(writes int) { m.writes.Observe(float64(writes)) }

// countRefusals shows what the audit trail has left out.
func (m *metrics) countRefusals(dropped func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "cistern_audit_refusals_dropped_total", Help: "Refused requests that were too many for the audit trail.",
	}, func() float64 { return float64(dropped()) }))
}

// handler answers a scrape. What cannot be had is left out and logged, since
// the rest may say why.
func (m *metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		DisableCompression:  true, // the server sees to that
	})
}

// Descriptions of what is asked of the store at each scrape.
var (
	operationsDesc = prometheus.NewDesc("cistern_operations",
		"Unfinished operations.", []string{"kind", "state"}, nil)
	oldestDesc = prometheus.NewDesc("cistern_operations_oldest_seconds",
		"How long ago the oldest unfinished operation began.", []string{"kind", "state"}, nil)
	resourcesDesc = prometheus.NewDesc("cistern_resources",
		"Resources of all accounts.", []string{"kind"}, nil)
	sizeDesc = prometheus.NewDesc("cistern_database_size_bytes",
		"Size of the database.", []string{"part"}, nil)
)

// scrapeTime is how long the store may take to answer a scrape.
const scrapeTime = 5 * time.Second

// stateCollector asks the store at each scrape, so that what it shows is true
// after a restart and whichever process did the work.
type stateCollector struct{ *server }

// Describe names what Collect finds.
func (stateCollector) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{operationsDesc, oldestDesc, resourcesDesc, sizeDesc} {
		c <- d
	}
}

// Collect asks the store.
func (s stateCollector) Collect(c chan<- prometheus.Metric) {
	ctx, done := context.WithTimeout(context.Background(), scrapeTime)
	defer done()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	totals, err := s.plane.Totals(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(operationsDesc, err)
	}
	for _, o := range totals.Operations {
		gauge(operationsDesc, float64(o.Count), o.Plan, string(o.State))
		gauge(oldestDesc, max(0, s.store.Now().Sub(o.Oldest).Seconds()), o.Plan, string(o.State))
	}
	for kind, n := range totals.Resources {
		gauge(resourcesDesc, float64(n), kind)
	}
	sizes, err := s.storage.db.Sizes(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(sizeDesc, err)
	}
	for part, bytes := range sizes {
		gauge(sizeDesc, float64(bytes), part)
	}
}
