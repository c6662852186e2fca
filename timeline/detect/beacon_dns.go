package detect

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"firetrail"
)

// A beacon may ask instead of connect: the answers of questions of types that carry data
// are its orders. Questions for addresses come as regularly of every program, so that they
// say nothing.

// dnsPoll are one source's questions of such types under a registered domain.
type dnsPoll struct {
	zoneKey
	times []int64 // seconds
	last  int64
	trail trail
}

const maxPolls = 1 << 14 // sources and domains that are followed

// polls selects questions of types that carry data.
func polls() firetrail.Query {
	var types []firetrail.Query
	for _, name := range [...]string{"TXT", "NULL", "KEY", "CNAME", "MX"} {
		types = append(types, firetrail.Exactly("x.qtype_name", name))
	}
	return firetrail.And(questions(), firetrail.Or(types...))
}

// Read gathers the questions by source and registered domain.
func (s *beaconState) Read(ctx context.Context, view View) error {
	if !s.lab.have[NeedDNS] {
		return nil
	}
	for ev, err := range view.Events(ctx, polls(), questionFields...) {
		if err != nil {
			return err
		}
		name := lowerHost(ev.Host)
		k := zoneKey{ev.SrcIP, registered(name)}
		if ev.Time == firetrail.Absent || k.domain == "" || !s.lab.Internal(k.src) || s.lab.resolvers[k.src] {
			continue
		}
		p := s.polls[k]
		if p == nil {
			if len(s.polls) == maxPolls {
				s.left++
				continue
			}
			k.domain = strings.Clone(k.domain)
			p = &dnsPoll{zoneKey: k, trail: newTrail()}
			s.polls[k] = p
		}
		p.note(ev)
	}
	return nil
}

func (p *dnsPoll) note(ev *firetrail.Event) {
	if p.last = ev.Time / 1e9; len(p.times) == maxContacts {
		p.times = p.times[:copy(p.times, p.times[maxContacts/2:])]
	}
	p.times = append(p.times, p.last)
	p.trail.span(ev.Time, ev.Last())
	p.trail.count++
	p.trail.sessions++
	p.trail.aim(ev.DstIP, 53, "", ev.Time)
	p.trail.prove(proofOf(ev, ""), 0)
}

// dnsBeacons scores the questions as contacts, without sizes. What several sources ask is a
// service; other than elsewhere the regular questions of two make one already.
func (s *beaconState) dnsBeacons() (out []*Draft) {
	asked := map[string]int64{}
	for k := range s.polls {
		if !s.lab.translated(k.src) {
			asked[k.domain]++
		}
	}
	t := func(name string) float64 { return s.lab.threshold(s.d, name) }
	for _, k := range sortedBy(s.polls, func(a, b zoneKey) int { return cmp.Or(a.src.Compare(b.src), strings.Compare(a.domain, b.domain)) }) {
		p := s.polls[k]
		lo, hi := max(p.last-beaconWindow, slices.Min(p.times)), p.last // its own life, of which a day
		b, ok := beaconScore(p.times, nil, lo, hi)
		if !ok || s.lab.translated(k.src) || asked[k.domain] > 2 || b.contacts < beaconContacts || hi-lo < beaconLife || b.score < t("score") || b.time < t("time") || b.chance > t("chance") {
			continue
		}
		resolver := firetrail.Target{}
		if list, _ := p.trail.list(); len(list) > 0 {
			resolver = list[0]
		}
		d := &Draft{src: k.src, dst: firetrail.AddrText(resolver.IP), port: 53, host: k.domain, trail: p.trail}
		d.part("beacon", b.score, t("score"), round3(FullScore*bucket(100*b.score, 50, 70, 90, 100)),
			"score %.3f of %d questions, most often %s apart: intervals %.3f, duration %.3f, histogram %.3f", b.score, b.contacts, span(float64(b.mode)), b.time, b.duration, b.histogram)
		d.part("ordinary", 1, 1, -3, "most regular traffic is a program checking in with its own service")
		d.part("types", float64(asked[k.domain]), 2, 1, "the questions are of types that carry data, and %s of %d inside asks so under %s", plural(asked[k.domain], "host", "hosts"), s.lab.Hosts, k.domain)
		d.title = fmt.Sprintf("Beacon in DNS: %s asks under %s every %s", k.src, k.domain, span(float64(b.mode)))
		d.attack = []string{"T1071.004"}
		d.benign = []string{"mail servers, certificate tools and licence checks that ask for TXT records"}
		d.untested = []string{"what the answers said"}
		out = append(out, d)
	}
	return out
}
