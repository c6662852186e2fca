package runs

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"firetrail"

	"go.yaml.in/yaml/v3"
)

// isAddress reports whether s is an IPv4 or IPv6 address.
func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// hostsFile reads address tables: /etc/hosts ("10.20.3.7 gpu07 gpu07.lab"), and
// columns of name and address in any order, by blanks, commas, semicolons or bars,
// with or without a header ("hostname,ip", sinfo's "NODELIST|NODE_ADDR").
var hostsFile = Kind{
	Name: "hosts",
	Doc:  "addresses of nodes: /etc/hosts, columns of name and address, sinfo with NODE_ADDR",
	Sniff: func(head []byte) bool {
		hits, misses := 0, 0
		for line := range bytes.Lines(head) {
			fields := hostFields(string(line))
			switch {
			case len(fields) == 0:
			case slices.ContainsFunc(fields, isAddress) && len(fields) >= 2:
				hits++
			default:
				misses++
			}
		}
		return hits > 0 && misses <= 1+hits/10
	},
	read: readHosts,
}

// readHosts makes nodes of the lines. A first line without an address is the header of
// a table such as "kubectl get nodes -o wide" prints, which tells the column of the name.
func readHosts(f *file) error {
	line := int64(0)
	nameAt, first := -1, true
	for text := range strings.Lines(string(f.data)) {
		line++
		fields := hostFields(text)
		if len(fields) == 0 {
			continue
		}
		at := slices.IndexFunc(fields, isAddress)
		switch {
		case at < 0 && first:
			nameAt = nameColumn(fields)
		case at < 0 || len(fields) < 2:
			f.note(line, "neither address and name nor name and address")
		case at == 0 && nameAt < 0: // /etc/hosts: all names of an address
			for _, name := range fields[1:] {
				f.out.nodes = append(f.out.nodes, node{name: name, ips: fields[:1], where: f.cite(line)})
			}
		default:
			n := node{name: fields[max(nameAt, 0)], where: f.cite(line)}
			if nameAt >= len(fields) || isAddress(n.name) {
				f.note(line, "no name")
				continue
			}
			for _, ip := range fields {
				if isAddress(ip) {
					n.ips = append(n.ips, ip)
				}
			}
			f.out.nodes = append(f.out.nodes, n)
		}
		first = false
	}
	return nil
}

// nameColumn is the column of a header that names the host, 0 if none says so.
func nameColumn(header []string) int {
	return max(0, slices.IndexFunc(header, func(name string) bool {
		switch strings.ToLower(strings.Trim(name, `"`)) {
		case "host", "hostname", "hostnames", "host_name", "name", "node", "nodename", "node_name", "nodelist", "nodehostname":
			return true
		}
		return false
	}))
}

// nodeList reads addresses of nodes as JSON or YAML: a mapping of names to an
// address or a list of them, or a list of objects with a name and addresses.
var nodeList = Kind{
	Name: "nodes",
	Doc:  "addresses of nodes as JSON or YAML: {name: address} or [{host, ip}]",
	Sniff: func(head []byte) bool {
		var s Statements
		f := &file{data: head, out: &s}
		return f.nodes() == nil && len(s.nodes) > 0
	},
	read: func(f *file) error { return f.nodes() },
}

// yamlRoot reads the file as one YAML document and gives the value it holds.
func (f *file) yamlRoot() (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(f.data, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("empty document")
	}
	return doc.Content[0], nil
}

// nodes reads the file as YAML, of which JSON is a part.
func (f *file) nodes() error {
	root, err := f.yamlRoot()
	if err != nil {
		return err
	}
	if root.Kind == yaml.MappingNode && len(root.Content) == 2 && root.Content[1].Kind == yaml.SequenceNode && root.Content[0].Value == "nodes" {
		root = root.Content[1]
	}
	switch root.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(root.Content); i += 2 {
			f.nodeEntry(root.Content[i].Value, scalars(root.Content[i+1]), root.Content[i].Line)
		}
	case yaml.SequenceNode:
		for _, item := range root.Content {
			if item.Kind != yaml.MappingNode {
				return errors.New("a node is a mapping")
			}
			var name string
			var ips []string
			for i := 0; i+1 < len(item.Content); i += 2 {
				switch key := strings.ToLower(item.Content[i].Value); key {
				case "host", "hostname", "name", "node", "node_name", "nodename":
					name = item.Content[i+1].Value
				case "ip", "ips", "addr", "address", "addresses", "node_addr", "nodeaddr", "host_ip", "internal_ip":
					ips = append(ips, scalars(item.Content[i+1])...)
				case "run_id", "job_id", "tool":
					return errors.New("no list of nodes")
				}
			}
			f.nodeEntry(name, ips, item.Line)
		}
	default:
		return errors.New("neither a mapping nor a list")
	}
	return nil
}

// nodeEntry keeps a name with those of its values that are addresses.
func (f *file) nodeEntry(name string, values []string, line int) {
	n := node{name: name, where: f.cite(int64(line))}
	for _, v := range values {
		if isAddress(v) {
			n.ips = append(n.ips, v)
		}
	}
	if name != "" && len(n.ips) > 0 {
		f.out.nodes = append(f.out.nodes, n)
	}
}

// scalars are the texts of a value: its own, or those of a list.
func scalars(n *yaml.Node) []string {
	if n.Kind != yaml.SequenceNode {
		return words(n.Value)
	}
	var out []string
	for _, c := range n.Content {
		out = append(out, c.Value)
	}
	return out
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

// readConntrack makes a translation of each entry that rewrites an address.
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

// portOf is a port, Absent where s is none.
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

// readDHCP reads both lease files line by line; a lease stays open where no end is written.
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
