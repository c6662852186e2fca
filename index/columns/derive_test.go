package columns

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"firetrail"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func equal(t *testing.T, name string, want, got []firetrail.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d events of %d", name, len(got), len(want))
	}
	for i := range want {
		want[i].X, got[i].X = nil, nil
		if !reflect.DeepEqual(want[i], got[i]) {
			t.Fatalf("%s: event %d:\n%s", name, i, cmp.Diff(want[i], got[i], cmpopts.EquateComparable(netip.Addr{})))
		}
	}
}

// TestDerived reads back what is not stored: ends that are time plus duration in
// some row groups and not in others, and lengths with and without gaps.
func TestDerived(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	want := make([]firetrail.Event, 3*GroupRows+100)
	offset := int64(0)
	for i := range want {
		ev := firetrail.NewEvent()
		ev.Kind, ev.Source = "test", "0123456789abcdef"
		ev.Line, ev.Offset, ev.Length = int64(i+1), offset, int64(r.IntN(300))
		offset += ev.Length + 1
		if r.IntN(50) == 0 {
			offset += int64(r.IntN(3))
		}
		if r.IntN(9) > 0 {
			ev.Time = 1772323200e9 + int64(r.IntN(1e9))*1e3
		}
		if r.IntN(5) > 0 {
			ev.Duration = int64(r.IntN(1e6)) * 1e3
		}
		ev.End = sum(ev.Time, ev.Duration)
		if i/GroupRows == 1 && i%GroupRows == 77 {
			ev.End = ev.Time + 1e6 // one row is enough
		}
		want[i] = ev
	}
	paths := write(t, t.TempDir(), want)
	if len(paths) != 1 {
		t.Fatalf("%d segments", len(paths))
	}
	equal(t, "derived", want, readAll(t, paths))
	s, err := Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if want := []bool{true, false, true, true}; !reflect.DeepEqual(s.ends, want) {
		t.Errorf("ends follow in groups %v, want %v", s.ends, want)
	}
	end, _ := s.Column("end")
	rd := s.NewReader()
	defer rd.Close()
	for b := range s.Blocks() {
		rd.Seek(b)
		v, err := rd.Vector(end)
		if err != nil {
			t.Fatal(err)
		}
		low, high, ok, err := s.Bounds(end, b)
		if err != nil || !ok || s.Absent(end, b) {
			t.Fatalf("block %d: no bounds: %v", b, err)
		}
		for _, e := range v.Ints() {
			if e != absent && (e < low || e > high) {
				t.Fatalf("block %d: end %d is not within %d and %d", b, e, low, high)
			}
		}
	}
}

// TestUnits checks the unit that times are kept in, and that a finer time begins
// another segment.
func TestUnits(t *testing.T) {
	at := func(times ...int64) []firetrail.Event {
		evs := make([]firetrail.Event, len(times))
		for i, n := range times {
			evs[i] = firetrail.NewEvent()
			evs[i].Kind, evs[i].Source, evs[i].Line, evs[i].Time = "test", "0123456789abcdef", int64(i+1), n
		}
		return evs
	}
	long := func(unit int64, late ...int64) []int64 {
		times := make([]int64, GroupRows, GroupRows+len(late))
		for i := range times {
			times[i] = int64(i) * unit
		}
		return append(times, late...)
	}
	for _, c := range []struct {
		name  string
		times []int64
		units []int64
	}{
		{"seconds", []int64{1e9, 0, absent, -5e9}, []int64{1e6}},
		{"microseconds", []int64{1e9, 1e3}, []int64{1e3}},
		{"nanoseconds", []int64{1e9, -1}, []int64{1}},
		{"extremes", []int64{math.MaxInt64, math.MinInt64 + 1}, []int64{1}},
		{"finer at the start of a group", long(1e6, 1e3, 5e6), []int64{1e6, 1e3}},
		{"finer later", long(1e3, 1e3, 7, 1e6), []int64{1e3, 1}},
		{"coarser later", long(1, 1e9), []int64{1}},
	} {
		evs := at(c.times...)
		paths := write(t, t.TempDir(), evs)
		equal(t, c.name, evs, readAll(t, paths))
		var units []int64
		for _, p := range paths {
			s, err := Open(p)
			if err != nil {
				t.Fatal(err)
			}
			column, _ := s.Column("time")
			units = append(units, s.Columns()[column].Unit)
			s.Close()
		}
		if !reflect.DeepEqual(units, c.units) {
			t.Errorf("%s: units %v, want %v", c.name, units, c.units)
		}
	}
}

// TestCodes packs and unpacks codes of all widths.
func TestCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, most := range []int32{1, 2, 15, 16, 255, 256, 4095, 65535, 65536, 1 << 20} {
		for _, n := range []int{1, 7, 8, 9, 4095, 4096} {
			codes := make([]int32, n)
			for i := range codes {
				codes[i] = r.Int32N(most)
			}
			codes[r.IntN(n)] = most - 1
			b, err := packCodes(nil, codes)
			if err != nil {
				t.Fatal(err)
			}
			got, err := unpackCodes(nil, b, n)
			if err != nil || len(got) < n || !reflect.DeepEqual(got[:n], codes) {
				t.Fatalf("%d codes below %d: %v", n, most, err)
			}
		}
	}
}
