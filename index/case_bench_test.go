package index

import (
	"os"
	"testing"

	"firetrail/index/query"
)

// largeCase is the case that FIRETRAIL_CASE names: what a benchmark measures there is
// what a person waits for.
func largeCase(b *testing.B) string {
	dir := os.Getenv("FIRETRAIL_CASE")
	if dir == "" {
		b.Skip("FIRETRAIL_CASE names no case")
	}
	return dir
}

func BenchmarkOpen(b *testing.B) {
	dir := largeCase(b)
	for b.Loop() {
		c, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkCase answers queries of all kinds: cold is with everything but the page
// cache forgotten, warm in a process that has answered it before.
func BenchmarkCase(b *testing.B) {
	dir := largeCase(b)
	for _, bm := range []struct {
		name, query string
		opt         SearchOptions
	}{
		{"name", "host:=eu3.workgrid.example", SearchOptions{Limit: 50}},
		{"subdomain", "host:workgrid.example", SearchOptions{Limit: 50}},
		{"address", "ip:203.0.113.79", SearchOptions{Limit: 50}},
		{"absent", "ip:203.0.113.254", SearchOptions{Limit: 50}},
		{"network", "dst_ip:203.0.113.0/24", SearchOptions{Limit: 50}},
		{"uid", "uid:CBJRuoYaHxJvQakgqj", SearchOptions{Limit: 50}},
		{"wildcard", "host:*workg*", SearchOptions{Limit: 50}},
		{"word", "stratum", SearchOptions{Limit: 50}},
		{"word-absent", "xmrig", SearchOptions{Limit: 50}},
		{"number", "bytes_out:>100G", SearchOptions{Limit: 50}},
		{"not", "bytes_out:>1G NOT dst_port:443", SearchOptions{Limit: 50}},
		{"or", "src_ip:10.20.9.77 OR host:workgrid.example OR dst_port:3333", SearchOptions{Limit: 50}},
		{"has", "has:nat_dst_ip", SearchOptions{Limit: 50}},
		{"own-field", "x.status_code:101", SearchOptions{Limit: 50}},
		{"source-port", "src_port:49374", SearchOptions{Limit: 50}},
		{"time", "time:[2026-03-04T10:00 TO 2026-03-04T10:05} dst_port:443", SearchOptions{Limit: 50}},
		{"first-page", "*", SearchOptions{Limit: 50}},
		{"last-page", "*", SearchOptions{Limit: 50, Desc: true}},
		{"top", "*", SearchOptions{Limit: 50, Sort: "bytes_out", Desc: true}},
	} {
		q, err := query.Parse(bm.query)
		if err != nil {
			b.Fatal(err)
		}
		run := func(b *testing.B, c *Case) {
			for _, err := range c.Search(b.Context(), q, bm.opt) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(bm.name+"/cold", func(b *testing.B) {
			for b.Loop() {
				c, err := Open(dir)
				if err != nil {
					b.Fatal(err)
				}
				run(b, c)
				c.Close()
			}
		})
		b.Run(bm.name+"/warm", func(b *testing.B) {
			c, err := Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			run(b, c)
			for b.Loop() {
				run(b, c)
			}
		})
	}
}
