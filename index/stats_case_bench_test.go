package index

import (
	"testing"

	"firetrail/index/query"
)

// BenchmarkCaseStats groups all events of a large case.
func BenchmarkCaseStats(b *testing.B) {
	c, err := Open(largeCase(b))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, bm := range []struct {
		name, query string
		opt         StatsOptions
	}{
		{"port-action", "*", StatsOptions{By: []string{"dst_port", "action"}, Agg: []string{"count", "sum(bytes_out)", "max(duration)"}}},
		{"source", "*", StatsOptions{By: []string{"src_ip"}, Agg: []string{"count", "sum(bytes_out)"}, Limit: 20}},
		{"source-distinct", "*", StatsOptions{By: []string{"src_ip"}, Agg: []string{"count", "distinct(dst_ip)"}, Limit: 20}},
		{"percentile", "*", StatsOptions{By: []string{"dst_port"}, Agg: []string{"count", "p95(duration)"}, Limit: 20}},
		{"service-percentiles", "*", StatsOptions{By: []string{"service"}, Agg: []string{"p50(bytes_out)", "p95(bytes_out)", "p99(bytes_out)"}}},
		{"hour", "*", StatsOptions{By: []string{"time(1h)"}, Agg: []string{"count", "sum(bytes_out)"}}},
		{"minutes-sensor", "*", StatsOptions{By: []string{"time(5m)", "sensor"}}},
		{"pair", "*", StatsOptions{By: []string{"src_ip", "dst_ip"}, Limit: 20}},
		{"pair-port", "*", StatsOptions{By: []string{"src_ip", "dst_ip", "dst_port"}, Agg: []string{"count", "sum(bytes_out)"}, Limit: 20}},
		{"connection", "*", StatsOptions{By: []string{"src_ip", "dst_ip", "dst_port", "src_port"}, Limit: 20}},
		{"denied", "action:denied", StatsOptions{By: []string{"src_ip", "dst_port"}, Agg: []string{"count", "distinct(dst_ip)"}, Limit: 20}},
		{"distinct-ports", "*", StatsOptions{By: []string{"dst_port"}, Agg: []string{"distinct(src_port)"}, Limit: 20}},
		{"distinct-uid", "*", StatsOptions{Agg: []string{"count", "distinct(uid)"}}},
		{"name", "*", StatsOptions{By: []string{"host"}, Agg: []string{"count", "avg(bytes_in)", "min(time)", "max(time)"}, Limit: 20}},
		{"large", "bytes_out:>1M", StatsOptions{By: []string{"src_ip"}, Agg: []string{"count", "sum(bytes_out)"}, Limit: 20}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			q, err := query.Parse(bm.query)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := c.Stats(b.Context(), q, bm.opt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
