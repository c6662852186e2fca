package detect

import (
	"net/netip"
	"slices"

	"firetrail"
)

// subject is what an allow entry is held against.
type subject struct {
	src      netip.Addr
	targets  []firetrail.Target
	complete bool // targets are all there are
	host     string
	title    string
}

// allow takes out the drafts that an entry covers and counts them by entry. An
// entry that had expired at the end of the data suppresses nothing; what it would
// have covered is counted. Entries limited to a run wait for SuppressRuns.
func (l *Lab) allow(drafts []*Draft) ([]*Draft, []firetrail.Suppressed) {
	counts := newSuppressed(l.cfg.Allow, l.End(), func(a firetrail.Allow) bool { return a.Run == "" })
	kept := slices.DeleteFunc(drafts, func(d *Draft) bool {
		sub := subject{src: d.src, complete: d.trail.crowded == 0, host: d.host, title: d.title}
		for k, x := range d.trail.targets {
			sub.targets = append(sub.targets, firetrail.Target{IP: k.ip, Port: k.port, Host: x.host})
		}
		return counts.take(&sub, l.names.byDst, "")
	})
	return kept, counts.list()
}

// SuppressRuns applies the entries of an allow list that are limited to a run,
// once findings are attributed. End is the end of the data. The findings that
// remain keep their order.
func SuppressRuns(findings []firetrail.Finding, allow []firetrail.Allow, end int64) ([]firetrail.Finding, []firetrail.Suppressed) {
	counts := newSuppressed(allow, end, func(a firetrail.Allow) bool { return a.Run != "" })
	kept := slices.DeleteFunc(slices.Clone(findings), func(f firetrail.Finding) bool {
		if f.Run == nil {
			return false
		}
		sub := subject{src: f.SrcIP, targets: f.Targets, complete: f.Targeted <= int64(len(f.Targets)), host: f.Host, title: f.Title}
		return counts.take(&sub, nil, f.Run.ID)
	})
	return kept, counts.list()
}

// suppressed counts by entry, in the order of the allow list.
type suppressed struct {
	entries []firetrail.Allow
	rows    []firetrail.Suppressed
}

func newSuppressed(allow []firetrail.Allow, end int64, use func(firetrail.Allow) bool) *suppressed {
	s := &suppressed{}
	for _, a := range allow {
		if !use(a) {
			continue
		}
		s.entries = append(s.entries, a)
		s.rows = append(s.rows, firetrail.Suppressed{Entry: a.Entry, Reason: a.Reason, Where: a.Where,
			Expired: a.Expires != firetrail.Absent && end != firetrail.Absent && a.Expires < end})
	}
	return s
}

// take reports whether a valid entry covers the subject, and counts it with the
// first that does.
func (s *suppressed) take(sub *subject, names map[netip.Addr][]string, run string) bool {
	for i, a := range s.entries {
		if a.Run != run || !covers(a, sub, names) {
			continue
		}
		row := &s.rows[i]
		row.Findings++
		row.Listed = append(row.Listed, sub.title)
		if !row.Expired {
			return true
		}
	}
	return false
}

func (s *suppressed) list() []firetrail.Suppressed {
	for i := range s.rows {
		slices.Sort(s.rows[i].Listed)
	}
	return s.rows
}

// covers reports whether the entry speaks of the subject's source, or of all of
// its targets.
func covers(a firetrail.Allow, sub *subject, names map[netip.Addr][]string) bool {
	for _, t := range sub.targets {
		if a.Port != firetrail.Absent && t.Port != a.Port {
			return false
		}
	}
	if a.Side != "dst" && sub.src.IsValid() && same(a, sub.src, "", names) {
		return true
	}
	if a.Side == "src" || !sub.complete || len(sub.targets) == 0 {
		return false
	}
	for _, t := range sub.targets {
		host := t.Host
		if host == "" {
			host = sub.host
		}
		if !same(a, t.IP, host, names) {
			return false
		}
	}
	return true
}

func same(a firetrail.Allow, ip netip.Addr, host string, names map[netip.Addr][]string) bool {
	if a.Name == "" {
		return a.Prefix.IsValid() && ip.IsValid() && a.Prefix.Contains(ip.Unmap())
	}
	table := map[string]bool{lowerHost(a.Name): true}
	if _, ok := suffixOf(host, table); ok {
		return true
	}
	return slices.ContainsFunc(names[ip], func(n string) bool {
		_, ok := suffixOf(n, table)
		return ok
	})
}
