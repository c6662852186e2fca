package index

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"firetrail"
	"firetrail/index/columns"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// traffic makes events whose flows recur, with fields of all sorts absent now and then.
func traffic(n int) []firetrail.Event {
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	evs := make([]firetrail.Event, n)
	for i := range evs {
		ev := firetrail.NewEvent()
		ev.Kind, ev.Line, ev.Offset, ev.Length = "test", int64(i+1), int64(i*50), 49
		ev.Proto, ev.Action, ev.Sensor = pick("tcp", "udp", ""), pick("allow", "drop", ""), pick("fw1", "fw2")
		ev.State, ev.App = pick("SF", "S0", "start", ""), pick("ssl", "incomplete", "")
		if r.IntN(9) > 0 {
			ev.SrcIP = netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(8))})
		}
		if ev.DstIP = netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(4))}); r.IntN(5) == 0 {
			ev.DstIP = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(r.IntN(2))})
		}
		if r.IntN(7) > 0 {
			ev.DstPort, ev.SrcPort = int64(r.IntN(3)), int64(r.IntN(65536))
		}
		if r.IntN(6) > 0 {
			ev.Time = int64(1772323200+r.IntN(1000)) * 1e9
			ev.End = ev.Time + int64(r.IntN(9))*1e9
			ev.Duration = ev.End - ev.Time
		}
		ev.BytesOut, ev.PacketsIn = int64(r.IntN(1000)), int64(r.IntN(3))
		ev.Host = pick("", fmt.Sprintf("h%d.example", r.IntN(30)))
		ev.Rule = pick("", "r1", "r2")
		evs[i] = ev
	}
	return evs
}

// TestRollup compares the rollup of row groups with Flow.Observe over their events,
// and with rollups that hold few flows in memory or get their groups out of order.
func TestRollup(t *testing.T) {
	evs := traffic(columns.GroupRows + 1000)
	want := map[firetrail.FlowKey]*firetrail.Flow{}
	for i := range evs {
		k := keyOf(&evs[i])
		if want[k] == nil {
			want[k] = &firetrail.Flow{FlowKey: k}
		}
		want[k].Observe(&evs[i])
	}
	w := columns.NewWriter(io.Discard, "test")
	var groups []*columns.Group
	for rest := evs; len(rest) > 0; {
		if rest = rest[w.Append(rest):]; w.Full() || len(rest) == 0 {
			groups = append(groups, w.Cut())
		}
	}
	enc, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	file := func(most int, order ...int) []byte {
		r := newRollup("test")
		r.most = most
		var all sync.WaitGroup
		for _, i := range order {
			all.Go(func() {
				e, err := newEncoder()
				if err == nil {
					err = r.add(groups[i], e.flows)
				}
				if err != nil {
					t.Error(err)
				}
			})
			if most > 0 {
				all.Wait()
			}
		}
		all.Wait()
		path := filepath.Join(t.TempDir(), "x.flow")
		if _, err := r.write(path, enc.flows); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	whole := file(maxRollup, 0, 1)
	for _, other := range [][]byte{file(maxRollup, 1, 0), file(1, 0, 1), file(0, 1, 0)} {
		if !bytes.Equal(whole, other) {
			t.Fatal("the file depends on the order of groups or on the memory")
		}
	}
	rd, err := newFlowReader(bytes.NewReader(whole), "x.flow")
	if err != nil {
		t.Fatal(err)
	}
	defer rd.zstd.Close()
	got := map[firetrail.FlowKey]*firetrail.Flow{}
	for {
		f, err := rd.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		flow := cloneFlow(f)
		if flow.SrcPorts < 0 || flow.SrcPorts > flow.Events {
			t.Errorf("%v: %d source ports of %d events", flow.FlowKey, flow.SrcPorts, flow.Events)
		}
		flow.SrcPorts = 0
		got[flow.FlowKey] = &flow
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
		t.Fatal(d)
	}
}
