package detect

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"firetrail"
)

// t0 is the start of the tests' data: 2026-03-02 00:00 UTC.
const t0 = int64(1772409600) * 1e9

const (
	sec  = int64(1e9)
	mins = 60 * sec
	hour = 60 * mins
)

// fake is a small case in memory: its events and the rollups of them.
type fake struct {
	events []firetrail.Event
	sorted []firetrail.Event // the same in their total order, once they were asked for
}

// add appends an event and gives it an origin by its position.
func (f *fake) add(ev firetrail.Event) *firetrail.Event {
	f.sorted = nil
	ev.Source, ev.Line = "00000000000000aa", int64(len(f.events)+1)
	ev.Offset, ev.Length = int64(len(f.events))*100, 99
	f.events = append(f.events, ev)
	return &f.events[len(f.events)-1]
}

// tcp is a packet filter's record of an attempt: no duration, no bytes.
func (f *fake) tcp(t int64, action, src string, sport int64, dst string, dport int64) *firetrail.Event {
	ev := firetrail.NewEvent()
	ev.Time, ev.Kind, ev.Sensor, ev.Action, ev.Proto, ev.Flags = t, "iptables", "gw1", action, "tcp", "SYN"
	ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort = netip.MustParseAddr(src), netip.MustParseAddr(dst), sport, dport
	return f.add(ev)
}

// conn is a Zeek conn record of a connection that succeeded, or by state not.
func (f *fake) conn(t int64, src string, sport int64, dst string, dport int64, service, state string, seconds, out, in int64) *firetrail.Event {
	ev := firetrail.NewEvent()
	ev.Time, ev.Kind, ev.Sensor, ev.Proto, ev.Service, ev.State = t, "zeek.conn", "zeek1", "tcp", service, state
	ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort = netip.MustParseAddr(src), netip.MustParseAddr(dst), sport, dport
	ev.Duration, ev.End = seconds*sec, t+seconds*sec
	ev.BytesOut, ev.BytesIn = out, in
	ev.PacketsOut, ev.PacketsIn = out/120+1, in/120+1
	ev.UID = fmt.Sprintf("C%d", len(f.events))
	return f.add(ev)
}

// dns is a Zeek dns record.
func (f *fake) dns(t int64, src, resolver, name, answers string) *firetrail.Event {
	ev := firetrail.NewEvent()
	ev.Time, ev.Kind, ev.Sensor, ev.Proto, ev.Host = t, "zeek.dns", "zeek1", "udp", name
	ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort = netip.MustParseAddr(src), netip.MustParseAddr(resolver), 40000+t/sec%20000, 53
	ev.Put("answers", answers)
	return f.add(ev)
}

// ssl is a Zeek ssl record of the connection ev.
func (f *fake) ssl(ev *firetrail.Event, name string) {
	s := firetrail.NewEvent()
	s.Time, s.Kind, s.Sensor, s.UID, s.Host = ev.Time+sec/10, "zeek.ssl", ev.Sensor, ev.UID, name // ssl.log has no proto
	s.SrcIP, s.DstIP, s.SrcPort, s.DstPort = ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort
	f.add(s)
}

// pan is a PAN-OS TRAFFIC record.
func (f *fake) pan(t int64, action, app, src string, sport int64, dst string, dport, seconds, out, in int64) *firetrail.Event {
	ev := f.conn(t, src, sport, dst, dport, "", "", seconds, out, in)
	ev.Kind, ev.Sensor, ev.Action, ev.App, ev.UID = "paloalto.traffic", "pa1", action, app, ""
	return ev
}

// background is an hour-by-hour lab day: peers that make prevalence and bounds.
func (f *fake) background() *fake {
	for h := range int64(24) {
		for host := range int64(6) {
			src := fmt.Sprintf("10.20.0.%d", 10+host)
			f.conn(t0+h*hour+host*sec, src, 50000+h, "198.51.100.80", 443, "ssl", "SF", 3, 4000, 90000)
			f.conn(t0+h*hour+host*sec+5*sec, src, 51000+h, "10.20.0.2", 53, "dns", "SF", 0, 60, 120)
		}
	}
	return f
}

