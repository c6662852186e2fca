package firetrail

import "testing"

// A session that is logged at its start and at its end is counted once, in
// whatever order the records come; a start alone is a contact without counts.
func TestFlowObserveStart(t *testing.T) {
	record := func(state string, bytes, seconds int64) *Event {
		ev := NewEvent()
		ev.Kind, ev.State = "paloalto.traffic", state
		ev.Time, ev.Duration = 1_700_000_000e9, seconds*1e9
		ev.End = ev.Time + ev.Duration
		ev.BytesOut, ev.BytesIn, ev.PacketsOut, ev.PacketsIn = bytes, 2*bytes, bytes/100, bytes/50
		return &ev
	}
	start, end := record("start", 100, 1), record("end", 4000, 30)
	for _, order := range [][]*Event{{start, end}, {end, start}} {
		var f Flow
		for _, ev := range order {
			f.Observe(ev)
		}
		if f.Events != 2 || f.BytesOut != 4000 || f.BytesIn != 8000 || f.PacketsOut != 40 || f.PacketsIn != 80 {
			t.Errorf("a session counted as %+v", f)
		}
		if f.Duration != 30e9 || f.Longest != 30e9 || f.First != end.Time || f.Last != end.End {
			t.Errorf("a session lasts %d, longest %d, from %d to %d", f.Duration, f.Longest, f.First, f.Last)
		}
	}
	var f Flow
	f.Observe(start)
	if f.Events != 1 || f.BytesOut != 0 || f.Duration != 0 || f.First != start.Time {
		t.Errorf("a start alone counts as %+v", f)
	}
}
