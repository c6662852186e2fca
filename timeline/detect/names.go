package detect

import (
	"cmp"
	"context"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"firetrail"
)

// book holds what the case's records call addresses, for the names that some
// detector or the allow list asks about, and which source used them.
type book struct {
	hits  map[hitKey]*hit
	bySrc map[[2]netip.Addr][]string // source, address → names
	byDst map[netip.Addr][]string
	alarm map[[2]netip.Addr]string // source, address → text of an alarm, the lowest
	full  bool                     // more than maxHits: later ones were left out
}

type hitKey struct {
	src, dst netip.Addr // dst: the peer, or the resolver that was asked
	name     string
	port     int64
}

// hit is one source's use of one name.
type hit struct {
	hitKey
	dns     bool // looked up, not contacted
	alarm   string
	count   int64
	trail   trail
	answers []netip.Addr
}

const (
	maxHits    = 20000
	maxAnswers = 16
)

// nameFields are what phase 0 looks at.
var nameFields = []string{"time", "end", "kind", "src_ip", "dst_ip", "dst_port", "app", "service", "host", "x.answers"}

// readNames is phase 0: what detectors tell of, with the records that prove it, and what
// addresses are called by. Only records that may hold alarms are read whole.
func (l *Lab) readNames(ctx context.Context, view View, chosen []Detector) error {
	l.names = book{hits: map[hitKey]*hit{}, bySrc: map[[2]netip.Addr][]string{}, byDst: map[netip.Addr][]string{}, alarm: map[[2]netip.Addr]string{}}
	told, known, labels := map[string]bool{}, map[string]bool{}, map[string]bool{}
	var words []string
	for _, d := range chosen {
		for _, n := range d.Names {
			told[n] = true
		}
		for _, n := range d.Known {
			known[n] = true
		}
		for _, w := range d.Labels {
			labels[w] = true
		}
		words = append(words, d.Words...)
	}
	for _, a := range l.cfg.Allow {
		if a.Name != "" {
			known[lowerHost(a.Name)] = true
		}
	}
	texts := []firetrail.Query{}
	if len(labels) > 0 {
		texts = append(texts, anyOf("host", sortedKeys(labels)))
	}
	alarms := texts
	if len(words) > 0 {
		texts = append(texts, anyOf("app", words))
		alarms = append(slices.Clip(texts), anyOf("", words))
	}
	tells := func(ev *firetrail.Event) { l.names.add(ev, told, known, labels, words) }
	binds := func(ev *firetrail.Event) { l.names.bindAll(ev, lowerHost(ev.Host)) }
	bulk := wordless()
	for _, r := range []struct {
		kinds  firetrail.Query
		any    []firetrail.Query
		fields []string
		take   func(*firetrail.Event)
	}{
		{bulk, append(hostsAmong(told, known), texts...), nameFields, tells},
		{firetrail.Not(bulk), append(hostsAmong(told), alarms...), append(slices.Clip(nameFields), "x.*"), tells},
		{firetrail.Not(bulk), hostsAmong(known), nameFields, binds},
	} {
		if len(r.any) == 0 {
			continue
		}
		for ev, err := range view.Events(ctx, firetrail.And(r.kinds, firetrail.Or(r.any...)), r.fields...) {
			if err != nil {
				return err
			}
			r.take(ev)
		}
	}
	return nil
}

// hostsAmong selects events that name one of the hosts, or one below it.
func hostsAmong(sets ...map[string]bool) (args []firetrail.Query) {
	for _, names := range sets {
		for _, n := range sortedKeys(names) {
			args = append(args, firetrail.Is("host", n))
		}
	}
	return args
}

// anyOf selects events in whose field (any text for "") one of the words occurs: one
// expression, since each value is tested once for it, however many words there are.
func anyOf(field string, words []string) firetrail.Query {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = regexp.QuoteMeta(w)
	}
	return firetrail.Query{Op: firetrail.OpMatch, Field: field, Match: firetrail.MatchRegexp, Value: "(?i)(" + strings.Join(quoted, "|") + ")"}
}

// wordless selects the kinds that hold no alarms and are the bulk of a case: their
// texts are what clients and servers wrote, and alarmOf does not look at them.
func wordless() firetrail.Query {
	return kinds("iptables", "pf", "paloalto.traffic", "zeek.conn", "zeek.open_conn", "zeek.dns", "zeek.ssl", "zeek.http",
		"zeek.files", "zeek.x509", "zeek.ssh", "zeek.ntp", "zeek.dhcp")
}

// kinds selects records of the kinds.
func kinds(names ...string) firetrail.Query {
	var args []firetrail.Query
	for _, k := range names {
		args = append(args, firetrail.Is("kind", k))
	}
	return firetrail.Or(args...)
}

// add takes a record that has a name or an alarm that somebody asks about.
func (b *book) add(ev *firetrail.Event, told, known, labels map[string]bool, words []string) {
	name, alarm := "", alarmOf(ev, words)
	if _, ok := suffixOf(ev.Host, told); ok || hasLabel(ev.Host, labels) {
		name = lowerHost(ev.Host)
	}
	if name == "" && alarm == "" {
		if _, ok := suffixOf(ev.Host, known); ok {
			b.bindAll(ev, lowerHost(ev.Host))
		}
		return
	}
	key := hitKey{ev.SrcIP, ev.DstIP, name, ev.DstPort}
	h := b.hits[key]
	if h == nil {
		if len(b.hits) == maxHits {
			b.full = true
			return
		}
		key.name = strings.Clone(name)
		h = &hit{hitKey: key, trail: newTrail()}
		b.hits[key] = h
	}
	h.dns = isDNS(ev)
	if alarm != "" {
		pair := [2]netip.Addr{ev.SrcIP, ev.DstIP}
		if old, ok := b.alarm[pair]; !ok || alarm < old {
			b.alarm[pair] = strings.Clone(alarm)
		}
		h.alarm = b.alarm[pair]
	}
	h.count++
	h.trail.addEvent(ev)
	for _, a := range b.bindAll(ev, name) {
		if len(h.answers) < maxAnswers && !slices.Contains(h.answers, a) {
			h.answers = append(h.answers, a)
		}
	}
}

