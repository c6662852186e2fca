package detect

import (
	"context"
	"fmt"
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

// crowd is a case whose traffic is n records of connections: 500 sources call 40 peers each in
// turn, over SSH, and two sensors record it.
type crowd struct {
	busy
	n int
}

func (c crowd) Traffic(context.Context, []firetrail.Traffic, ...string) iter.Seq2[*firetrail.Event, error] {
	return func(yield func(*firetrail.Event, error) bool) {
		ev := firetrail.NewEvent()
		ev.Proto, ev.Service, ev.State, ev.DstPort, ev.Action = "tcp", "ssh", "SF", 22, firetrail.ActionAllow
		ev.BytesOut, ev.BytesIn, ev.PacketsOut, ev.PacketsIn, ev.Duration = 9000, 8000, 40, 50, 30*sec
		for i := range c.n / 2 {
			ev.Time = t0 + int64(i)*30*sec/1000
			ev.End = ev.Time + ev.Duration
			ev.SrcIP, ev.DstIP = crowdFlow(i)
			ev.SrcPort = 20000 + int64(i)%40000
			for _, s := range [...]string{"a", "b"} {
				ev.Sensor, ev.Kind = s, "zeek.conn"
				if !yield(&ev, nil) {
					return
				}
			}
		}
	}
}

func crowdFlow(i int) (src, dst netip.Addr) {
	return netip.AddrFrom4([4]byte{10, 20, byte(i % 500 >> 8), byte(i % 500)}), netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i/500%40)})
}

func (c crowd) Flows(context.Context, firetrail.Query) iter.Seq2[*firetrail.Flow, error] {
	return func(yield func(*firetrail.Flow, error) bool) {
		for s := range 500 {
			for p := range 40 {
				f := firetrail.Flow{Events: 100, First: t0, Last: t0 + 20*hour, Longest: 30 * sec, Services: []string{"ssh"}}
				f.SrcIP, f.DstIP = crowdFlow(s + p*500)
				f.DstPort, f.Proto, f.Kind = 22, "tcp", "zeek.conn"
				if !yield(&f, nil) {
					return
				}
			}
		}
	}
}

// BenchmarkSessions folds the records of two sensors into sessions and lays them before all detectors.
func BenchmarkSessions(b *testing.B) {
	const events = 400_000
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Run(b.Context(), crowd{n: events}, Config{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkNames counts the names that 200 sources ask for, most of them again and again.
func BenchmarkNames(b *testing.B) {
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("h%d.site%d.example", i%7, i))
	}
	var sources []netip.Addr
	for i := range 200 {
		sources = append(sources, netip.AddrFrom4([4]byte{10, 20, 0, byte(i)}))
	}
	for b.Loop() {
		count := newNameCount(100)
		for i := range 1_000_000 {
			count.add(sources[i%len(sources)], names[i*i%len(names)])
		}
	}
	b.ReportMetric(1e6*float64(b.N)/b.Elapsed().Seconds(), "names/s")
}
