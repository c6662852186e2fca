package simulate

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"firetrail"
)

const (
	matchSlack = 2 * minute
	maxFalse   = 200
)

// matcher joins findings with behaviours.
type matcher struct {
	truth Truth
	hits  [][]int // behaviour → findings of class or also
	owner [][]int // finding → behaviours
}

// Judge scores results against the truth.
func Judge(t Truth, r firetrail.Results) Score {
	m := matcher{truth: t, hits: make([][]int, len(t.Planted)), owner: make([][]int, len(r.Findings))}
	for k := range r.Findings {
		f := &r.Findings[k]
		most := 0
		for i := range t.Planted {
			if t.Planted[i].Records > 0 && belongs(&t.Planted[i], f) {
				m.owner[k] = append(m.owner[k], i)
				most = max(most, t.Planted[i].aimed(f))
			}
		}
		m.owner[k] = slices.DeleteFunc(m.owner[k], func(i int) bool { return 2*t.Planted[i].aimed(f) < most })
		for _, i := range m.owner[k] {
			m.hits[i] = append(m.hits[i], k)
		}
	}
	s := Score{}
	for _, u := range r.Untestable {
		s.Undetectable = append(s.Undetectable, u.Detector)
	}
	verdicts := m.incidents(&s, &r)
	m.detectors(&s, &r)
	m.behaviours(&s, &r, verdicts)
	m.bounds(&s, &r)
	return s
}

// belongs reports whether the finding speaks of the behaviour: its detector is
// one of the behaviour's, the times meet, and so do sources and peers.
func belongs(p *Planted, f *firetrail.Finding) bool {
	if f.Detector != p.Class && !slices.Contains(p.Also, f.Detector) {
		return false
	}
	first, last := p.bounds()
	first, last = min(first, p.Start.UnixNano()), max(last, p.End.UnixNano())
	if f.Start > last+matchSlack || f.End < first-matchSlack || !p.peers(f) {
		return false
	}
	if f.SrcIP.IsValid() {
		return p.from(f.SrcIP)
	}
	return slices.ContainsFunc(f.Sources, p.from)
}

// peers reports whether one of the finding's peers is one of the behaviour's; a
// finding that names no address agrees with all.
func (p *Planted) peers(f *firetrail.Finding) bool {
	named := false
	for _, t := range f.Targets {
		if t.IP.IsValid() {
			named = true
			if slices.Contains(p.Targets, t.IP) {
				return true
			}
		}
	}
	if a, err := netip.ParseAddr(f.Dst); err == nil {
		return slices.Contains(p.Targets, a)
	}
	if n, err := netip.ParsePrefix(f.Dst); err == nil {
		return slices.ContainsFunc(p.Targets, n.Contains)
	}
	return !named
}

// aimed counts the finding's peers that are the behaviour's. Of several behaviours a finding
// belongs to those whose peers are most of its own: what happened beside them on the same
// address at the same time is in its records by the way.
func (p *Planted) aimed(f *firetrail.Finding) int {
	n := 0
	for _, t := range f.Targets {
		if slices.Contains(p.Targets, t.IP) {
			n++
		}
	}
	return n
}

// from reports whether the address is one of the behaviour's.
func (p *Planted) from(a netip.Addr) bool {
	return slices.Contains(p.Sources, a) || slices.Contains(p.Outside, a) || slices.Contains(p.Relays, a)
}

// found reports whether the behaviour's own detector spoke, of its own source.
func (m *matcher) found(i int, r *firetrail.Results) bool {
	return slices.ContainsFunc(m.hits[i], func(k int) bool { return r.Findings[k].Detector == m.truth.Planted[i].Class })
}

// incidents scores the incidents and tells each behaviour's verdicts.
func (m *matcher) incidents(s *Score, r *firetrail.Results) [][]string {
	index := map[string]int{}
	for k := range r.Findings {
		index[r.Findings[k].ID] = k
	}
	verdicts := make([][]string, len(m.truth.Planted))
	s.Incidents.Incidents = len(r.Incidents)
	s.Incidents.FalseIDs = []string{}
	for _, inc := range r.Incidents {
		var mine []int
		runs := map[string]bool{}
		for _, id := range inc.Findings {
			k, ok := index[id]
			if !ok {
				continue
			}
			for _, i := range m.owner[k] {
				if m.truth.Planted[i].Expect == ExpectSilence {
					continue
				}
				if !slices.Contains(mine, i) {
					mine = append(mine, i)
				}
				if run := m.truth.Planted[i].Run; run != nil {
					runs[*run] = true
				}
			}
		}
		if len(mine) == 0 {
			s.Incidents.False++
			s.Incidents.FalseIDs = append(s.Incidents.FalseIDs, inc.ID)
		}
		if len(runs) > 1 {
			s.Incidents.Mixed++
		}
		for _, i := range mine {
			verdicts[i] = append(verdicts[i], inc.Cause.Verdict)
		}
	}
	return verdicts
}

