package firetrail

import "net/netip"

// Traffic selects events by their ends: those of one source, to one destination or
// to any (invalid), on one port or on any (Absent), from a recorded time on (0 or
// Absent: all of them). Undated events are selected whatever From says.
type Traffic struct {
	Src, Dst netip.Addr
	Port     int64
	From     int64
}

// Selects reports whether the event is of the traffic.
func (t *Traffic) Selects(ev *Event) bool {
	return ev.SrcIP == t.Src && t.Src.IsValid() && (!t.Dst.IsValid() || ev.DstIP == t.Dst) && (t.Port == Absent || ev.DstPort == t.Port) &&
		(t.From == 0 || ev.Time == Absent || ev.Time >= t.From)
}
