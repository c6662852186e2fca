package detect

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// Points are on one scale in every detector: below 1 only worth knowing (info),
// from 1 low, from 3 medium, from 5 high, from 7 critical. The score is their sum
// over FullScore, kept within 0 and 1.
const FullScore = 8

// Score maps a sum of points to 0..1, three decimals.
func Score(points float64) float64 {
	return math.Round(1000*max(0, min(1, points/FullScore))) / 1000
}

// Severity maps a sum of points to a level.
func Severity(points float64) string {
	switch points = math.Round(points*1e6) / 1e6; {
	case points >= 7:
		return firetrail.SeverityCritical
	case points >= 5:
		return firetrail.SeverityHigh
	case points >= 3:
		return firetrail.SeverityMedium
	case points >= 1:
		return firetrail.SeverityLow
	}
	return firetrail.SeverityInfo
}

// Draft is a finding in the making: all targets are still known.
type Draft struct {
	detector *Detector
	src      netip.Addr
	sources  []netip.Addr // where it is of several at once; src is then invalid
	dst      string
	port     int64
	host     string
	title    string
	parts    []firetrail.Part
	attack   []string // beyond the detector's own
	benign   []string
	untested []string
	open     bool
	trail    trail
}

// partRefused names the part of a score that says that nothing of it got through.
const partRefused = "refused"

// part adds one term of the score.
func (d *Draft) part(name string, value, threshold, points float64, format string, args ...any) {
	d.parts = append(d.parts, firetrail.Part{Part: name, Value: round3(value), Threshold: round3(threshold), Points: points,
		Text: fmt.Sprintf(format, args...)})
}

func (d *Draft) points() float64 {
	sum := 0.0
	for _, p := range d.parts {
		sum += p.Points
	}
	return sum
}

// joined gives the first of drafts with most points what all have gathered: it stands for
// the others.
func joined(drafts []*Draft) *Draft {
	lead := drafts[0]
	for _, d := range drafts[1:] {
		if d.points() > lead.points() {
			lead = d
		}
	}
	var others []*trail
	for _, d := range drafts {
		if d != lead {
			others = append(others, &d.trail)
		}
	}
	lead.trail.merge(others...)
	return lead
}

func round3(v float64) float64 { return math.Round(v*1000) / 1000 }

// finish makes the finding.
func (d *Draft) finish(l *Lab) firetrail.Finding {
	evidence := d.trail.evidence()
	targets, targeted := d.trail.list()
	f := firetrail.Finding{
		ID: d.id(evidence), Detector: d.detector.Name, Title: d.title,
		Severity: Severity(d.points()), Score: Score(d.points()),
		SrcIP: d.src, Sources: d.sources, Dst: d.dst, DstPort: d.port, Host: d.host,
		Start: d.trail.start, End: d.trail.end, Open: d.open, Count: d.trail.count,
		Targets: targets, Targeted: targeted,
		Attack: append(slices.Clone(d.detector.Attack), d.attack...),
		Why:    d.parts, Benign: d.benign, Untested: d.untested,
		Bursts: joinBursts(slices.Clone(d.trail.bursts)), Evidence: evidence,
	}
	slices.Sort(f.Attack)
	f.Attack = slices.Compact(f.Attack)
	return f
}

// id names the finding by what it is about, the same on every machine.
func (d *Draft) id(evidence []firetrail.Evidence) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%d\n%s\n", d.detector.Name, firetrail.AddrText(d.src), d.dst, d.port, d.host)
	if len(evidence) > 0 {
		fmt.Fprintf(h, "%s\n%d\n", evidence[0].Source, evidence[0].Offset)
	}
	return "f-" + hex.EncodeToString(h.Sum(nil))[:12]
}

func compareFindings(a, b firetrail.Finding) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), a.SrcIP.Compare(b.SrcIP), strings.Compare(a.Detector, b.Detector), strings.Compare(a.ID, b.ID))
}

// covers reports whether what the other draft is about is the draft's own: the same
// peer, the same name (a resolver inside asks another outside), or peers that it lists.
func (d *Draft) covers(o *Draft) bool {
	if o.dst == d.dst && o.port == d.port || o.host != "" && o.host == d.host {
		return true
	}
	for k := range o.trail.targets {
		if _, ok := d.trail.targets[k]; !ok {
			return false
		}
	}
	return len(o.trail.targets) > 0
}

// foldNAT drops findings whose source is a translated address where the same
// thing was found of a source inside at the same time: one connection, seen
// behind the translation as well. Its records become evidence of the inner one.
func (l *Lab) foldNAT(drafts []*Draft) []*Draft {
	return slices.DeleteFunc(drafts, func(d *Draft) bool {
		if !l.translated(d.src) {
			return false
		}
		for _, in := range drafts {
			if in != d && in.src.IsValid() && !l.translated(in.src) && in.detector.Name == d.detector.Name && in.covers(d) &&
				in.trail.start <= d.trail.end+sameSession && d.trail.start <= in.trail.end+sameSession {
				count, sessions := in.trail.count, in.trail.sessions
				in.trail.merge(&d.trail)
				in.trail.count, in.trail.sessions = count, sessions
				return true
			}
		}
		return false
	})
}
