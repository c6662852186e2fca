package attribute

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"firetrail"
)

// sight makes an event of a source about a flow.
func sight(source string, port, at int64) *firetrail.Event {
	ev := firetrail.NewEvent()
	ev.Source, ev.Proto, ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort, ev.Time = source, "tcp", ip(src), ip(dst), port, 443, at
	return &ev
}

func TestReadings(t *testing.T) {
	zeek := ClockSource{"z", "zeek", TrustAbsolute}
	pa, pb := ClockSource{"p", "pa-edge", TrustAssumed}, ClockSource{"q", "pa-edge", TrustAssumed}
	kern := ClockSource{"k", "kern.log", TrustAssumed}
	// what the sources see of n flows, ten minutes apart
	type view struct {
		source string
		from   int64
		n      int64
		shift  int64
		ppm    float64
	}
	for _, c := range []struct {
		name    string
		sources []ClockSource
		views   []view
		want    map[string]int64 // shift in seconds of those that are known
		zone    bool             // of the first that has a shift
	}{
		{"in step", []ClockSource{pa, zeek}, []view{{"z", 0, 40, 0, 0}, {"p", 0, 40, 300 * 1e6, 0}}, map[string]int64{"z": 0, "p": 0}, false},
		{"ahead by 90 s", []ClockSource{pa, zeek}, []view{{"z", 0, 40, 0, 0}, {"p", 0, 40, 90 * second, 0}}, map[string]int64{"z": 0, "p": 90}, false},
		{"the trusted one is the reference whichever has more", []ClockSource{zeek, pa, kern}, []view{{"z", 0, 30, 0, 0}, {"p", 0, 60, -65 * second, 0}, {"k", 0, 60, -65 * second, 0}}, map[string]int64{"z": 0, "p": -65, "k": -65}, false},
		{"local time read as UTC", []ClockSource{pa, zeek}, []view{{"z", 0, 40, 0, 0}, {"p", 0, 40, -8 * hour, 0}}, map[string]int64{"z": 0, "p": -8 * 3600}, true},
		{"a zone and a clock that runs wrong", []ClockSource{pa, zeek}, []view{{"z", 0, 40, 0, 0}, {"p", 0, 40, 2*hour + 90*second, 0}}, map[string]int64{"z": 0, "p": 7290}, false},
		{"over a third clock", []ClockSource{kern, pa, zeek}, []view{{"z", 0, 30, 0, 0}, {"p", 0, 60, 40 * second, 0}, {"k", 30, 30, 100 * second, 0}}, map[string]int64{"z": 0, "p": 40, "k": 100}, false},
		{"nineteen flows are too few", []ClockSource{pa, zeek}, []view{{"z", 0, 19, 0, 0}, {"p", 0, 19, 90 * second, 0}}, nil, false},
		{"nothing shared", []ClockSource{pa, zeek}, []view{{"z", 0, 40, 0, 0}, {"p", 100, 40, 0, 0}}, nil, false},
		{"one source of a sensor differs", []ClockSource{pa, pb, zeek}, []view{{"z", 0, 80, 0, 0}, {"p", 0, 50, 0, 0}, {"q", 50, 30, hour, 0}}, map[string]int64{"z": 0, "p": 0, "q": 3600}, false},
		{"too few of its own: the sensor's clock", []ClockSource{pa, pb, zeek}, []view{{"z", 0, 80, 0, 0}, {"p", 0, 50, 30 * second, 0}, {"q", 70, 9, 30 * second, 0}}, map[string]int64{"z": 0, "p": 30, "q": 30}, false},
		{"drifts, ahead by 100 s in the middle", []ClockSource{pa, zeek}, []view{{"z", 0, 61, 0, 0}, {"p", 0, 61, 100*second - 36*1e9/2, 1000}}, map[string]int64{"z": 0, "p": 100}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var events []*firetrail.Event
			for _, v := range c.views {
				for i := v.from; i < v.from+v.n; i++ {
					at := at(i * 600)
					events = append(events, sight(v.source, 40000+i, at+v.shift+int64(v.ppm*1e-6*float64(i*600*second))))
				}
				for i := range int64(12) { // a port that is always the same, and packets that are sent again
					events = append(events, sight(v.source, 123, at(i*64)+v.shift), sight(v.source, 40000+v.from, at(v.from*600+i)+v.shift))
				}
			}
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			s := NewSightings(c.sources)
			for _, ev := range events {
				s.Add(ev)
			}
			for _, r := range s.Readings() {
				want, known := c.want[r.ID]
				if r.Known != known || known && abs(r.Offset.Shift-want*second) > second {
					t.Errorf("%s: %+v, want %d s, known %v", r.ID, r, want, known)
				}
				if known && (r.Reference != "zeek" || want == 0 && !r.Offset.InStep()) {
					t.Errorf("%s against %s: %+v", r.ID, r.Reference, r.Offset)
				}
				if want != 0 && c.zone != r.Offset.Zone && r.ID == "p" {
					t.Errorf("%s: zone %v", r.ID, r.Offset.Zone)
				}
			}
		})
	}
}

