package tui

import (
	"fmt"
	"net/netip"
	"strings"

	"firetrail"
)

// newFinding shows what one detector says: the terms of its score and the
// records that prove it.
func newFinding(f *firetrail.Finding) screen {
	return &document{
		is: kindFinding, title: firetrail.Inert(f.ID),
		make: func(m *model) []item { return findingDetail(m, f) },
		events: func(*model) (firetrail.Query, bool) {
			return eventsOf(sourcesOf(f), f.Start, f.End)
		},
	}
}

func sourcesOf(f *firetrail.Finding) []netip.Addr {
	if f.SrcIP.IsValid() {
		return []netip.Addr{f.SrcIP}
	}
	return f.Sources
}

func findingDetail(m *model, f *firetrail.Finding) []item {
	w := &writer{}
	w.text(strong, "", f.Title)
	w.text(severityStyle(f.Severity), "severity  ", fmt.Sprintf("%s, score %s, by %s", f.Severity, number(f.Score), f.Detector))
	w.text(plain, "when      ", m.bounds(f.Start, f.End, f.Open))
	w.text(plain, "sources   ", addresses(sourcesOf(f), 16))
	if dst := destination(f); dst != "" {
		w.text(plain, "to        ", dst)
	}
	w.targets(f.Targets, f.Targeted)
	w.text(plain, "events    ", thousands(f.Count))
	if len(f.Attack) > 0 {
		w.text(plain, "ATT&CK    ", strings.Join(f.Attack, ", "))
	}
	w.score(f.Why)
	w.evidence(m, f.Evidence)
	w.attribution(m, &f.Attribution)
	if len(f.Benign) > 0 {
		w.head("Could be harmless")
		w.texts("- ", f.Benign)
	}
	if len(f.Untested) > 0 {
		w.head("These logs cannot show")
		w.texts("- ", f.Untested)
	}
	return w.items
}

func destination(f *firetrail.Finding) string {
	dst := f.Dst
	if f.DstPort != firetrail.Absent {
		if a, err := netip.ParseAddr(dst); err == nil {
			dst = netip.AddrPortFrom(a, uint16(f.DstPort)).String()
		} else {
			dst = strings.TrimSpace(fmt.Sprintf("%s port %d", dst, f.DstPort))
		}
	}
	if f.Host != "" {
		dst = strings.TrimSpace(dst + " (" + f.Host + ")")
	}
	return dst
}

// score lists the terms and their sum.
func (w *writer) score(parts []firetrail.Part) {
	w.head("Why")
	sum := 0.0
	for _, p := range parts {
		sum += p.Points
		value := p.Part + " " + number(p.Value)
		if p.Threshold != 0 {
			value += " against " + number(p.Threshold)
		}
		w.text(plain, fmt.Sprintf("%+7.2f  ", p.Points), p.Text+" ["+value+"]")
	}
	w.text(strong, fmt.Sprintf("%+7.2f  ", sum), "points in all")
}

// evidence lists records; enter opens one.
func (w *writer) evidence(m *model, list []firetrail.Evidence) {
	w.head(fmt.Sprintf("Evidence: %s; enter opens the original bytes", plural(int64(len(list)), "record")))
	for _, e := range list {
		head := firetrail.Inert(fmt.Sprintf("%s  %s:%d", m.stamp(e.Time), e.Path, e.Line))
		if e.Note != "" {
			head += "  " + firetrail.Inert(e.Note)
		}
		raw := "  " + firetrail.Inert(string(e.Raw[:min(len(e.Raw), 4096)]))
		it := w.add(func(int) []line { return []line{{text: head, style: cyan}, {text: raw}} })
		it.open = func() screen { return newRecord(e.ID(), e.SHA256) }
	}
}
