package firetrail

import (
	"cmp"
	"net/netip"
)

// FlowKey identifies a flow rollup. Keys are ordered by Compare.
type FlowKey struct {
	SrcIP, DstIP netip.Addr
	DstPort      int64 // Absent where the protocol has none
	Proto        string
	Action       string
	Sensor       string
	Kind         string // rollups never mix record types, so nothing is counted twice
}

// Compare orders keys by source, destination, port, protocol, action, sensor, kind.
func (k *FlowKey) Compare(o *FlowKey) int {
	if c := k.SrcIP.Compare(o.SrcIP); c != 0 {
		return c
	}
	if c := k.DstIP.Compare(o.DstIP); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(k.DstPort, o.DstPort),
		cmp.Compare(k.Proto, o.Proto),
		cmp.Compare(k.Action, o.Action),
		cmp.Compare(k.Sensor, o.Sensor),
		cmp.Compare(k.Kind, o.Kind),
	)
}

// MaxNames bounds the distinct names a flow keeps of each sort.
const MaxNames = 8

// Flow is the mergeable rollup of the events of one key. Merging is commutative
// and associative: the same flow comes out whatever the order of the segments.
type Flow struct {
	FlowKey
	Events     int64
	Failed     int64 // contacts without an answer or refused: see Event.Failed
	BytesOut   int64 // sums of what was recorded; 0 where nothing was
	BytesIn    int64
	PacketsOut int64
	PacketsIn  int64
	First      int64 // earliest Time and latest Last of dated events, Absent if none
	Last       int64
	Duration   int64 // sum and longest of the recorded durations, nanoseconds
	Longest    int64
	SrcPorts   int64 // distinct source ports seen per segment, summed: an upper bound

	// Distinct values, sorted, at most MaxNames each (the smallest ones); More says that some were left out.
	Hosts, Apps, Services, Rules, Users []string
	More                                bool
}

// Failed reports whether the event is a contact that got nowhere: denied, unanswered
// or refused. Zeek conn_state S0, REJ, RSTOS0, RSTRH and SH; PAN-OS app "incomplete".
func (ev *Event) Failed() bool {
	if ev.Denied() {
		return true
	}
	switch ev.State {
	case "S0", "REJ", "RSTOS0", "RSTRH", "SH":
		return true
	}
	return ev.App == "incomplete"
}

// Observe adds an event of the flow's key. What the record of a session's start
// counts (PAN-OS state "start") is left to the record of its end, which counts it again.
func (f *Flow) Observe(ev *Event) {
	if f.Events == 0 {
		f.First, f.Last = Absent, Absent
	}
	f.Events++
	if ev.Failed() {
		f.Failed++
	}
	if ev.State != "start" {
		f.BytesOut += known(ev.BytesOut)
		f.BytesIn += known(ev.BytesIn)
		f.PacketsOut += known(ev.PacketsOut)
		f.PacketsIn += known(ev.PacketsIn)
		d := known(ev.Duration)
		f.Duration += d
		f.Longest = max(f.Longest, d)
	}
	if ev.Time != Absent {
		f.First = earlier(f.First, ev.Time)
		f.Last = max(f.Last, ev.Last())
	}
	f.Hosts = f.insert(f.Hosts, ev.Host)
	f.Apps = f.insert(f.Apps, ev.App)
	f.Services = f.insert(f.Services, ev.Service)
	f.Rules = f.insert(f.Rules, ev.Rule)
	f.Users = f.insert(f.Users, ev.User)
}

// Merge adds another rollup of the same key.
func (f *Flow) Merge(o *Flow) {
	f.Events += o.Events
	f.Failed += o.Failed
	f.BytesOut += o.BytesOut
	f.BytesIn += o.BytesIn
	f.PacketsOut += o.PacketsOut
	f.PacketsIn += o.PacketsIn
	f.Duration += o.Duration
	f.Longest = max(f.Longest, o.Longest)
	f.SrcPorts += o.SrcPorts
	f.First = earlier(f.First, o.First)
	f.Last = max(f.Last, o.Last)
	f.More = f.More || o.More
	f.Hosts = f.insertAll(f.Hosts, o.Hosts)
	f.Apps = f.insertAll(f.Apps, o.Apps)
	f.Services = f.insertAll(f.Services, o.Services)
	f.Rules = f.insertAll(f.Rules, o.Rules)
	f.Users = f.insertAll(f.Users, o.Users)
}

func (f *Flow) insertAll(to, from []string) []string {
	for _, s := range from {
		to = f.insert(to, s)
	}
	return to
}

// insert keeps the MaxNames smallest values, sorted, so that the result does
// not depend on the order of arrival.
func (f *Flow) insert(to []string, s string) []string {
	if s == "" {
		return to
	}
	i := 0
	for i < len(to) && to[i] < s {
		i++
	}
	if i < len(to) && to[i] == s {
		return to
	}
	if len(to) == MaxNames {
		f.More = true
		if i == MaxNames {
			return to
		}
		to = to[:MaxNames-1]
	}
	to = append(to, "")
	copy(to[i+1:], to[i:])
	to[i] = s
	return to
}

func known(n int64) int64 {
	if n == Absent {
		return 0
	}
	return n
}

func earlier(a, b int64) int64 {
	if a == Absent {
		return b
	}
	if b == Absent {
		return a
	}
	return min(a, b)
}
