package timeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

const (
	minute = int64(60e9)
	hour   = 60 * minute
)

// Options are the settings of incidents; the zero value works.
type Options struct {
	RunGap    int64   // findings of one run belong together up to this far apart; 0: 6 h
	SourceGap int64   // findings of one address that no run is known for; 0: 1 h
	SpreadGap int64   // from a host's being reached to its own first finding; 0: 6 h
	Certain   float64 // probability from which a run is a finding's subject; 0: 0.5
	Level     string  // least severity of an incident's gravest finding; "": low

	Gateways []netip.Addr // addresses that many others are translated to: what two findings of one have in common is no subject
}

func (o Options) filled() Options {
	if o.RunGap <= 0 {
		o.RunGap = 6 * hour
	}
	if o.SourceGap <= 0 {
		o.SourceGap = hour
	}
	if o.SpreadGap <= 0 {
		o.SpreadGap = 6 * hour
	}
	if o.Certain <= 0 {
		o.Certain = 0.5
	}
	if o.Level == "" {
		o.Level = firetrail.SeverityLow
	}
	return o
}

// Incidents puts findings together that belong together, by four rules:
//
//  1. one subject - the run, where it is known well enough, else the source
//     address, but for a gateway's - and close in time (RunGap, SourceGap) or with a
//     common target;
//  2. one source and one peer at the same time, whatever the attribution: what
//     several detectors see in one session, or in a burst of refusals;
//  3. spread: a host that a finding reached begins a finding of its own within
//     SpreadGap of that, unless both are known to be of different runs;
//  4. a storm: three sources or more, refused at the same destination within
//     SourceGap of each other, none of them explained by a tool call; storms of the
//     same sources at the same time are one. So are long sessions of three sources with
//     one peer of which nothing else is known, nor a run. What belongs to a storm is no
//     sign of its sources: rules 1 to 3 leave it out.
//
// Undated findings form incidents of their own. The result is sorted by start
// and id and does not depend on the order of the findings.
func Incidents(findings []firetrail.Finding, opt Options) []firetrail.Incident {
	opt = opt.filled()
	fs := make([]*firetrail.Finding, len(findings))
	for i := range findings {
		fs[i] = &findings[i]
	}
	slices.SortFunc(fs, compareFindings)
	g := grouping{opt: opt, fs: fs, parent: make([]int, len(fs)), storm: make([]bool, len(fs))}
	for i := range g.parent {
		g.parent[i] = i
	}
	g.storms()
	g.subjects()
	g.sessions()
	g.within()
	g.spread()
	var out []firetrail.Incident
	for _, group := range g.groups() {
		if inc := makeIncident(group); firetrail.SeverityRank(inc.Severity) >= firetrail.SeverityRank(opt.Level) {
			out = append(out, inc)
		}
	}
	slices.SortFunc(out, func(a, b firetrail.Incident) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
	})
	elsewhere(out, findings)
	return out
}

func compareFindings(a, b *firetrail.Finding) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.Detector, b.Detector), cmp.Compare(a.ID, b.ID))
}

// grouping joins findings, sorted by start, into sets (union-find).
type grouping struct {
	opt    Options
	fs     []*firetrail.Finding
	parent []int
	storm  []bool // part of one
}

func (g *grouping) root(i int) int {
	for g.parent[i] != i {
		g.parent[i] = g.parent[g.parent[i]]
		i = g.parent[i]
	}
	return i
}

// join keeps the earlier finding as the root.
func (g *grouping) join(i, j int) {
	i, j = g.root(i), g.root(j)
	g.parent[max(i, j)] = min(i, j)
}

func (g *grouping) groups() [][]*firetrail.Finding {
	place := map[int]int{}
	var out [][]*firetrail.Finding
	for i, f := range g.fs {
		r := g.root(i)
		if _, known := place[r]; !known {
			place[r] = len(out)
			out = append(out, nil)
		}
		out[place[r]] = append(out[place[r]], f)
	}
	return out
}

