package index

import (
	"testing"

	"firetrail/index/query"
)

// BenchmarkView counts what a query selects in a large case, and reads pages of it.
func BenchmarkView(b *testing.B) {
	c, err := Open(largeCase(b))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	fields := []string{"time", "action", "src_ip", "dst_ip", "dst_port", "proto", "host", "bytes_out", "bytes_in", "duration", "src_port", "app", "service", "rule", "state", "sensor", "kind", "user", "url"}
	for _, text := range []string{"*", "action:denied", "src_ip:10.20.3.18", "host:tracker.lab.example"} {
		q, err := query.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		v, err := c.View(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text+"/count", func(b *testing.B) {
			for b.Loop() {
				if _, err := c.View(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(text+"/page", func(b *testing.B) {
			at := int64(0)
			for b.Loop() {
				at = (at + 7919*v.Events/100003) % v.Events
				if _, err := v.Page(b.Context(), SearchOptions{Fields: fields, Offset: int(at), Limit: 256}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(text+"/facets", func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Facets(b.Context(), q, "dst_ip", 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
