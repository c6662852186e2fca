package columns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// write makes segments of events and returns their paths.
func write(t testing.TB, dir string, evs []firetrail.Event) []string {
	t.Helper()
	var paths []string
	enc := NewEncoder()
	for len(evs) > 0 {
		path := filepath.Join(dir, fmt.Sprintf("s-%d.parquet", len(paths)))
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := NewWriter(f, evs[0].Kind)
		for len(evs) > 0 && !w.Ended() {
			evs = evs[w.Append(evs):]
			if w.Full() || len(evs) == 0 {
				g := w.Cut()
				if err := g.Encode(enc); err != nil {
					t.Fatal(err)
				}
				if err := w.Write(g); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close([]Run{{"0123456789abcdef", w.Rows()}}); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func readAll(t testing.TB, paths []string) []firetrail.Event {
	t.Helper()
	var evs []firetrail.Event
	for _, path := range paths {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := s.NewReader()
		defer r.Close()
		for b := range s.Blocks() {
			r.Seek(b)
			for row := range r.Rows() {
				ev := firetrail.NewEvent()
				if err := r.Event(row, &ev); err != nil {
					t.Fatal(err)
				}
				evs = append(evs, ev)
			}
		}
	}
	return evs
}

// random makes an event that has any field with some probability, repeated
// names, values that do not fit, and bytes that are no UTF-8.
func random(r *rand.Rand, i int) firetrail.Event {
	ev := firetrail.NewEvent()
	for j := range firetrail.Fields {
		f := &firetrail.Fields[j]
		if r.IntN(4) == 0 || j > 25 && i < 3000 {
			continue
		}
		switch {
		case f.Int != nil:
			*f.Int(&ev) = [...]int64{0, -1, 443, int64(i), r.Int64(), -r.Int64(), 1<<63 - 1}[r.IntN(7)]
		case f.Addr != nil:
			*f.Addr(&ev) = [...]netip.Addr{
				netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(256))}),
				netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1"),
				netip.MustParseAddr("fe80::1%eth0"), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(r.IntN(99))}),
			}[r.IntN(5)]
		default:
			*f.Text(&ev) = [...]string{"a", "b.example", "\xff\xfe", fmt.Sprint(r.Int64()), "é\x00", fmt.Sprint(i)}[r.IntN(6)]
		}
	}
	ev.Kind, ev.Source, ev.Run = "test", "0123456789abcdef", ""
	ev.Line, ev.Offset, ev.Length = int64(i+1), int64(i*100), int64(r.IntN(90))
	ev.Guess = firetrail.Guess(r.IntN(4))
	if r.IntN(2) == 0 {
		ev.Sensor = "" // repeated absence
	}
	for _, name := range []string{"TTL", "odd", "text", "", "\xff", "late", "LEN"} {
		for range []int{0, 1, 1, 1, 1, 2, 3}[r.IntN(7)] {
			if name == "late" && i < GroupRows {
				continue
			}
			v := [...]string{"1", "64", "-5", "007", "+1", "-0", "", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "x"}[r.IntN(11)]
			if name == "TTL" && i < GroupRows {
				v = fmt.Sprint(r.IntN(256))
			}
			ev.Put(name, v)
		}
	}
	return ev
}

// fields orders the fields of events by name, keeping the order of repeated
// names: what a segment keeps.
func fields(evs []firetrail.Event) {
	for i := range evs {
		slices.SortStableFunc(evs[i].X, func(a, b firetrail.Field) int { return strings.Compare(a.Name, b.Name) })
		if len(evs[i].X) == 0 {
			evs[i].X = nil
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{1, 7, 4096, 4097, 2*GroupRows + 5000} {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		want := make([]firetrail.Event, n)
		for i := range want {
			want[i] = random(r, i)
		}
		got := readAll(t, write(t, t.TempDir(), want))
		fields(want)
		fields(got)
		if len(got) != len(want) {
			t.Fatalf("%d events of %d", len(got), len(want))
		}
		for i := range want {
			if !reflect.DeepEqual(want[i], got[i]) {
				t.Fatalf("event %d of %d:\n%s", i, n, cmp.Diff(want[i], got[i], cmpopts.EquateComparable(netip.Addr{})))
			}
		}
	}
}
