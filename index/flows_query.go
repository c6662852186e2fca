package index

import (
	"net/netip"

	"firetrail"
	"firetrail/index/query"
)

// verdict is what can be said of all events of a flow or a segment together: can
// is false if none of them passes a test, must is true if all of them do.
type verdict struct{ can, must bool }

var unsure = verdict{can: true}

func sure(b bool) verdict { return verdict{b, b} }

// judge evaluates a query of which only some leaves can be told.
func judge(p *query.Predicate, leaf func(*query.Leaf) verdict) verdict {
	switch p.Op {
	case firetrail.OpAll:
		return sure(true)
	case firetrail.OpMatch:
		return leaf(p.Leaf)
	case firetrail.OpNot:
		v := judge(p.Args[0], leaf)
		return verdict{!v.must, !v.can}
	}
	and := p.Op == firetrail.OpAnd
	v := sure(and)
	for _, a := range p.Args {
		w := judge(a, leaf)
		if and {
			v = verdict{v.can && w.can, v.must && w.must}
		} else {
			v = verdict{v.can || w.can, v.must || w.must}
		}
	}
	return v
}

// flowFilter applies a query to flows as far as they can tell.
type flowFilter struct {
	p   *query.Predicate
	nat bool // some event of the case has a translated address or port
}

// segment says whether the segment may have an event that is selected.
func (t *flowFilter) segment(s *segment) bool {
	return judge(t.p, func(l *query.Leaf) verdict {
		switch l.Field {
		case "kind":
			return sure(l.Text(s.Kind))
		case "source":
			return verdict{s.has(l.Text), !s.has(func(id string) bool { return !l.Text(id) })}
		case "time":
			if s.Dated == 0 {
				return sure(false)
			}
			return verdict{can: !l.Need.Bounded || l.Need.Low <= s.Last && l.Need.High >= s.First}
		}
		return unsure
	}).can
}

// flow says whether an event of the flow may be selected.
func (t *flowFilter) flow(f *firetrail.Flow) bool {
	return judge(t.p, func(l *query.Leaf) verdict { return t.leaf(l, f) }).can
}

func (t *flowFilter) leaf(l *query.Leaf, f *firetrail.Flow) verdict {
	switch l.Field {
	case "src_ip":
		return addrTest(l, f.SrcIP)
	case "dst_ip":
		return addrTest(l, f.DstIP)
	case "dst_port":
		return sure(f.DstPort != firetrail.Absent && l.Int(f.DstPort))
	case "proto":
		return textTest(l, f.Proto)
	case "action":
		return textTest(l, f.Action)
	case "sensor":
		return textTest(l, f.Sensor)
	case "kind":
		return textTest(l, f.Kind)
	case "nat_src_ip", "nat_dst_ip", "nat_src_port", "nat_dst_port":
		return verdict{can: t.nat}
	case "host":
		return namesTest(l, f.Hosts, f.More)
	case "app":
		return namesTest(l, f.Apps, f.More)
	case "service":
		return namesTest(l, f.Services, f.More)
	case "rule":
		return namesTest(l, f.Rules, f.More)
	case "user":
		return namesTest(l, f.Users, f.More)
	case "time":
		if f.First == firetrail.Absent {
			return sure(false)
		}
		return verdict{can: !l.Need.Bounded || l.Need.Low <= f.Last && l.Need.High >= f.First}
	case "bytes_out":
		return sumTest(l, f.BytesOut)
	case "bytes_in":
		return sumTest(l, f.BytesIn)
	case "packets_out":
		return sumTest(l, f.PacketsOut)
	case "packets_in":
		return sumTest(l, f.PacketsIn)
	case "duration":
		return sumTest(l, f.Longest)
	}
	return unsure
}

func addrTest(l *query.Leaf, a netip.Addr) verdict { return sure(a.IsValid() && l.Addr(a)) }

func textTest(l *query.Leaf, s string) verdict { return sure(s != "" && l.Text(s)) }

// namesTest looks through the names that a flow kept.
func namesTest(l *query.Leaf, names []string, more bool) verdict {
	for _, n := range names {
		if l.Text(n) {
			return unsure
		}
	}
	return verdict{can: more}
}

// sumTest knows that no event has more than the flow has in all, counts being
// no less than zero.
func sumTest(l *query.Leaf, sum int64) verdict {
	return verdict{can: !l.Need.Bounded || l.Need.Low <= 0 || l.Need.Low <= sum}
}
