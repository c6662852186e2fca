package runs

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"firetrail"
)

// isAddress reports whether s is an IPv4 or IPv6 address.
func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// hostsFile reads address tables: /etc/hosts ("10.20.3.7 gpu07 gpu07.lab"), and
// two columns of name and address in either order, by blanks or commas.
var hostsFile = Kind{
	Name: "hosts",
	Doc:  "addresses of nodes: /etc/hosts, or two columns of name and address",
	Sniff: func(head []byte) bool {
		hits := 0
		for line := range bytes.Lines(head) {
			fields := hostFields(string(line))
			if len(fields) == 0 {
				continue
			}
			if len(fields) < 2 || !isAddress(fields[0]) && !isAddress(fields[1]) {
				return false
			}
			hits++
		}
		return hits > 0
	},
	read: func(f *file) error {
		line := int64(0)
		for text := range strings.Lines(string(f.data)) {
			line++
			fields := hostFields(text)
			if len(fields) == 0 {
				continue
			}
			switch {
			case len(fields) >= 2 && isAddress(fields[0]):
				for _, name := range fields[1:] {
					f.out.nodes = append(f.out.nodes, node{name: name, ips: fields[:1], where: f.cite(line)})
				}
			case len(fields) >= 2 && isAddress(fields[1]):
				n := node{name: fields[0], where: f.cite(line)}
				for _, ip := range fields[1:] {
					if isAddress(ip) {
						n.ips = append(n.ips, ip)
					}
				}
				f.out.nodes = append(f.out.nodes, n)
			default:
				f.note(line, "neither address and name nor name and address")
			}
		}
		return nil
	},
}

// hostFields are the words of a line without its comment.
func hostFields(line string) []string {
	line, _, _ = strings.Cut(line, "#")
	return strings.FieldsFunc(line, func(r rune) bool {
		return r == ' ' || r == '\t' || r == ',' || r == ';' || r == '|' || r == '\n' || r == '\r'
	})
}

// conntrack reads "conntrack -L" and "conntrack -E -o timestamp": the first
// tuple is the connection as the inside sees it, the second the reply as the
// peer sees it, so the reply's dst is the translated source. Source: conntrack(8).
//
//	[1700000000.123456]	[NEW] tcp 6 120 SYN_SENT src=10.1.0.5 dst=198.51.100.7 sport=5646 dport=443 src=198.51.100.7 dst=203.0.113.1 sport=443 dport=61022
var conntrack = Kind{
	Name: "conntrack",
	Doc:  "NAT table: conntrack -L, or conntrack -E -o timestamp",
	Sniff: func(head []byte) bool {
		line, _, _ := bytes.Cut(bytes.TrimSpace(head), []byte("\n"))
		return bytes.Count(line, []byte("src=")) == 2 && bytes.Count(line, []byte("dst=")) == 2
	},
	read: readConntrack,
}

func readConntrack(f *file) error {
	line, undated := int64(0), 0
	open := map[string]int{} // tuple → index of the translation that has not ended
	for text := range strings.Lines(string(f.data)) {
		line++
		if strings.TrimSpace(text) == "" {
			continue
		}
		n, event, ok := f.translation(text)
		if !ok {
			f.note(line, "no conntrack entry")
			continue
		}
		n.Citation = f.cite(line)
		at := n.Start
		if at == firetrail.Absent {
			undated++
		}
		key := text[strings.Index(text, "src="):]
		if i, known := open[key]; known && event == "DESTROY" {
			f.out.nat[i].End = at
			delete(open, key)
			continue
		} else if known {
			continue
		}
		if event == "DESTROY" {
			n.Start, n.End = firetrail.Absent, at
		} else {
			open[key] = len(f.out.nat)
		}
		f.out.nat = append(f.out.nat, n)
	}
	if undated > 0 {
		f.note(0, "%d translations carry no time: they count for every time", undated)
	}
	return nil
}