func (m *matcher) detectors(s *Score, r *firetrail.Results) {
	row := func(name string) *DetectorScore {
		i := slices.IndexFunc(s.Detectors, func(d DetectorScore) bool { return d.Detector == name })
		if i < 0 {
			s.Detectors = append(s.Detectors, DetectorScore{Detector: name})
			i = len(s.Detectors) - 1
		}
		return &s.Detectors[i]
	}
	for i := range m.truth.Planted {
		p := &m.truth.Planted[i]
		if p.Records == 0 {
			s.Invisible++
		} else if !p.Testable {
			s.Silent++
		}
		if !p.Testable || p.Expect != ExpectReport {
			continue
		}
		d := row(p.Class)
		d.Planted++
		if m.found(i, r) {
			d.Found++
		}
	}
	s.False = []FalseFinding{}
	for k := range r.Findings {
		f := &r.Findings[k]
		d := row(f.Detector)
		d.Findings++
		right, wanted := false, ""
		for _, i := range m.owner[k] {
			if m.truth.Planted[i].Expect == ExpectSilence {
				wanted = m.truth.Planted[i].Scenario
			} else {
				right = true
			}
		}
		if right {
			d.Right++
			continue
		}
		d.False++
		s.FalseListed++
		if len(s.False) < maxFalse {
			s.False = append(s.False, FalseFinding{f.ID, f.Detector, f.Severity, f.Title, source(f), firetrail.Stamp(f.Start), f.Count, wanted})
		}
	}
	for i := range s.Detectors {
		d := &s.Detectors[i]
		d.Recall, d.Precision = share(d.Found, d.Planted), share(d.Right, d.Findings)
	}
	slices.SortFunc(s.Detectors, func(a, b DetectorScore) int { return cmp.Compare(a.Detector, b.Detector) })
	s.FalseListed = len(s.False)
}

func source(f *firetrail.Finding) string {
	if f.SrcIP.IsValid() {
		return f.SrcIP.String()
	}
	if len(f.Sources) > 0 {
		return f.Sources[0].String() + " …"
	}
	return ""
}

