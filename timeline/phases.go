package timeline

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// step is what a detector's findings are called in the course of an incident,
// and how a title tells them.
var steps = [...]struct{ detector, phase, told string }{
	{"policy_burst", "refused", "was refused"},
	{"refused_egress", "refused", "was refused"},
	{"internal_sweep", "probe", "probed the internal network"},
	{"port_scan", "probe", "probed hosts"},
	{"first_contact", "probe", "probed hosts"},
	{"metadata_access", "metadata", "asked a metadata service"},
	{"ssh_tunnel", "tunnel", "tunnelled over SSH"},
	{"tunnel_service", "tunnel", "used a tunnel service"},
	{"dns_tunnel", "tunnel", "tunnelled over DNS"},
	{"icmp_tunnel", "tunnel", "tunnelled over ICMP"},
	{"overlay_vpn", "tunnel", "joined an overlay network"},
	{"tor", "tunnel", "used Tor"},
	{"protocol_mismatch", "session", "spoke another protocol than its port's"},
	{"long_session", "session", "held long sessions"},
	{"beacon", "beacon", "called out at intervals"},
	{"mining", "mining", "mined"},
	{"bulk_egress", "volume", "sent a large volume"},
}

// tried is what a title says of a step none of which got through.
var tried = map[string]string{
	"metadata_access": "was refused at a metadata service",
	"ssh_tunnel":      "was refused SSH to the internet",
	"tunnel_service":  "was refused at a tunnel service",
	"overlay_vpn":     "was refused at an overlay network",
	"tor":             "was refused at Tor",
	"mining":          "was refused at a mining pool",
}

// stepOf is the phase of a finding; "other" for a detector without one. The parts
// of its score say whether it was refused, or came from outside.
func stepOf(f *firetrail.Finding) (phase, told string) {
	if f.Detector == "ssh_tunnel" && hasPart(f, "inbound") {
		return "entry", "was reached over SSH from the internet"
	}
	if f.Detector == "ssh_tunnel" && hasPart(f, "egress") { // a packet filter cannot tell that a tunnel stood
		return "tunnel", "was let out over SSH"
	}
	for _, s := range steps {
		if s.detector != f.Detector {
			continue
		}
		if t, ok := tried[f.Detector]; ok && hasPart(f, "refused") {
			if f.Detector == "mining" && f.Host == "" { // other software uses the port too
				t = "was refused at a port of mining pools"
			}
			return "refused", t
		}
		return s.phase, s.told
	}
	return "other", "set off " + f.Detector
}

func hasPart(f *firetrail.Finding, name string) bool {
	return slices.ContainsFunc(f.Why, func(p firetrail.Part) bool { return p.Part == name })
}

// phaseGap is how far findings of one sort may lie apart within one phase.
const phaseGap = 15 * minute

// carriers are the phases to which a session belongs that another finding of
// the same source and peer explains, the first of them.
var carriers = [...]string{"tunnel", "mining", "volume"}

// phaseOf gives each finding of a group its phase: what a plain session is for,
// where another finding of the same source and peer says so.
func phaseOf(group []*firetrail.Finding) map[string]string {
	type pair struct{ src, peer, phase string }
	known := map[pair]bool{}
	for _, f := range group {
		name, _ := stepOf(f)
		for _, p := range peersOf(f) {
			known[pair{firetrail.AddrText(f.SrcIP), p, name}] = true
		}
	}
	out := map[string]string{}
	for _, f := range group {
		name, _ := stepOf(f)
		for _, c := range carriers {
			explained := slices.ContainsFunc(peersOf(f), func(p string) bool { return known[pair{firetrail.AddrText(f.SrcIP), p, c}] })
			if name == "session" && explained {
				name = c
			}
		}
		out[f.ID] = name
	}
	return out
}

// phases puts findings of one sort that lie together into steps, by start.
func phases(group []*firetrail.Finding) []firetrail.Phase {
	of := phaseOf(group)
	var out []firetrail.Phase
	open := map[string]int{} // phase by name → the latest of it
	for _, f := range group {
		name := of[f.ID]
		i, known := open[name]
		if known && (!dated(f) || f.Start <= out[i].End+phaseGap) {
			out[i].End = max(out[i].End, f.End)
			out[i].Findings = append(out[i].Findings, f.ID)
			continue
		}
		open[name] = len(out)
		out = append(out, firetrail.Phase{Name: name, Start: f.Start, End: max(f.Start, f.End), Findings: []string{f.ID}})
	}
	slices.SortStableFunc(out, func(a, b firetrail.Phase) int { return cmp.Compare(a.Start, b.Start) })
	return out
}

// title tells an incident in a sentence: who, on which address, did what.
func title(inc *firetrail.Incident, group []*firetrail.Finding) string {
	var acts []string
	of := phaseOf(group)
	for _, f := range group {
		name, told := stepOf(f)
		if name == "entry" && len(inc.Sources) == 1 && inc.Sources[0] == f.SrcIP { // told of who came, not of where
			told = "reached a host inside over SSH"
		}
		if len(inc.Sources) > 1 && inc.Run == nil {
			told = strings.Replace(told, "was ", "were ", 1)
		}
		if of[f.ID] == name && !slices.Contains(acts, told) {
			acts = append(acts, told)
		}
	}
	acts = slices.DeleteFunc(acts, func(a string) bool { return toldBetter(a, acts) })
	who := sourceText(inc.Sources)
	if _, err := netip.ParseAddr(who); err != nil { // "several sources", not fd00::1
		who = strings.ToUpper(who[:1]) + who[1:]
	}
	if inc.Run != nil {
		who = fmt.Sprintf("Run %s on %s", inc.Run.ID, sourceText(inc.Sources))
	}
	where := ""
	if peer := mainPeer(group); peer != "" {
		where = " (" + peer + ")"
	}
	return who + " " + list(acts) + where
}

// toldBetter reports whether another act begins with the same words and says more.
func toldBetter(act string, acts []string) bool {
	return slices.ContainsFunc(acts, func(a string) bool { return strings.HasPrefix(a, act+" ") })
}

// mainPeer is the peer of the gravest finding, a single one before a network,
// the earliest of those.
func mainPeer(group []*firetrail.Finding) string {
	best := group[0]
	for _, f := range group[1:] {
		if weightOf(f) > weightOf(best) {
			best = f
		}
	}
	peer := cmp.Or(best.Host, best.Dst)
	if peer == "" {
		return ""
	}
	return endpoint(peer, best.DstPort)
}

func weightOf(f *firetrail.Finding) int {
	w := 2 * firetrail.SeverityRank(f.Severity)
	if (f.Host != "" || f.Dst != "") && !strings.Contains(f.Dst, "/") {
		w++
	}
	return w
}

// list joins words as a sentence does: "a, b and c".
func list(words []string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}