func (f *fake) Events(_ context.Context, q firetrail.Query, fields ...string) iter.Seq2[*firetrail.Event, error] {
	if len(f.sorted) != len(f.events) {
		f.sorted = slices.Clone(f.events)
		slices.SortFunc(f.sorted, func(a, b firetrail.Event) int { return firetrail.Compare(&a, &b) })
	}
	sorted := f.sorted
	return func(yield func(*firetrail.Event, error) bool) {
		for i := range sorted {
			if selects(q, &sorted[i]) && !yield(only(&sorted[i], fields), nil) {
				return
			}
		}
	}
}

func (f *fake) Traffic(ctx context.Context, list []firetrail.Traffic, fields ...string) iter.Seq2[*firetrail.Event, error] {
	of := map[netip.Addr][]firetrail.Traffic{}
	for _, t := range list {
		of[t.Src] = append(of[t.Src], t)
	}
	return func(yield func(*firetrail.Event, error) bool) {
		for ev := range f.Events(ctx, firetrail.Query{}) {
			if slices.ContainsFunc(of[ev.SrcIP], func(t firetrail.Traffic) bool { return t.Selects(ev) }) && !yield(only(ev, fields), nil) {
				return
			}
		}
	}
}

// only is the event with nothing but the fields, so that a detector which looks at
// others fails its tests; without fields it is the event.
func only(ev *firetrail.Event, fields []string) *firetrail.Event {
	if fields == nil {
		return ev
	}
	out := firetrail.NewEvent()
	out.Origin, out.Guess = ev.Origin, ev.Guess
	for _, f := range firetrail.Fields {
		switch {
		case !slices.Contains(fields, f.Name):
		case f.Text != nil:
			*f.Text(&out) = *f.Text(ev)
		case f.Int != nil:
			*f.Int(&out) = *f.Int(ev)
		default:
			*f.Addr(&out) = *f.Addr(ev)
		}
	}
	for _, x := range ev.X {
		if slices.Contains(fields, "x."+x.Name) || slices.Contains(fields, "x.*") {
			out.X = append(out.X, x)
		}
	}
	return &out
}

func (f *fake) Flows(_ context.Context, q firetrail.Query) iter.Seq2[*firetrail.Flow, error] {
	flows := map[firetrail.FlowKey]*firetrail.Flow{}
	for i := range f.events {
		ev := &f.events[i]
		if !selects(q, ev) {
			continue
		}
		k := firetrail.FlowKey{SrcIP: ev.SrcIP, DstIP: ev.DstIP, DstPort: ev.DstPort, Proto: ev.Proto, Action: ev.Action, Sensor: ev.Sensor, Kind: ev.Kind}
		if flows[k] == nil {
			flows[k] = &firetrail.Flow{FlowKey: k}
		}
		flows[k].Observe(ev)
	}
	keys := sortedBy(flows, func(a, b firetrail.FlowKey) int { return a.Compare(&b) })
	return func(yield func(*firetrail.Flow, error) bool) {
		for _, k := range keys {
			if !yield(flows[k], nil) {
				return
			}
		}
	}
}

// selects evaluates the few forms of queries that detectors build.
func selects(q firetrail.Query, ev *firetrail.Event) bool {
	switch q.Op {
	case firetrail.OpAll:
		return true
	case firetrail.OpAnd:
		return !slices.ContainsFunc(q.Args, func(a firetrail.Query) bool { return !selects(a, ev) })
	case firetrail.OpOr:
		return slices.ContainsFunc(q.Args, func(a firetrail.Query) bool { return selects(a, ev) })
	case firetrail.OpNot:
		return !selects(q.Args[0], ev)
	}
	if q.Match == firetrail.MatchHas {
		_, ok := ev.Value(q.Field)
		return ok
	}
	if q.Match == firetrail.MatchRegexp {
		re := expression(q.Value)
		if q.Field != "" {
			v, ok := ev.Value(q.Field)
			return ok && re.MatchString(v)
		}
		return re.MatchString(ev.App+" "+ev.URL+" "+ev.Rule+" "+ev.Host) || slices.ContainsFunc(ev.X, func(x firetrail.Field) bool { return re.MatchString(x.Value) })
	}
	switch q.Field {
	case "":
		q.Value = strings.TrimSuffix(q.Value, "*")
		for _, x := range ev.X {
			if strings.Contains(strings.ToLower(x.Value), q.Value) {
				return true
			}
		}
		return strings.Contains(strings.ToLower(ev.App+" "+ev.URL+" "+ev.Rule+" "+ev.Host), q.Value)
	case "host":
		_, ok := suffixOf(ev.Host, map[string]bool{q.Value: true})
		return ok
	}
	v, ok := ev.Value(q.Field)
	return ok && v == q.Value
}

