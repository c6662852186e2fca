package attribute

import (
	"testing"

	"firetrail"
)

func TestPairing(t *testing.T) {
	seen := func(port, at int64) *firetrail.Event {
		ev := firetrail.NewEvent()
		ev.Proto, ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort, ev.Time = "tcp", ip(src), ip(dst), port, 443, at
		return &ev
	}
	for _, c := range []struct {
		name  string
		shift int64
		want  int
		zone  bool
	}{
		{"ahead by 90 s", 90 * second, 30, false},
		{"an hour: a zone", hour, 30, true},
		{"twenty minutes belong to two flows", 20 * minute, 0, false},
	} {
		var p Pairing
		for i := range int64(30) {
			p.Add(0, seen(40000+i, at(i*60)))
			p.Add(1, seen(40000+i, at(i*60)+c.shift))
		}
		for i := range int64(5) { // a port used twice, and one that only A saw
			p.Add(0, seen(50000, at(i)))
			p.Add(1, seen(50000, at(i)))
			p.Add(0, seen(51000+i, at(i)))
		}
		p.Add(0, seen(firetrail.Absent, at(0)))
		pairs := p.Pairs()
		o, ok := Estimate(pairs)
		if len(pairs) != c.want || ok != (c.want >= minPairs) || ok && (o.Shift != c.shift || o.Zone != c.zone) {
			t.Errorf("%s: %d pairs, %+v", c.name, len(pairs), o)
		}
	}
}
