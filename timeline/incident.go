package timeline

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// Bounds of what an incident lists.
const (
	maxTargets   = 64
	maxElsewhere = 16
)

// makeIncident tells one group of findings, in order of start.
func makeIncident(group []*firetrail.Finding) firetrail.Incident {
	inc := firetrail.Incident{ID: incidentID(group), Severity: firetrail.SeverityInfo, Start: firetrail.Absent, End: firetrail.Absent}
	targets := map[firetrail.Target]bool{}
	for _, f := range group {
		if firetrail.SeverityRank(f.Severity) > firetrail.SeverityRank(inc.Severity) {
			inc.Severity = f.Severity
		}
		if dated(f) && (inc.Start == firetrail.Absent || f.Start < inc.Start) {
			inc.Start = f.Start
		}
		inc.End = max(inc.End, f.End)
		inc.Open = inc.Open || f.Open
		inc.Findings = append(inc.Findings, f.ID)
		inc.Detectors = append(inc.Detectors, f.Detector)
		inc.Sources = append(inc.Sources, sourcesOf(f)...)
		inc.EvidenceCount += int64(len(f.Evidence))
		for _, t := range targetsOf(f) {
			t.First = 0
			if !targets[t] {
				targets[t] = true
				inc.Targets = append(inc.Targets, t)
			}
		}
		for _, u := range f.Untested {
			if !slices.Contains(inc.Unseen, u) {
				inc.Unseen = append(inc.Unseen, u)
			}
		}
	}
	slices.Sort(inc.Detectors)
	inc.Detectors = slices.Compact(inc.Detectors)
	slices.SortFunc(inc.Sources, netip.Addr.Compare)
	inc.Sources = slices.Compact(inc.Sources)
	if n := len(inc.Targets); n > maxTargets {
		inc.Targets = inc.Targets[:maxTargets]
		inc.Unseen = append(inc.Unseen, fmt.Sprintf("%d more targets are listed with the findings only", n-maxTargets))
	}
	inc.FirstSign = firstSign(group)
	inc.Phases = phases(group)
	inc.Attribution = combine(group)
	if inc.Open {
		inc.Unseen = append(inc.Unseen, "it went on at the end of the data: what came after is not known")
	}
	inc.Title = title(&inc, group)
	return inc
}

func targetsOf(f *firetrail.Finding) []firetrail.Target {
	if len(f.Targets) > 0 {
		return f.Targets
	}
	if a, err := netip.ParseAddr(f.Dst); err == nil {
		return []firetrail.Target{{IP: a, Port: f.DstPort, Host: f.Host}}
	}
	return nil
}

// firstSign is the event of the earliest dated evidence.
func firstSign(group []*firetrail.Finding) string {
	var first *firetrail.Evidence
	for _, f := range group {
		for i := range f.Evidence {
			e := &f.Evidence[i]
			if e.Time == firetrail.Absent {
				continue
			}
			if first == nil || cmp.Or(cmp.Compare(e.Time, first.Time), cmp.Compare(e.Origin.Source, first.Origin.Source), cmp.Compare(e.Offset, first.Offset)) < 0 {
				first = e
			}
		}
	}
	if first == nil {
		return ""
	}
	return first.ID()
}

// background is the id of the candidate "no run of the inventory".
const background = "background"

// combine makes one attribution of a group's. Findings of one subject rest on
// the same leases, so their probabilities are not multiplied. Where all that
// name a run name the same one, the surest of them speaks for the group; where
// they contradict each other, the mean over all findings does, and says so.
func combine(group []*firetrail.Finding) firetrail.Attribution {
	best, conflict, why := strongest(group)
	if best == nil {
		return firetrail.Attribution{Unattributed: why, Candidates: pool(group), Against: against(group, nil)}
	}
	a := firetrail.Attribution{Run: &firetrail.RunRef{ID: best.Run.ID, Probability: best.Run.Probability, Level: best.Run.Level}}
	if conflict == "" {
		a.Candidates = slices.Clone(best.Candidates)
	} else {
		a.Candidates = pool(group)
		a.Run = nil
		if len(a.Candidates) > 0 && a.Candidates[0].ID == best.Run.ID && a.Candidates[0].Probability >= 0.5 {
			a.Run = &firetrail.RunRef{ID: best.Run.ID, Probability: a.Candidates[0].Probability, Level: best.Run.Level}
		} else {
			a.Unattributed = conflict
		}
	}
	for _, f := range group {
		if f.Run == nil || f.Run.ID != best.Run.ID {
			continue
		}
		for _, l := range f.Leases {
			if !slices.Contains(a.Leases, l) && len(a.Leases) < maxElsewhere {
				a.Leases = append(a.Leases, l)
			}
		}
		for _, c := range f.Calls {
			if !slices.Contains(a.Calls, c) && len(a.Calls) < maxElsewhere {
				a.Calls = append(a.Calls, c)
			}
		}
		if f.Run.Level == best.Run.Level {
			a.Candidates = addReasons(a.Candidates, f)
		}
	}
	a.Against = against(group, best)
	if conflict != "" {
		a.Against = append([]string{conflict}, a.Against...)
	}
	return a
}

