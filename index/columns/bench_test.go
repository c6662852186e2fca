package columns

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"firetrail"
)

// conns makes records as a conn log of Zeek has them.
func conns(n int) []firetrail.Event {
	r := rand.New(rand.NewPCG(1, 1))
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	states, histories := []string{"SF", "S0", "REJ", "RSTO", "S1"}, []string{"ShADadFf", "S", "Sr", "Dd", "ShADadR"}
	services := []string{"dns", "ssl", "http", "ssh", ""}
	evs := make([]firetrail.Event, n)
	at, offset := int64(1772323200e9), int64(300)
	for i := range evs {
		ev := firetrail.NewEvent()
		at += int64(r.ExpFloat64()*70e3) * 1e3
		uid := []byte("C")
		for range 17 {
			uid = append(uid, letters[r.IntN(len(letters))])
		}
		k := min(int(r.ExpFloat64()*2), 4)
		ev.Kind, ev.UID, ev.Proto, ev.Service, ev.State = "zeek.conn", string(uid), []string{"tcp", "udp"}[k&1], services[k], states[k]
		ev.SrcIP = netip.AddrFrom4([4]byte{10, 20, byte(r.IntN(4)), byte(r.IntN(60))})
		ev.DstIP = netip.AddrFrom4([4]byte{203, 0, byte(r.IntN(8)), byte(int(r.ExpFloat64()*20) & 0xff)})
		ev.SrcPort, ev.DstPort = int64(32768+r.IntN(28000)), []int64{53, 443, 80, 22, 9100}[k]
		ev.Duration = int64(r.ExpFloat64()*1e6) * 1e3
		ev.Time, ev.End = at-ev.Duration, at
		ev.BytesOut, ev.BytesIn = int64(r.ExpFloat64()*400), int64(r.ExpFloat64()*4000)
		ev.PacketsOut, ev.PacketsIn = ev.BytesOut/100+1, ev.BytesIn/1400+1
		ev.Line, ev.Offset, ev.Length = int64(i+9), offset, int64(110+r.IntN(30))
		offset += ev.Length + 1
		ev.Put("local_orig", "T")
		ev.Put("missed_bytes", "0")
		ev.Put("history", histories[k])
		ev.Put("orig_ip_bytes", strconv.FormatInt(ev.BytesOut+40*ev.PacketsOut, 10))
		ev.Put("resp_ip_bytes", strconv.FormatInt(ev.BytesIn+40*ev.PacketsIn, 10))
		ev.Put("tunnel_parents", "(empty)")
		evs[i] = ev
	}
	return evs
}

// BenchmarkAppend spreads events over columns.
func BenchmarkAppend(b *testing.B) {
	evs := conns(GroupRows)
	w := NewWriter(io.Discard, "zeek.conn")
	w.Append(evs)
	w.Cut()
	g := w.fresh()
	for b.Loop() {
		g.reset()
		g.append(evs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/GroupRows, "ns/event")
}

// BenchmarkEncode encodes a row group.
func BenchmarkEncode(b *testing.B) {
	evs := conns(GroupRows)
	w := NewWriter(io.Discard, "zeek.conn")
	w.Append(evs)
	g := w.Cut()
	enc, size := NewEncoder(), 0
	for b.Loop() {
		size = 0
		for i := range g.chunks {
			g.chunks[i].reset()
		}
		if err := g.Encode(enc); err != nil {
			b.Fatal(err)
		}
		for i := range g.chunks {
			size += len(g.chunks[i].data) + len(g.chunks[i].bloom)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/GroupRows, "ns/event")
	b.ReportMetric(float64(size)/GroupRows, "bytes/event")
}

// BenchmarkRead reads all columns of a row group.
func BenchmarkRead(b *testing.B) {
	path := write(b, b.TempDir(), conns(GroupRows))[0]
	s, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		r := s.NewReader()
		for block := range s.Blocks() {
			r.Seek(block)
			for c, info := range s.Columns() {
				if info.Type == Map || s.Absent(c, block) {
					continue
				}
				if _, err := r.Vector(c); err != nil {
					b.Fatal(err)
				}
			}
		}
		r.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/GroupRows, "ns/event")
}
