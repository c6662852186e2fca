package simulate_test

import (
	"errors"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firetrail"
	"firetrail/parsers"
	"firetrail/samples/simulate"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func open(t *testing.T, in parsers.Input) *parsers.Reader {
	t.Helper()
	r, err := in.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	rd, err := parsers.NewReader(r, in.Options(parsers.Options{}))
	if err != nil {
		t.Fatalf("%s: %v", in.Path, err)
	}
	return rd
}

// place of a record: file and line, or a packet's number.
type place struct {
	path string
	line int64
}

// TestRoundTrip reads every record of every family back and compares it with
// the session that it was rendered from, field by field.
func TestRoundTrip(t *testing.T) {
	written := map[place]*firetrail.Event{}
	kinds := map[string]int{}
	opt := simulate.Options{Events: 60_000, Days: 3, Seed: 3}
	opt.Observe = func(r simulate.Record) {
		ev := expected(&r)
		written[place{r.Path, r.Line}] = ev
		kinds[r.Kind]++
	}
	dir, sum := write(t, opt)
	for _, k := range []string{"iptables", "pf", "paloalto.traffic", "paloalto.threat", "zeek.conn", "zeek.dns", "zeek.ssl", "zeek.ssh", "zeek.http"} {
		if kinds[k] == 0 {
			t.Errorf("no record of %s was written", k)
		}
	}
	if int64(len(written)) != sum.Events {
		t.Fatalf("%d records observed, %d counted", len(written), sum.Events)
	}
	shown := map[string]int{}
	for in, err := range parsers.Inputs([]string{filepath.Join(dir, "logs")}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(dir, in.Path)
		if err != nil {
			t.Fatal(err)
		}
		readBack(t, open(t, in), filepath.ToSlash(rel), written, shown)
	}
	if len(written) > 0 {
		t.Errorf("%d records were not read back", len(written))
	}
}

// readBack compares and removes the records of one file.
func readBack(t *testing.T, rd *parsers.Reader, path string, written map[place]*firetrail.Event, shown map[string]int) {
	first := int64(0) // the reader counts a capture's header as a record, the simulator packets
	for {
		var b parsers.Batch
		err := rd.Next(&b)
		for _, r := range b.Rejects {
			t.Errorf("%s:%d refused: %s", path, r.Line, r.Reason)
		}
		for i := range b.Events {
			got := &b.Events[i]
			if first == 0 && strings.HasSuffix(path, ".pcap") {
				first = got.Line - 1
			}
			at := place{path, got.Line - first}
			want := written[at]
			if want == nil {
				t.Errorf("%s:%d was read, but not written", path, got.Line)
				return
			}
			delete(written, at)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(firetrail.Event{}, ignored...), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" && shown[got.Kind] < 3 {
				shown[got.Kind]++
				t.Errorf("%s:%d %s (-written +read)\n%s", path, got.Line, got.Kind, diff)
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// ignored are what a session does not determine: the record's own words and
// where it stands.
var ignored = []string{"Origin", "End", "Guess", "Sensor", "Reason", "Direction", "InInterface", "OutInterface", "SrcZone", "DstZone", "Rule", "App",
	"User", "Flags", "UID", "CommunityID", "SrcCountry", "DstCountry", "X", "URL", "Service"}

// expected is the event that a record must be read as.
func expected(r *simulate.Record) *firetrail.Event {
	s := r.Session
	ev := firetrail.NewEvent()
	ev.Kind, ev.Time = r.Kind, r.Time
	ev.Proto = map[uint8]string{simulate.TCP: "tcp", simulate.UDP: "udp", simulate.ICMP: "icmp"}[s.Proto]
	ev.SrcIP, ev.DstIP = s.Src, s.Dst
	if s.Proto != simulate.ICMP {
		ev.SrcPort, ev.DstPort = int64(s.SrcPort), int64(s.DstPort)
	}
	if strings.HasPrefix(r.Kind, "paloalto") && s.Proto == simulate.ICMP {
		ev.SrcPort, ev.DstPort = 0, 0
	}
	outer := strings.Contains(r.Path, "zeek-outer") || strings.Contains(r.Path, "pflog")
	if out, ok := s.Translated(); ok && outer {
		ev.SrcIP = out
		if s.Proto != simulate.ICMP {
			ev.SrcPort = int64(s.NATPort())
		}
	}
	if to, ok := s.Forwarded(); ok && (outer || strings.HasPrefix(r.Kind, "paloalto")) {
		ev.DstIP = to
	}
	switch r.Kind {
	case "iptables", "pf":
		ev.Action = firewallAction(r)
	case "paloalto.traffic", "paloalto.threat":
		expectPanos(&ev, r)
	case "zeek.conn":
		expectConn(&ev, s)
	default:
		if r.Kind != "zeek.dns" {
			ev.Proto = "" // these logs do not say it
		}
		ev.Host = hostOf(s)
	}
	return &ev
}

// hostOf is the session's name without the port that HTTP adds.
func hostOf(s *simulate.Session) string {
	name, _, _ := strings.Cut(s.Name, ":")
	return name
}

func micro(d int64) int64 { return d / 1000 * 1000 }

func firewallAction(r *simulate.Record) string {
	s := r.Session
	switch {
	case r.Kind == "pf" && (s.Stopped("router") || strings.Contains(r.Path, "pflog") && s.Stopped("edge")):
		return firetrail.ActionDeny
	case r.Kind == "iptables" && s.Stopped("host"):
		return firetrail.ActionDrop
	}
	return firetrail.ActionAllow
}

func expectPanos(ev *firetrail.Event, r *simulate.Record) {
	s := r.Session
	ev.Action = firetrail.ActionAllow
	if s.Stopped("edge") {
		ev.Action = firetrail.ActionDeny
	}
	if out, ok := s.Translated(); ok {
		ev.NATSrcIP, ev.NATDstIP = out, s.Dst
		if s.Proto != simulate.ICMP {
			ev.NATSrcPort, ev.NATDstPort = int64(s.NATPort()), int64(s.DstPort)
		}
	}
	if _, ok := s.Forwarded(); ok {
		ev.NATSrcIP, ev.NATDstIP, ev.NATSrcPort, ev.NATDstPort = s.Src, s.Dst, int64(s.SrcPort), int64(s.DstPort)
	}
	if r.Kind == "paloalto.threat" {
		ev.Action = firetrail.ActionAlert
		// A miner's alert has no URL, and an address in a URL is no name.
		if _, err := netip.ParseAddr(hostOf(s)); s.App != simulate.AppStratum && err != nil {
			ev.Host = hostOf(s)
		}
		return
	}
	ev.State = "end"
	if s.Stopped("edge") {
		ev.State = "drop"
	}
	ev.BytesOut, ev.BytesIn = s.WireBytes()
	ev.PacketsOut, ev.PacketsIn = s.PktsOut, s.PktsIn
	ev.Duration = s.Duration / int64(time.Second) * int64(time.Second)
}

func expectConn(ev *firetrail.Event, s *simulate.Session) {
	ev.State = s.ConnState()
	ev.PacketsOut, ev.PacketsIn = s.PktsOut, s.PktsIn
	if s.Outcome == simulate.Done || s.Outcome == simulate.Torn || s.Outcome == simulate.Hanging || s.PktsIn > 0 || s.PktsOut > 1 {
		ev.BytesOut, ev.BytesIn, ev.Duration = s.Out, s.In, micro(s.Duration)
	}
}
