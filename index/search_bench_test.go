package index

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"firetrail"
)

// benchCase is a case of 300,000 connections of 2,000 hosts with 30,000 peers.
func benchCase(b *testing.B) *Case {
	rnd := rand.New(rand.NewPCG(1, 2))
	peers := rand.NewZipf(rnd, 1.2, 4, 30000)
	evs := make([]firetrail.Event, 300_000)
	for i := range evs {
		ev := firetrail.NewEvent()
		ev.Offset, ev.Length, ev.Line = int64(i)*120, 119, int64(i+1)
		ev.Kind, ev.Proto, ev.Action = "zeek.conn", "tcp", "allow"
		ev.Time = epoch + int64(i)*1e6 - rnd.Int64N(5e9)
		ev.UID = fmt.Sprintf("C%016x", rnd.Uint64())
		ev.SrcIP = netip.AddrFrom4([4]byte{10, 20, byte(rnd.IntN(8)), byte(rnd.IntN(250))})
		p := peers.Uint64()
		ev.DstIP = netip.AddrFrom4([4]byte{203, byte(p >> 16), byte(p >> 8), byte(p)})
		ev.SrcPort, ev.DstPort = 32768+rnd.Int64N(28000), int64([]int{443, 80, 53, 22}[rnd.IntN(4)])
		ev.BytesOut, ev.BytesIn, ev.Duration = rnd.Int64N(1e6), rnd.Int64N(1e6), rnd.Int64N(1e10)
		ev.Host = fmt.Sprintf("h%d.example", p%5000)
		evs[i] = ev
	}
	evs[123_456].Host = "needle.example"
	return caseOf(b, map[string][]firetrail.Event{"0123456789abcdef": evs})
}

func BenchmarkSearch(b *testing.B) {
	c := benchCase(b)
	for _, bm := range []struct {
		name, query string
		opt         SearchOptions
		hits        int
	}{
		{"selective", "host:needle.example", SearchOptions{Limit: 50}, 1},
		{"absent", "dst_ip:192.0.2.1", SearchOptions{Limit: 50}, 0},
		{"first-page", "*", SearchOptions{Limit: 50}, 50},
		{"top", "*", SearchOptions{Limit: 50, Sort: "bytes_out", Desc: true}, 50},
		{"all", "*", SearchOptions{}, 300_000},
	} {
		b.Run(bm.name, func(b *testing.B) {
			q, _ := compile(b, c, bm.query)
			for b.Loop() {
				n := 0
				for _, err := range c.Search(b.Context(), q, bm.opt) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != bm.hits {
					b.Fatalf("%d hits, want %d", n, bm.hits)
				}
			}
		})
	}
}

func BenchmarkStats(b *testing.B) {
	c := benchCase(b)
	for _, opt := range []StatsOptions{
		{Agg: []string{"count"}},
		{By: []string{"src_ip"}, Agg: []string{"count", "sum(bytes_out)"}},
		{By: []string{"time(1m)", "dst_port"}, Agg: []string{"count", "distinct(dst_ip)"}},
	} {
		b.Run(fmt.Sprint(opt.By, opt.Agg), func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Stats(b.Context(), firetrail.Query{}, opt); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(300_000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// TestRunTerm asks for the traffic of a run: by the leases of the case's inventory.
func TestRunTerm(t *testing.T) {
	rnd := rand.New(rand.NewPCG(15, 16))
	c, all := randomCase(t, rnd, 2000)
	addr := netip.MustParseAddr("10.0.1.7")
	lease := firetrail.Lease{IP: addr, Start: epoch + 100e9, End: epoch + 900e9, PortLow: firetrail.Absent, PortHigh: firetrail.Absent}
	inv := firetrail.Inventory{Runs: []firetrail.Run{{ID: "r-017", Aliases: []string{"slurm:4711"}, Leases: []firetrail.Lease{lease}}, {ID: "r-018"}}}
	if err := c.SaveInventory(inv); err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for i := range all {
		if ev := &all[i]; ev.SrcIP == addr && ev.Time >= lease.Start && ev.Time <= lease.End {
			want++
		}
	}
	for id, n := range map[string]int64{"r-017": want, "slurm\\:4711": want, "r-018": 0} {
		q, _ := compile(t, c, "run:"+id)
		if got, err := c.Count(t.Context(), q); err != nil || got != n || want == 0 {
			t.Errorf("run %s: %d events, %v, want %d", id, got, err, n)
		}
	}
	if _, err := c.Count(t.Context(), firetrail.Is("run", "r-999")); err == nil {
		t.Error("a run that is not there has no events, and no error")
	}
}
