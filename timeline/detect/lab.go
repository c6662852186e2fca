package detect

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// DefaultInternal are the networks taken for our own where the user names none:
// RFC 1918, RFC 6598, RFC 3927, RFC 4193 and RFC 4291 link-local.
var DefaultInternal = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
}

// Lab is what detectors may know of the case while they judge it. It is filled
// by the phases: names before flows, bounds and hosts after phase 1.
type Lab struct {
	cfg       Config
	names     book
	First     int64 // bounds of the dated flows, Absent if none
	Last      int64
	Hosts     int64 // internal sources seen
	have      [needCount]bool
	visits    visits
	held      map[netip.Addr]bool // addresses that runs held
	resolvers map[netip.Addr]bool // internal addresses that others ask on port 53
	outside   map[netip.Addr]bool // what our addresses are translated to, from the inventory
	nat       map[netip.Addr]bool // the same, from the records of phase 2
	undated   int64
	cut       map[string]string // how detectors that did not follow every candidate chose
	ends      map[string]bool   // sensors that record the end of a connection
	all       bool              // tests: whatever amounts phase 1 sees, every channel is a candidate
}

func newLab(cfg Config) *Lab {
	l := &Lab{cfg: cfg, First: firetrail.Absent, Last: firetrail.Absent,
		visits: newVisits(), held: map[netip.Addr]bool{}, resolvers: map[netip.Addr]bool{}, outside: map[netip.Addr]bool{}, nat: map[netip.Addr]bool{}, cut: map[string]string{}, ends: map[string]bool{}}
	for _, a := range cfg.Held {
		l.held[a.Unmap().WithZone("")] = true
	}
	for _, n := range cfg.NAT {
		l.outside[n.OutsideIP] = n.OutsideIP.IsValid()
	}
	if len(cfg.Internal) == 0 {
		l.cfg.Internal = DefaultInternal
	}
	return l
}

// End is the end of the data.
func (l *Lab) End() int64 {
	if l.cfg.End != 0 && l.cfg.End != firetrail.Absent {
		return l.cfg.End
	}
	return l.Last
}

// Internal reports whether the address is one of ours, or one that ours are
// translated to.
func (l *Lab) Internal(a netip.Addr) bool { return within(l.cfg.Internal, a) || l.outside[a] }

// Sandbox reports whether the address is known to be a pod's or a sandbox's.
func (l *Lab) Sandbox(a netip.Addr) bool { return within(l.cfg.Sandboxes, a) }

func within(ps []netip.Prefix, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Unicast reports whether the address can be one host's: not multicast,
// broadcast (255.255.255.255 and what ends in .255), unspecified or loopback.
func Unicast(a netip.Addr) bool {
	if !a.IsValid() || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() {
		return false
	}
	if a.Unmap().Is4() {
		b := a.Unmap().As4()
		return b[3] != 255
	}
	return true
}

// External reports whether the address is a peer in the internet. The metadata
// services that cloud providers put on public addresses are none.
func (l *Lab) External(a netip.Addr) bool {
	return Unicast(a) && !l.Internal(a) && !isMetadata(a)
}

// threshold is a detector's setting, as configured or by default; NaN, which
// compares false with everything, for a name it does not have.
func (l *Lab) threshold(d *Detector, name string) float64 {
	if v, ok := d.limits[name]; ok {
		return v
	}
	return math.NaN()
}

// translated reports whether the address is what others of ours are translated to.
func (l *Lab) translated(a netip.Addr) bool { return l.outside[a] || l.nat[a] }

// settle resolves a detector's settings.
func (d *Detector) settle(given map[string]float64) {
	d.limits = map[string]float64{}
	for _, s := range d.Defaults {
		v, ok := given[d.Name+"."+s.Name]
		if !ok {
			v = s.Value
		}
		d.limits[s.Name] = v
	}
}

// parameters lists what the results were computed with, in a fixed order.
func (l *Lab) parameters(chosen []Detector) []string {
	note := ""
	if slices.Equal(l.cfg.Internal, DefaultInternal) {
		note = " (assumed)"
	}
	var out []string
	for _, p := range l.cfg.Internal {
		out = append(out, "internal "+p.String()+note)
	}
	if n := len(l.cfg.Sandboxes); n > 16 {
		out = append(out, fmt.Sprintf("sandboxes %d networks, %s to %s", n, l.cfg.Sandboxes[0], l.cfg.Sandboxes[n-1]))
	} else {
		for _, p := range l.cfg.Sandboxes {
			out = append(out, "sandboxes "+p.String())
		}
	}
	for _, a := range l.cfg.Allow {
		out = append(out, "allow "+a.Entry)
	}
	for _, d := range chosen {
		for _, s := range d.Defaults {
			out = append(out, fmt.Sprintf("%s.%s %g", d.Name, s.Name, l.threshold(&d, s.Name)))
		}
		if why := l.cut[d.Name]; why != "" {
			out = append(out, d.Name+" "+why)
		}
	}
	return out
}

// gather collects what the detectors want, sorted and without doubles.
func gather(states []State) []firetrail.Traffic {
	var out []firetrail.Traffic
	for _, s := range states {
		out = append(out, s.Wants()...)
	}
	slices.SortFunc(out, func(a, b firetrail.Traffic) int {
		return cmp.Or(a.Src.Compare(b.Src), a.Dst.Compare(b.Dst), cmp.Compare(a.Port, b.Port), cmp.Compare(a.From, b.From))
	})
	return slices.Compact(out)
}

func denied(action string) bool {
	ev := firetrail.Event{Action: action}
	return ev.Denied()
}

// endpoint prints "address", or "address:port" with brackets where needed.
func endpoint(a netip.Addr, port int64) string {
	if port == firetrail.Absent {
		return a.String()
	}
	if a.Is6() {
		return fmt.Sprintf("[%s]:%d", a, port)
	}
	return fmt.Sprintf("%s:%d", a, port)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// sortedBy lists a map's keys in a fixed order.
func sortedBy[K comparable, V any](m map[K]V, less func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, less)
	return keys
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func hasPrefixAny(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