// runOf is the run that a finding is attributed to well enough, else "".
func (g *grouping) runOf(f *firetrail.Finding) string {
	if f.Run == nil || f.Run.Probability < g.opt.Certain {
		return ""
	}
	return f.Run.ID
}

// parted reports that two findings are known to be of different runs, or came from an address
// of pods while different runs held it: what such an address does belongs to its holder.
func (g *grouping) parted(a, b *firetrail.Finding) bool {
	x, y := g.runOf(a), g.runOf(b)
	if x != "" && y != "" {
		return x != y
	}
	return a.SrcIP == b.SrcIP && podsOnly(a) && podsOnly(b) && !slices.ContainsFunc(a.Leases, func(l firetrail.Lease) bool {
		return slices.ContainsFunc(b.Leases, func(o firetrail.Lease) bool { return l.Run == o.Run })
	})
}

// podsOnly reports that all known holders of a finding's address were pods or sandboxes with an
// address of their own.
func podsOnly(f *firetrail.Finding) bool {
	return len(f.Leases) > 0 && !slices.ContainsFunc(f.Leases, func(l firetrail.Lease) bool {
		return l.Shared || l.IP != f.SrcIP || l.Subject != "pod" && l.Subject != "sandbox"
	})
}

func dated(f *firetrail.Finding) bool { return f.Start != firetrail.Absent }

// sourcesOf are the sources of a finding, of one or of several.
func sourcesOf(f *firetrail.Finding) []netip.Addr {
	if len(f.Sources) > 0 {
		return f.Sources
	}
	if f.SrcIP.IsValid() {
		return []netip.Addr{f.SrcIP}
	}
	return nil
}

// subjects is rule 1. Findings come in order of start, so each needs to be
// held against the latest end of its subject so far.
func (g *grouping) subjects() {
	type last struct {
		finding int
		end     int64
	}
	type peer struct{ subject, target string }
	latest := map[string]last{}
	targets := map[peer]int{}
	for i, f := range g.fs {
		subject, gap := g.runOf(f), g.opt.RunGap
		if subject == "" && slices.Contains(g.opt.Gateways, f.SrcIP) {
			continue
		}
		if subject == "" {
			subject, gap = firetrail.AddrText(f.SrcIP), g.opt.SourceGap
		} else {
			subject = "run " + subject
		}
		if subject == "" || !dated(f) || g.storm[i] {
			continue
		}
		l, known := latest[subject]
		if known && f.Start <= l.end+gap && !g.parted(f, g.fs[l.finding]) {
			g.join(i, l.finding)
		}
		latest[subject] = last{i, max(f.End, f.Start, l.end)}
		for _, t := range peersOf(f) {
			k := peer{subject, t}
			if j, shared := targets[k]; shared && !g.parted(f, g.fs[j]) {
				g.join(i, j)
			}
			targets[k] = i
		}
	}
}

// maxPeers bounds the targets by which findings are told to have some in common:
// a sweep touches everything, which says nothing.
const maxPeers = 8