// strongest is the surest finding with a run, by level and probability; conflict
// says which other run findings name as surely as an even chance.
func strongest(group []*firetrail.Finding) (best *firetrail.Finding, conflict, why string) {
	for _, f := range group {
		switch {
		case f.Run == nil:
			why = cmp.Or(why, f.Unattributed)
		case best == nil || cmp.Or(cmp.Compare(f.Run.Level, best.Run.Level), cmp.Compare(f.Run.Probability, best.Run.Probability)) > 0:
			best = f
		}
	}
	if best == nil {
		return nil, "", cmp.Or(why, "no finding was attributed")
	}
	var others []string
	n := 0
	for _, f := range group {
		if f.Run != nil && f.Run.ID != best.Run.ID && f.Run.Probability >= 0.5 {
			n++
			if !slices.Contains(others, f.Run.ID) {
				others = append(others, f.Run.ID)
			}
		}
	}
	if n > 0 {
		slices.Sort(others)
		rest := ""
		if len(others) > 4 {
			others, rest = others[:4], " and others"
		}
		conflict = fmt.Sprintf("%d of %d findings point to other runs than %s: %s%s", n, len(group), best.Run.ID, strings.Join(others, ", "), rest)
	}
	return best, conflict, ""
}

// pool is the mean of the findings' candidates, with the reasons of the surest.
func pool(group []*firetrail.Finding) []firetrail.Candidate {
	n := 0
	sum := map[string]float64{}
	reasons := map[string]firetrail.Candidate{}
	var ids []string
	for _, f := range group {
		if len(f.Candidates) == 0 {
			continue
		}
		n++
		for _, c := range f.Candidates {
			if _, known := sum[c.ID]; !known {
				ids = append(ids, c.ID)
			}
			sum[c.ID] += c.Probability
			if c.Probability > reasons[c.ID].Probability || reasons[c.ID].ID == "" {
				reasons[c.ID] = c
			}
		}
	}
	out := make([]firetrail.Candidate, 0, len(ids))
	for _, id := range ids {
		c := reasons[id]
		c.Probability = sum[id] / float64(n)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b firetrail.Candidate) int {
		return cmp.Or(cmp.Compare(b.Probability, a.Probability), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// addReasons adds what another finding, as sure, knows of the same runs.
func addReasons(to []firetrail.Candidate, f *firetrail.Finding) []firetrail.Candidate {
	for i := range to {
		for _, c := range f.Candidates {
			if c.ID != to[i].ID || c.ID == background {
				continue
			}
			for _, r := range c.Reasons {
				if len(to[i].Reasons) < maxElsewhere && !slices.Contains(to[i].Reasons, r) {
					to[i].Reasons = append(slices.Clip(to[i].Reasons), r)
				}
			}
		}
	}
	return to
}

// against gathers what speaks against the findings' attributions, the surest's
// first. What speaks against a less sure one alone does not speak against the
// incident's.
func against(group []*firetrail.Finding, best *firetrail.Finding) []string {
	var out []string
	take := func(f *firetrail.Finding) {
		for _, s := range f.Against {
			if len(out) < maxElsewhere && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	if best != nil {
		take(best)
	}
	for _, f := range group {
		if best == nil || f.Run != nil && (f.Run.ID != best.Run.ID || f.Run.Level == best.Run.Level) {
			take(f)
		}
	}
	return out
}

// elsewhere names for each incident the other incidents, and findings of no
// incident, in which the same detectors saw the same peers.
func elsewhere(incidents []firetrail.Incident, findings []firetrail.Finding) {
	type sign struct{ detector, peer string }
	home := map[string]string{} // finding → incident
	for i := range incidents {
		for _, id := range incidents[i].Findings {
			home[id] = incidents[i].ID
		}
	}
	sorted := make([]*firetrail.Finding, len(findings))
	byID := map[string]*firetrail.Finding{}
	for i := range findings {
		sorted[i] = &findings[i]
		byID[findings[i].ID] = &findings[i]
	}
	slices.SortFunc(sorted, compareFindings)
	seen := map[sign][]*firetrail.Finding{}
	for _, f := range sorted {
		for _, p := range peersOf(f) {
			seen[sign{f.Detector, p}] = append(seen[sign{f.Detector, p}], f)
		}
	}
	for i := range incidents {
		inc := &incidents[i]
		var order []string // of the other places
		first := map[string]*firetrail.Finding{}
		what := map[string][]string{}
		for _, id := range inc.Findings {
			f := byID[id]
			for _, p := range peersOf(f) {
				for _, o := range seen[sign{f.Detector, p}] {
					where := "incident " + home[o.ID]
					if home[o.ID] == "" {
						where = "finding " + o.ID
					}
					if home[o.ID] == inc.ID || first[where] == nil && len(order) == maxElsewhere {
						continue
					}
					if first[where] == nil {
						order, first[where] = append(order, where), o
					}
					told := func(act string) bool { return strings.HasPrefix(act, f.Detector+" ") }
					if !slices.ContainsFunc(what[where], told) { // one peer a detector is enough
						what[where] = append(what[where], f.Detector+" to "+strings.TrimSuffix(p, " -1"))
					}
				}
			}
		}
		for _, where := range order {
			o := first[where]
			who := "no run known"
			if o.Run != nil {
				who = "run " + o.Run.ID
			}
			inc.Elsewhere = append(inc.Elsewhere, fmt.Sprintf("%s also from %s at %s (%s, %s)", list(what[where]), sourceText(sourcesOf(o)), firetrail.Stamp(o.Start), who, where))
		}
	}
}

func sourceText(a []netip.Addr) string {
	switch len(a) {
	case 0:
		return "an unknown source"
	case 1:
		return a[0].String()
	}
	return fmt.Sprintf("%d sources", len(a))
}