func TestSightingsTranslated(t *testing.T) {
	s := NewSightings([]ClockSource{{"in", "a", TrustAbsolute}, {"out", "b", TrustAbsolute}})
	for i := range int64(30) {
		in := sight("in", 40000+i, at(i*600))
		in.NATSrcIP, in.NATSrcPort = ip("198.51.100.1"), 2000+i
		out := sight("out", 2000+i, at(i*600+70))
		out.SrcIP = in.NATSrcIP
		s.Add(in)
		s.Add(out)
	}
	for _, r := range s.Readings() {
		if !r.Known || r.ID == "out" && r.Offset.Shift != 70*second {
			t.Errorf("%+v", r)
		}
	}
}

func TestOffset(t *testing.T) {
	drifting := Offset{Shift: 10 * second, Drift: 100, At: at(0)}
	if got := drifting.Of(at(10000)); got != 11*second {
		t.Errorf("after 10,000 s at 100 ppm: %d", got)
	}
	if got := (Offset{Shift: 5}).Of(firetrail.Absent); got != 5 {
		t.Errorf("undated: %d", got)
	}
	if z := (Offset{Shift: -8*hour + 2*second}).ZoneShift(); z != -8*hour {
		t.Errorf("zone %d", z)
	}
	if z := (Offset{Shift: 5*hour + 30*minute - second}).ZoneShift(); z != 5*hour+30*minute {
		t.Errorf("zone %d", z)
	}
	if !(Offset{Shift: 10 * second, Spread: 60 * second, Pairs: 25}).Vague() || (Offset{Shift: 90 * second, Spread: 2 * second, Pairs: 25}).Vague() {
		t.Error("vague")
	}
	o, ok := Estimate(func() (p []Pair) {
		for i := range int64(50) {
			p = append(p, Pair{at(i * 60), at(i*60 + i%2)}) // whole seconds over an hour
		}
		return p
	}())
	if !ok || o.At != 0 || math.Abs(float64(o.Shift)) > 1e9 {
		t.Errorf("a drift of rounding was used: %+v", o)
	}
}

func TestAnchors(t *testing.T) {
	inv := firetrail.Inventory{Runs: []firetrail.Run{run("r-1", lease("r-1", src, "pod", "a", at(0), at(80000), 1), lease("r-1", "10.9.9.9", "pod", "b", at(900000), at(990000), 2))}}
	inv.Calls = []firetrail.ToolCall{
		call("r-1", "curl https://203.0.113.9:8443/", at(100), at(101), 1),
		call("r-1", "curl https://203.0.113.9:8443/again", at(120), at(121), 2),
		call("r-1", "git clone https://git.example/a.git", at(300), at(310), 3),
		call("r-1", "nmap 10.0.0.1 10.0.0.2 10.0.0.3", at(400), at(410), 4),
		call("r-1", "python train.py", at(500), at(510), 5),
		call("r-9", "curl https://203.0.113.7/", at(600), at(601), 6),
	}
	got := Anchors(inv)
	if len(got) != 2 || got[0].Addr != ip("203.0.113.9") || got[0].Port != 8443 || got[1].Host != "git.example" || !slices.Equal(got[0].Sources, []netip.Addr{ip(src)}) {
		t.Errorf("%+v", got)
	}
}

func TestAnchorOffset(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	calls := func(n int, shift int64, noise int) (out []Anchored) {
		for i := range int64(n) {
			a := Anchored{At: at(i*3600 + r.Int64N(900))}
			a.Seen = []int64{a.At + shift + second + r.Int64N(2*second)}
			for range noise {
				a.Seen = append(a.Seen, a.At+r.Int64N(20*hour)-10*hour)
			}
			out = append(out, a)
		}
		return out
	}
	busy := func() (out []Anchored) { // the destination is always in use
		for i := range int64(8) {
			a := Anchored{At: at(i * 3600)}
			for k := range int64(2000) {
				a.Seen = append(a.Seen, at(k*15-7200))
			}
			out = append(out, a)
		}
		return out
	}
	for _, c := range []struct {
		name  string
		calls []Anchored
		ok    bool
		want  int64
		zone  bool
	}{
		{"none", nil, false, 0, false},
		{"in step", calls(8, 0, 2), true, 0, false},
		{"ahead by 90 s", calls(8, 90*second, 2), true, 92, false},
		{"local time", calls(8, -8*hour, 2), true, -8*3600 + 2, true},
		{"four calls are too few", calls(4, 90*second, 0), false, 0, false},
		{"everywhere", busy(), false, 0, false},
	} {
		o, n, ok := AnchorOffset(c.calls)
		if ok != c.ok || ok && (abs(o.Shift-c.want*second) > 2*second || o.Zone != c.zone || n < minAnchors) {
			t.Errorf("%s: %+v, %d calls, %v", c.name, o, n, ok)
		}
	}
}