// share is a of b, 1 for nothing of nothing.
func share(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// best is the finding that speaks of the behaviour most directly: of its class
// before others, then by the probability of its run, then by score.
func (m *matcher) best(i int, r *firetrail.Results) *firetrail.Finding {
	var best *firetrail.Finding
	rank := func(f *firetrail.Finding) (int, float64, float64) {
		class, p := 0, 0.0
		if f.Detector == m.truth.Planted[i].Class {
			class = 1
		}
		if f.Run != nil {
			p = f.Run.Probability
		}
		return class, p, f.Score
	}
	for _, k := range m.hits[i] {
		f := &r.Findings[k]
		if best == nil {
			best = f
			continue
		}
		c1, p1, s1 := rank(f)
		c2, p2, s2 := rank(best)
		if cmp.Or(cmp.Compare(c1, c2), cmp.Compare(p1, p2), cmp.Compare(s1, s2)) > 0 {
			best = f
		}
	}
	return best
}

// tally counts one answer to "which run": said at probability p, where the
// truth is run.
type tally struct {
	brier  float64
	scored int
}

func (t *tally) count(a *AttributionScore, run, said string, p float64, attributable bool) {
	a.Behaviours++
	right := said != "" && said == run
	if said != "" {
		target := 0.0
		if right {
			target = 1
		}
		t.brier += (p - target) * (p - target)
		t.scored++
		if !right && p >= 0.9 {
			a.Certain++
		}
	}
	switch {
	case !attributable:
		if said == "" || right || p < 0.9 {
			a.Honest++
		}
		return
	case right:
		a.Right++
	case said == "":
		a.Abstained++
	default:
		a.Wrong++
	}
	a.Attributable++
}

func (t *tally) finish(a *AttributionScore) {
	a.Top1 = share(a.Right, a.Attributable)
	if a.Attributable > 0 {
		a.Abstention = share(a.Abstained, a.Attributable)
	}
	if t.scored > 0 {
		a.Brier = t.brier / float64(t.scored)
	}
}

// behaviour tells what was said of one planted behaviour.
func (m *matcher) behaviour(i int, r *firetrail.Results, verdicts []string) BehaviourScore {
	p := &m.truth.Planted[i]
	b := BehaviourScore{ID: p.ID, Scenario: p.Scenario, Class: p.Class, Expect: p.Expect, Records: p.Records, Kinds: p.Kinds, Found: m.found(i, r), Cause: p.Cause, Why: p.Why,
		By: []string{}, Findings: []string{}}
	if len(p.Sources) > 0 {
		b.Source = p.Sources[0].String()
	}
	if p.Run != nil {
		b.Run = *p.Run
	}
	for _, k := range m.hits[i] {
		f := &r.Findings[k]
		b.Findings = append(b.Findings, f.ID)
		if !slices.Contains(b.By, f.Detector) {
			b.By = append(b.By, f.Detector)
		}
	}
	slices.Sort(b.By)
	if f := m.best(i, r); f != nil {
		b.Unattributed = f.Unattributed
		if f.Run != nil {
			b.Said, b.Probability, b.Level = f.Run.ID, f.Run.Probability, f.Run.Level
		}
	}
	b.Verdict = worst(verdicts)
	return b
}

func (m *matcher) behaviours(s *Score, r *firetrail.Results, verdicts [][]string) {
	var whole, each tally
	for i := range m.truth.Planted {
		p := &m.truth.Planted[i]
		b := m.behaviour(i, r, verdicts[i])
		if len(m.hits[i]) > 0 && p.Expect != ExpectSilence {
			m.cause(s, p.Cause, b.Verdict)
			whole.count(&s.Attribution, b.Run, b.Said, b.Probability, p.Attributable)
		}
		s.Behaviours = append(s.Behaviours, b)
	}
	whole.finish(&s.Attribution)
	for k := range r.Findings {
		m.finding(&each, &s.EachFinding, k, &r.Findings[k])
	}
	each.finish(&s.EachFinding)
}

// finding counts one finding; of several behaviours that it belongs to, the one
// whose run it names is taken, else the first.
func (m *matcher) finding(t *tally, a *AttributionScore, k int, f *firetrail.Finding) {
	said, p := "", 0.0
	if f.Run != nil {
		said, p = f.Run.ID, f.Run.Probability
	}
	taken := -1
	for _, i := range m.owner[k] {
		own := &m.truth.Planted[i]
		if own.Expect == ExpectSilence {
			continue
		}
		if taken < 0 || own.Run != nil && *own.Run == said {
			taken = i
		}
	}
	if taken < 0 {
		return
	}
	run := ""
	if own := m.truth.Planted[taken].Run; own != nil {
		run = *own
	}
	t.count(a, run, said, p, m.truth.Planted[taken].Attributable)
}

// worst is the verdict that accuses most: an agent before a host before the
// configuration before none.
func worst(verdicts []string) string {
	for _, v := range []string{causeAgent, causeHost, causeConfig, firetrail.VerdictUndetermined} {
		if slices.Contains(verdicts, v) {
			return v
		}
	}
	return ""
}

func (m *matcher) cause(s *Score, truth, verdict string) {
	i := slices.IndexFunc(s.Causes, func(c CauseRow) bool { return c.Truth == truth })
	if i < 0 {
		s.Causes = append(s.Causes, CauseRow{Truth: truth})
		slices.SortFunc(s.Causes, func(a, b CauseRow) int { return cmp.Compare(a.Truth, b.Truth) })
		i = slices.IndexFunc(s.Causes, func(c CauseRow) bool { return c.Truth == truth })
	}
	row := &s.Causes[i]
	switch verdict {
	case causeAgent:
		row.Agent++
	case causeHost:
		row.Host++
	case causeConfig:
		row.Misconfiguration++
	default:
		row.Undetermined++
	}
}

func (m *matcher) bounds(s *Score, r *firetrail.Results) {
	var starts, ends []float64
	for i := range m.truth.Planted {
		p := &m.truth.Planted[i]
		if p.Expect != ExpectReport {
			continue
		}
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		for _, k := range m.hits[i] {
			if f := &r.Findings[k]; f.Detector == p.Class {
				first, last = min(first, f.Start), max(last, f.End)
			}
		}
		if first == math.MaxInt64 {
			continue
		}
		starts = append(starts, math.Abs(float64(first-p.Start.UnixNano()))/1e9)
		ends = append(ends, math.Abs(float64(last-p.End.UnixNano()))/1e9)
	}
	s.Bounds = BoundsScore{Count: len(starts), StartMedian: quantile(starts, 0.5), StartP90: quantile(starts, 0.9), EndMedian: quantile(ends, 0.5), EndP90: quantile(ends, 0.9)}
}

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}
