package index

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"firetrail"
	"firetrail/index/query"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestFlows compares the rollup of a case with Flow.Observe over its events, and
// checks for some queries that no flow with a selected event is left out.
func TestFlows(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%d.log", i)), kernelLines(i*3000, i*3000+3500))
	}
	c := create(t)
	ingestAll(t, c, dir)
	ctx := context.Background()
	want := map[firetrail.FlowKey]*firetrail.Flow{}
	var events []firetrail.Event
	for ev, err := range c.Events(ctx, firetrail.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		k := keyOf(ev)
		if want[k] == nil {
			want[k] = &firetrail.Flow{FlowKey: k}
		}
		want[k].Observe(ev)
		events = append(events, *ev)
	}
	got := map[firetrail.FlowKey]*firetrail.Flow{}
	var last *firetrail.FlowKey
	for f, err := range c.Flows(ctx, firetrail.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		flow := cloneFlow(f)
		if last != nil && last.Compare(&flow.FlowKey) >= 0 {
			t.Fatalf("%v does not come after %v", flow.FlowKey, *last)
		}
		last = &flow.FlowKey
		if flow.SrcPorts <= 0 || flow.SrcPorts > flow.Events {
			t.Errorf("%v: %d source ports of %d events", flow.FlowKey, flow.SrcPorts, flow.Events)
		}
		flow.SrcPorts = 0
		got[flow.FlowKey] = &flow
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
		t.Fatal(d)
	}
	for _, text := range []string{
		"dst_port:22", "NOT dst_port:22", "src_ip:192.0.2.0/25 AND dst_port:>400", "ip:198.51.100.3", "NOT (ip:198.51.100.3 OR proto:tcp)",
		"time:[2026-03-01T00:00:10 TO 2026-03-01T00:00:20]", "action:drop", "x.TTL:64", "NOT x.TTL:64", "sensor:fw dst_ip:198.51.100.7", "kind:zeek", "bytes_out:>1",
	} {
		q, err := query.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := query.Compile(q, c.env(c.view(), firetrail.Absent))
		if err != nil {
			t.Fatal(err)
		}
		need := map[firetrail.FlowKey]bool{}
		for i := range events {
			if p.Event(&events[i]) {
				need[keyOf(&events[i])] = true
			}
		}
		n := 0
		for f, err := range c.Flows(ctx, q) {
			if err != nil {
				t.Fatal(err)
			}
			delete(need, f.FlowKey)
			n++
		}
		if len(need) > 0 {
			t.Errorf("%s: %d flows are left out of %d", text, len(need), n)
		}
		if text == "dst_port:22" && n >= len(want) || text == "kind:zeek" && n > 0 {
			t.Errorf("%s: nothing was pushed down: %d of %d flows", text, n, len(want))
		}
	}
}

func keyOf(ev *firetrail.Event) firetrail.FlowKey {
	return firetrail.FlowKey{SrcIP: ev.SrcIP, DstIP: ev.DstIP, DstPort: ev.DstPort, Proto: ev.Proto, Action: ev.Action, Sensor: ev.Sensor, Kind: ev.Kind}
}
