package detect

import (
	"context"
	"iter"
	"net/netip"
	"runtime"
	"testing"

	"firetrail"
)

// busy is a case of many flows and no candidates' events: 2,000 inside sources, each
// with inside and external peers, one in fifty of them refused.
type busy struct{ flows int }

func (b busy) Events(_ context.Context, _ firetrail.Query, _ ...string) iter.Seq2[*firetrail.Event, error] {
	return func(func(*firetrail.Event, error) bool) {}
}

func (b busy) Traffic(context.Context, []firetrail.Traffic, ...string) iter.Seq2[*firetrail.Event, error] {
	return func(func(*firetrail.Event, error) bool) {}
}

func (b busy) Flows(context.Context, firetrail.Query) iter.Seq2[*firetrail.Flow, error] {
	return func(yield func(*firetrail.Flow, error) bool) {
		per := b.flows / 2000
		for s := range 2000 {
			src := netip.AddrFrom4([4]byte{10, 20, byte(s >> 8), byte(s)})
			for i := range per {
				f := firetrail.Flow{Events: 12, BytesOut: 9000, BytesIn: 90000, First: t0 + int64(s), Last: t0 + 20*hour, Longest: 30 * sec}
				dst := [4]byte{10, 20, byte(i >> 8), byte(i)}
				if i > per/2 {
					dst = [4]byte{198, 51, byte(i >> 8), byte(i)}
				}
				f.FlowKey = firetrail.FlowKey{SrcIP: src, DstIP: netip.AddrFrom4(dst), DstPort: 443, Proto: "tcp", Kind: "zeek.conn"}
				if i%50 == 0 {
					f.Failed = 12
				}
				if !yield(&f, nil) {
					return
				}
			}
		}
	}
}

func BenchmarkFlows(b *testing.B) {
	const flows = 1_000_000
	for b.Loop() {
		if _, err := Run(b.Context(), busy{flows}, Config{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(flows*float64(b.N)/b.Elapsed().Seconds(), "flows/s")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/1e6, "MB")
}
