package index

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// picked is an event without the record's own fields that were not asked for: a search
// gives the map as a whole.
func picked(ev *firetrail.Event, fields []string) firetrail.Event {
	out := normal(ev)
	out.X = slices.DeleteFunc(out.X, func(f firetrail.Field) bool {
		return !slices.Contains(fields, "x."+f.Name) && !slices.Contains(fields, "x.*")
	})
	if len(out.X) == 0 {
		out.X = nil
	}
	return out
}

// TestStreamIsSearch: events with a few fields come in the same order and with the same
// content as a search gives them, however little room there is.
func TestStreamIsSearch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 4))
	c, _ := randomCase(t, rnd, 9000)
	names := []string{"time", "end", "duration", "sensor", "action", "src_ip", "dst_ip", "src_port", "dst_port", "bytes_out", "host", "uid", "time.guess", "x.TTL", "x.rare7", "x.msg", "x.*"}
	queries := []string{"*", "has:time", "NOT has:time", "dst_port:443", "host:pool.example OR src_ip:10.1.0.0/16"}
	for range rounds(40) {
		queries = append(queries, randomQuery(rnd, 2))
	}
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	for _, text := range queries {
		q, _ := compile(t, c, text)
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		fields := append([]string{"time"}, names[:1+rnd.IntN(8)]...)
		var want []firetrail.Event
		for ev, err := range c.Search(t.Context(), q, SearchOptions{Fields: fields}) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, picked(ev, fields))
		}
		for _, room := range []int{heldRows, 100} {
			s, err := c.prepare(q, 0)
			if err != nil {
				t.Fatal(err)
			}
			st := &stream{sweep: s.newSweep(t.Context(), false, 0), fields: fields, room: room}
			i := 0
			err = st.run(func(ev *firetrail.Event, _ error) bool {
				if i >= len(want) || ev.ID() != want[i].ID() {
					t.Fatalf("%s: event %d is %s, want one of %d", text, i, ev.ID(), len(want))
				}
				if i%97 == 0 || i < 3 {
					if d := cmp.Diff(want[i], picked(ev, fields), same); d != "" {
						t.Fatalf("%s, %v: %s", text, fields, d)
					}
				}
				i++
				return true
			})
			if err != nil || i != len(want) {
				t.Fatalf("%s: %d events, want %d; %v", text, i, len(want), err)
			}
		}
	}
}

// TestTrafficIsBruteForce compares traffic with the test of every event.
func TestTrafficIsBruteForce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(15, 4))
	c, all := randomCase(t, rnd, 9000)
	for n := range 40 {
		var list []firetrail.Traffic
		for range 1 + rnd.IntN(12) {
			ev := &all[rnd.IntN(len(all))]
			w := firetrail.Traffic{Src: ev.SrcIP, Port: firetrail.Absent}
			switch rnd.IntN(4) {
			case 0:
				w.Dst = ev.DstIP
			case 1:
				w.Dst, w.Port = ev.DstIP, ev.DstPort
			case 2:
				w.Port = ev.DstPort
			}
			if rnd.IntN(3) == 0 {
				w.From = epoch + rnd.Int64N(9000)*1e9
			}
			list = append(list, w)
		}
		if n == 0 {
			list = []firetrail.Traffic{{Src: netip.MustParseAddr("192.0.2.1"), Port: firetrail.Absent}, {Port: firetrail.Absent}}
		}
		var want []string
		for i := range all {
			if slices.ContainsFunc(list, func(w firetrail.Traffic) bool { return w.Selects(&all[i]) }) {
				want = append(want, all[i].ID())
			}
		}
		var got []string
		for ev, err := range c.Traffic(t.Context(), list, "time", "src_ip", "dst_port") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, ev.ID())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%d: %v: %s", n, list, d)
		}
	}
}

// TestStreamEndsEarly: whoever has seen enough gets no more, and nothing is left running.
func TestStreamEndsEarly(t *testing.T) {
	c, all := randomCase(t, rand.New(rand.NewPCG(17, 4)), 6000)
	for _, stop := range []int{1, 100, 5000, len(all)} {
		n := 0
		for _, err := range c.Events(t.Context(), firetrail.Query{}, "time") {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("%d events, want %d", n, stop)
		}
	}
}

// BenchmarkStream reads most of a case, or the traffic of a few sources, with the fields of a correlation.
func BenchmarkStream(b *testing.B) {
	c := benchCase(b)
	fields := []string{"time", "end", "duration", "action", "proto", "src_ip", "src_port", "dst_ip", "dst_port", "bytes_out", "bytes_in", "host", "uid"}
	few := []firetrail.Traffic{}
	for i := range 20 {
		few = append(few, firetrail.Traffic{Src: netip.AddrFrom4([4]byte{10, 20, 3, byte(i)}), Port: 443})
	}
	for _, bm := range []struct {
		name string
		read func(yield func(*firetrail.Event, error) bool)
	}{
		{"all", c.Events(b.Context(), firetrail.Query{}, fields...)},
		{"traffic", c.Traffic(b.Context(), few, fields...)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			for b.Loop() {
				for _, err := range bm.read {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(300_000*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

// TestPace: how much time a quarter of the room covers is known once so many rows were
// yielded, and then anew after each such number of rows.
func TestPace(t *testing.T) {
	var p pace
	for i, c := range []struct{ at, cover int64 }{
		{1000, 0}, {1010, 0}, {1020, 0}, {1030, 0}, {1040, 40}, // room for 16
		{1050, 40}, {1150, 40}, {1250, 40}, {1350, 40}, {1450, 400}, {1460, 400},
	} {
		if p.step(c.at, 16); p.cover != c.cover {
			t.Errorf("row %d: %d, want %d", i, p.cover, c.cover)
		}
	}
}