// translation reads one conntrack line.
func (f *file) translation(text string) (n firetrail.NAT, event string, ok bool) {
	n = firetrail.NAT{InsidePort: firetrail.Absent, OutsidePort: firetrail.Absent, DstPort: firetrail.Absent, Start: firetrail.Absent, End: firetrail.Absent}
	var src, dst, sport, dport []string
	for i, word := range strings.Fields(text) {
		key, value, pair := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(word, "["):
			inner := strings.Trim(word, "[]")
			if t, isTime := epoch(inner); isTime {
				n.Start = t
			} else if inner == "NEW" || inner == "UPDATE" || inner == "DESTROY" {
				event = inner
			}
		case !pair && n.Proto == "" && i < 4 && !isNumber(word) && word != "ipv4" && word != "ipv6":
			n.Proto = word
		case key == "src":
			src = append(src, value)
		case key == "dst":
			dst = append(dst, value)
		case key == "sport":
			sport = append(sport, value)
		case key == "dport":
			dport = append(dport, value)
		case key == "start" && pair:
			n.Start, _ = f.stamp(value)
		}
	}
	if len(src) != 2 || len(dst) != 2 {
		return n, event, false
	}
	var err1, err2, err3 error
	n.InsideIP, err1 = netip.ParseAddr(src[0])
	n.DstIP, err2 = netip.ParseAddr(dst[0])
	n.OutsideIP, err3 = netip.ParseAddr(dst[1])
	if len(sport) == 2 && len(dport) == 2 {
		n.InsidePort, n.DstPort, n.OutsidePort = portOf(sport[0]), portOf(dport[0]), portOf(dport[1])
	}
	return n, event, err1 == nil && err2 == nil && err3 == nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

func portOf(s string) int64 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return firetrail.Absent
	}
	return int64(n)
}

// dhcpLeases reads dhcpd.leases of ISC DHCP (times in UTC) and the lease file of
// dnsmasq ("expiry mac address name clientid"). Source: dhcpd.leases(5), dnsmasq(8).
var dhcpLeases = Kind{
	Name: "dhcp",
	Doc:  "DHCP leases: dhcpd.leases of ISC DHCP, dnsmasq.leases",
	Sniff: func(head []byte) bool {
		if bytes.Contains(head, []byte("\nlease ")) || bytes.HasPrefix(head, []byte("lease ")) {
			return bytes.Contains(head, []byte("starts "))
		}
		line, _, _ := bytes.Cut(head, []byte("\n"))
		w := strings.Fields(string(line))
		return len(w) >= 4 && len(w) <= 5 && isNumber(w[0]) && strings.Count(w[1], ":") == 5 && isAddress(w[2])
	},
	read: readDHCP,
}

func readDHCP(f *file) error {
	line := int64(0)
	var l *firetrail.Lease
	for text := range strings.Lines(string(f.data)) {
		line++
		w := strings.Fields(strings.TrimSuffix(strings.TrimSpace(text), ";"))
		switch {
		case len(w) == 0 || strings.HasPrefix(w[0], "#"):
		case w[0] == "lease" && len(w) >= 2:
			ip, err := netip.ParseAddr(w[1])
			if err != nil {
				f.note(line, "lease of %q: no address", w[1])
				l = nil
				continue
			}
			f.out.hosts = append(f.out.hosts, hostLease(ip, "", f.cite(line)))
			l = &f.out.hosts[len(f.out.hosts)-1]
		case l != nil && (w[0] == "starts" || w[0] == "ends") && len(w) >= 2:
			t := int64(firetrail.Absent)
			if len(w) >= 4 {
				if at, err := time.Parse("2006/01/02 15:04:05", w[2]+" "+w[3]); err == nil {
					t = at.UnixNano()
				}
			}
			if w[0] == "starts" {
				l.Start = t
			} else {
				l.End = t
			}
		case l != nil && w[0] == "client-hostname" && len(w) >= 2:
			l.Name = strings.Trim(w[1], `"`)
			l.Host = l.Name
		case len(w) >= 4 && isNumber(w[0]) && isAddress(w[2]):
			ip, _ := netip.ParseAddr(w[2])
			h := hostLease(ip, strings.TrimPrefix(w[3], "*"), f.cite(line))
			h.End, _ = f.stamp(w[0])
			f.out.hosts = append(f.out.hosts, h)
		}
	}
	return nil
}

// hostLease is an address that a host holds, unbounded in time.
func hostLease(ip netip.Addr, name string, where firetrail.Citation) firetrail.Lease {
	return firetrail.Lease{IP: ip.Unmap(), PortLow: firetrail.Absent, PortHigh: firetrail.Absent, Start: firetrail.Absent, End: firetrail.Absent,
		Subject: "host", Name: name, Host: name, Quality: 1, Citation: where}
}