// peersOf names the few peers of a finding: the name or address with its port.
func peersOf(f *firetrail.Finding) []string {
	add := func(out []string, host, ip string, port int64) []string {
		if host = cmp.Or(host, ip); host == "" {
			return out
		}
		return append(out, fmt.Sprintf("%s %d", host, max(port, -1)))
	}
	out := add(nil, f.Host, f.Dst, f.DstPort)
	if f.Detector == "dns_tunnel" && f.Host != "" { // the resolver is everybody's
		return out
	}
	if f.Targeted > maxPeers || len(f.Targets) > maxPeers {
		return out
	}
	for _, t := range f.Targets {
		out = add(out, t.Host, firetrail.AddrText(t.IP), t.Port)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sessions is rule 2.
func (g *grouping) sessions() {
	type pair struct {
		src  netip.Addr
		peer string
	}
	latest := map[pair]int{}
	for i, f := range g.fs {
		if !f.SrcIP.IsValid() || !dated(f) || g.storm[i] {
			continue
		}
		for _, p := range peersOf(f) {
			k := pair{f.SrcIP, p}
			if j, known := latest[k]; known && !g.parted(f, g.fs[j]) && f.Start <= g.fs[j].End+minute {
				g.join(i, j)
				if g.fs[j].End > f.End {
					continue
				}
			}
			latest[k] = i
		}
	}
}

// within joins what was refused at a few of the targets of a burst of many.
func (g *grouping) within() {
	bursts := map[netip.Addr][]int{}
	for i, f := range g.fs {
		if f.Detector == "policy_burst" && f.SrcIP.IsValid() && dated(f) && !g.storm[i] {
			bursts[f.SrcIP] = append(bursts[f.SrcIP], i)
		}
	}
	for i, f := range g.fs {
		if !hasPart(f, "refused") || !dated(f) || g.storm[i] {
			continue
		}
		for _, j := range bursts[f.SrcIP] {
			b := g.fs[j]
			aimed := slices.ContainsFunc(b.Targets, func(t firetrail.Target) bool {
				return slices.ContainsFunc(f.Targets, func(o firetrail.Target) bool { return o.IP == t.IP && o.Port == t.Port })
			})
			if aimed && f.Start <= b.End+minute && b.Start <= f.End+minute && !g.parted(f, b) {
				g.join(i, j)
			}
		}
	}
}

// refusedOnly are detectors of traffic that got nowhere.
func refusedOnly(f *firetrail.Finding) bool {
	return f.Detector == "policy_burst" || f.Detector == "refused_egress"
}

// explained reports a finding that a tool call's content explains.
func explained(f *firetrail.Finding) bool {
	return f.Run != nil && (f.Run.Level == "A4" || f.Run.Level == "A5")
}

// stormSources is from how many sources the same refusal is one matter.
const stormSources = 3

// plainSessions are long sessions of which no run is known, and with whose peer the source
// did nothing else that was found.
func (g *grouping) plainSessions() map[int]bool {
	type pair struct {
		src  netip.Addr
		peer string
	}
	other := map[pair]bool{}
	for _, f := range g.fs {
		if f.Detector == "long_session" {
			continue
		}
		for _, p := range peersOf(f) {
			other[pair{f.SrcIP, p}] = true
		}
	}
	out := map[int]bool{}
	for i, f := range g.fs {
		out[i] = f.Detector == "long_session" && f.SrcIP.IsValid() && g.runOf(f) == "" &&
			!slices.ContainsFunc(peersOf(f), func(p string) bool { return other[pair{f.SrcIP, p}] })
	}
	return out
}

// storm is a group of findings that have one cause outside their sources.
type storm struct {
	first      int
	start, end int64
	sources    []netip.Addr // distinct, sorted
}

// alike reports two storms at the same time of which the smaller has at least half of its
// sources in the other.
func (a *storm) alike(b *storm, gap int64) bool {
	common := 0
	for _, src := range a.sources {
		if _, found := slices.BinarySearchFunc(b.sources, src, netip.Addr.Compare); found {
			common++
		}
	}
	return a.start <= b.end+gap && b.start <= a.end+gap && 2*common >= min(len(a.sources), len(b.sources))
}

// storms is rule 4.
func (g *grouping) storms() {
	byPeer := map[string][]int{}
	var order []string
	plain := g.plainSessions()
	for i, f := range g.fs {
		if !refusedOnly(f) && !plain[i] || explained(f) || !dated(f) {
			continue
		}
		for _, p := range peersOf(f) {
			if plain[i] {
				p = "session " + p
			}
			if byPeer[p] == nil {
				order = append(order, p)
			}
			byPeer[p] = append(byPeer[p], i)
		}
	}
	var refused []storm
	for _, p := range order {
		for _, s := range g.stormsAt(byPeer[p]) {
			if plain[s.first] {
				continue
			}
			for i := range refused {
				if refused[i].alike(&s, g.opt.SourceGap) {
					g.join(refused[i].first, s.first)
				}
			}
			refused = append(refused, s)
		}
	}
}

// stormsAt joins the storms among findings with a common peer, in order of start.
func (g *grouping) stormsAt(members []int) (out []storm) {
	for from := 0; from < len(members); {
		to, end := from+1, g.fs[members[from]].End
		for to < len(members) && g.fs[members[to]].Start <= end+g.opt.SourceGap {
			end = max(end, g.fs[members[to]].End)
			to++
		}
		var sources []netip.Addr
		for _, m := range members[from:to] {
			sources = append(sources, sourcesOf(g.fs[m])...)
		}
		slices.SortFunc(sources, netip.Addr.Compare)
		if sources = slices.Compact(sources); len(sources) >= stormSources {
			for _, m := range members[from:to] {
				g.join(members[from], m)
				g.storm[m] = true
			}
			out = append(out, storm{members[from], g.fs[members[from]].Start, end, sources})
		}
		from = to
	}
	return out
}

// entryGap bounds SpreadGap where somebody from the internet logged in and went on.
const entryGap = 2 * hour

// spread is rule 3. What a refused burst aimed at was not reached, nor what failed on first contact; a host that
// was one of many in a sweep has to do more than be refused itself. What is only
// worth knowing (SSH from the internet that may have come to nothing) joins nothing.
func (g *grouping) spread() {
	bySource := map[netip.Addr][]int{}
	for i, f := range g.fs {
		if f.SrcIP.IsValid() && dated(f) && !g.storm[i] {
			bySource[f.SrcIP] = append(bySource[f.SrcIP], i)
		}
	}
	for i, a := range g.fs {
		if !dated(a) || refusedOnly(a) || a.Detector == "first_contact" || !a.SrcIP.IsValid() || a.Severity == firetrail.SeverityInfo {
			continue
		}
		entry := hasPart(a, "inbound") // what a run is known to have done, or was refused, is no intruder's
		gap := g.opt.SpreadGap
		if entry { // a host that people log in from reaches others all day
			gap = min(gap, entryGap)
		}
		many := a.Targeted > maxPeers || len(a.Targets) > maxPeers
		for ip, at := range reached(a) {
			for _, j := range bySource[ip] {
				b := g.fs[j]
				soon := b.Start >= at && b.Start <= at+gap
				own := g.runOf(b) != "" || refusedOnly(b)
				if ip != a.SrcIP && soon && !g.parted(a, b) && !(many && refusedOnly(b)) && !(entry && own) {
					g.join(i, j)
				}
			}
		}
	}
}

// reached gives the addresses that a finding reached, and when it first did.
func reached(f *firetrail.Finding) map[netip.Addr]int64 {
	out := map[netip.Addr]int64{}
	note := func(a netip.Addr, at int64) {
		if at == 0 || at == firetrail.Absent {
			at = f.Start
		}
		if old, known := out[a]; !known || at < old {
			out[a] = at
		}
	}
	for _, t := range f.Targets {
		if t.IP.IsValid() {
			note(t.IP, t.First)
		}
	}
	if a, err := netip.ParseAddr(f.Dst); err == nil {
		if _, known := out[a]; !known {
			note(a, f.Start)
		}
	}
	return out
}

// incidentID is the same for the same findings.
func incidentID(group []*firetrail.Finding) string {
	ids := make([]string, len(group))
	for i, f := range group {
		ids[i] = f.ID
	}
	slices.Sort(ids)
	h := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	return "i-" + hex.EncodeToString(h[:6])
}

// Gravest orders incidents for reading: the gravest first, then by start and id.
// The slice that is given stays as it is.
func Gravest(incidents []firetrail.Incident) []firetrail.Incident {
	out := slices.Clone(incidents)
	slices.SortStableFunc(out, func(a, b firetrail.Incident) int {
		return cmp.Or(cmp.Compare(firetrail.SeverityRank(b.Severity), firetrail.SeverityRank(a.Severity)),
			cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
	})
	return out
}