// bindAll notes what the event says of a name's addresses: its destination, or the answers of
// a DNS record, which it returns.
func (b *book) bindAll(ev *firetrail.Event, name string) (answers []netip.Addr) {
	if !isDNS(ev) {
		b.bind(ev.SrcIP, ev.DstIP, name)
		return nil
	}
	answers = answersOf(ev)
	for _, a := range answers {
		b.bind(ev.SrcIP, a, name)
	}
	return answers
}

func (b *book) bind(src, dst netip.Addr, name string) {
	if name == "" || !dst.IsValid() {
		return
	}
	pair := [2]netip.Addr{src, dst}
	b.bySrc[pair] = keep(b.bySrc[pair], name)
	b.byDst[dst] = keep(b.byDst[dst], name)
}

// keep holds the eight lowest names, so that the order of events does not matter.
func keep(to []string, name string) []string {
	i, found := slices.BinarySearch(to, name)
	if found {
		return to
	}
	to = slices.Insert(to, i, strings.Clone(name))
	return to[:min(len(to), firetrail.MaxNames)]
}

// sorted lists the hits in a fixed order.
func (b *book) sorted() []*hit {
	out := make([]*hit, 0, len(b.hits))
	for _, h := range b.hits {
		out = append(out, h)
	}
	slices.SortFunc(out, func(x, y *hit) int {
		return cmp.Or(x.src.Compare(y.src), strings.Compare(x.name, y.name), x.dst.Compare(y.dst), cmp.Compare(x.port, y.port))
	})
	return out
}

func isDNS(ev *firetrail.Event) bool {
	return ev.Kind == "zeek.dns" || ev.DstPort == 53 || ev.Service == "dns" || ev.App == "dns"
}

// answersOf reads the addresses of a DNS record's answers: Zeek's "answers"
// set, in its TSV form "a,b" or its JSON form ["a","b"].
func answersOf(ev *firetrail.Event) []netip.Addr {
	v, ok := ev.Get("answers")
	if !ok {
		return nil
	}
	var out []netip.Addr
	for f := range strings.FieldsFuncSeq(v, func(r rune) bool { return strings.ContainsRune(`,[]" `, r) }) {
		if a, err := netip.ParseAddr(f); err == nil && len(out) < maxAnswers {
			out = append(out, a)
		}
	}
	return out
}

// alarmField reports whether a field holds the sensor's own words about a danger
// (threat names, notices, signatures), not what a client or server wrote.
func alarmField(name string) bool {
	switch name {
	case "note", "msg", "sub", "message", "addl":
		return true
	}
	return strings.Contains(name, "threat") || strings.Contains(name, "signature") || strings.Contains(name, "alert")
}

// alarmOf is the text of the record in which one of the words occurs: threat
// names, notices, applications. The words are of alarms, so that a part of a
// longer word counts; hosts and URLs are not searched.
func alarmOf(ev *firetrail.Event, words []string) string {
	if len(words) == 0 || connKind(ev.Kind) && ev.App == "" {
		return ""
	}
	if hasWord(ev.App, words) {
		return ev.App
	}
	for _, x := range ev.X {
		if alarmField(x.Name) && hasWord(x.Value, words) {
			return x.Value
		}
	}
	return ""
}

func hasWord(text string, words []string) bool {
	if text == "" {
		return false
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

func lowerHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// suffixOf finds the longest suffix of host, cut at label boundaries, that the
// table has: "a.pool.example" matches "pool.example", "carpool.example" does not.
func suffixOf[V any](host string, table map[string]V) (suffix string, ok bool) {
	host = lowerHost(host)
	for host != "" {
		if _, ok := table[host]; ok {
			return host, true
		}
		_, rest, found := strings.Cut(host, ".")
		if !found {
			return "", false
		}
		host = rest
	}
	return "", false
}

// hasLabel reports whether a word of the name is in the table.
func hasLabel(host string, labels map[string]bool) bool {
	for w := range strings.FieldsFuncSeq(host, func(r rune) bool { return r == '.' || r == '-' || r == '_' }) {
		if labels[strings.ToLower(strings.TrimRight(w, "0123456789"))] {
			return true
		}
	}
	return false
}

// inTable makes the test of namedIn from a table of suffixes.
func inTable[V any](table map[string]V) func(string) bool {
	return func(host string) bool {
		_, ok := suffixOf(host, table)
		return ok
	}
}

// namedIn is what a channel's peer is called, if that passes the test: by the
// records of the channel itself or of this source (sure), or by what another source
// was told of the same address (not sure; only where the channel has no name of
// its own).
func namedIn(l *Lab, c *Channel, pass func(string) bool) (name string, sure, ok bool) {
	if c.Port != 53 { // names in DNS records are questions to the peer, not its own
		if i := slices.IndexFunc(c.Hosts, pass); i >= 0 {
			return c.Hosts[i], true, true
		}
	}
	known := l.names.bySrc[[2]netip.Addr{c.Src, c.Dst}]
	if i := slices.IndexFunc(known, pass); i >= 0 {
		return known[i], true, true
	}
	if len(c.Hosts) > 0 {
		return "", false, false
	}
	known = l.names.byDst[c.Dst]
	if i := slices.IndexFunc(known, pass); i >= 0 {
		return known[i], false, true
	}
	return "", false, false
}