var expressions = map[string]*regexp.Regexp{}

func expression(s string) *regexp.Regexp {
	if expressions[s] == nil {
		expressions[s] = regexp.MustCompile(s)
	}
	return expressions[s]
}

// judge runs one detector over the events.
func judge(t *testing.T, f *fake, cfg Config, only string) Result {
	t.Helper()
	if only != "" {
		cfg.Only = []string{only}
	}
	res, err := Run(t.Context(), f, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range res.Findings {
		check(t, &x)
	}
	return res
}

// check holds a finding to what every finding promises.
func check(t *testing.T, f *firetrail.Finding) {
	t.Helper()
	sum := 0.0
	for _, p := range f.Why {
		sum += p.Points
		if p.Text == "" {
			t.Errorf("%s: part %q has no sentence", f.Title, p.Part)
		}
	}
	if f.Score != Score(sum) || f.Severity != Severity(sum) {
		t.Errorf("%s: score %g %s, but its parts sum to %g", f.Title, f.Score, f.Severity, sum)
	}
	if len(f.Evidence) == 0 || len(f.Evidence) > maxEvidence {
		t.Errorf("%s: %d records of evidence", f.Title, len(f.Evidence))
	}
	if f.Start > f.End || f.Start == firetrail.Absent || f.Title == "" || len(f.Benign) == 0 || f.Count == 0 || len(f.Bursts) == 0 {
		t.Errorf("%s: incomplete: %+v", f.Title, f)
	}
	if len(f.Targets) > maxTargets || f.Targeted < int64(len(f.Targets)) {
		t.Errorf("%s: %d targets listed of %d", f.Title, len(f.Targets), f.Targeted)
	}
}

// brief prints a finding for comparison: severity, source, destination, port.
func brief(fs []firetrail.Finding) []string {
	var out []string
	for _, f := range fs {
		port := "-"
		if f.DstPort != firetrail.Absent {
			port = strconv.FormatInt(f.DstPort, 10)
		}
		out = append(out, fmt.Sprintf("%s %s %s %s", f.Severity, firetrail.AddrText(f.SrcIP), f.Dst, port))
	}
	return out
}

// scenario is a case and what one detector must say of it.
type scenario struct {
	name string
	make func(*fake)
	cfg  Config
	want []string // brief findings, in order
}

func runScenarios(t *testing.T, detector string, table []scenario) {
	t.Helper()
	for _, sc := range table {
		t.Run(sc.name, func(t *testing.T) {
			f := (&fake{}).background()
			sc.make(f)
			res := judge(t, f, sc.cfg, detector)
			if diff := cmp.Diff(sc.want, brief(res.Findings), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("findings differ (-want +got):\n%s", diff)
				for _, x := range res.Findings {
					t.Logf("%s\n", x.Title)
					for _, p := range x.Why {
						t.Logf("   %+.1f %s: %s", p.Points, p.Part, p.Text)
					}
				}
			}
			shuffled := &fake{events: slices.Clone(f.events)}
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled.events), func(i, j int) {
				shuffled.events[i], shuffled.events[j] = shuffled.events[j], shuffled.events[i]
			})
			again := judge(t, shuffled, sc.cfg, detector)
			if diff := cmp.Diff(res, again, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("another order of events gives another result:\n%s", diff)
			}
		})
	}
}

func network(s string) netip.Prefix { return netip.MustParsePrefix(s) }
