package parsers

import (
	"bytes"

	"firetrail"
)

// packetText reads one packet as tcpdump prints it, and a packet inside it
// into "inner." fields.
type packetText struct {
	ev     *firetrail.Event
	arena  *Arena
	inner  bool
	ported bool // an end has a port
}

func (t *packetText) put(name string, value []byte) {
	if len(value) == 0 {
		return
	}
	if t.inner {
		if name = innerNames[name]; name == "" {
			return
		}
	}
	t.ev.Put(name, text(value))
}

func (t *packetText) proto(name string) {
	if t.inner {
		t.ev.Put("inner.proto", name)
	} else {
		t.ev.Proto = name
	}
}

// packet reads from the addresses, or from the -v header before them, to the
// end. ok is false where there are no addresses.
func (t *packetText) packet(b []byte) (ok bool) {
	b = bytes.TrimPrefix(bytes.TrimPrefix(trimLeft(b), []byte("IP ")), []byte("IP6 "))
	proto := ""
	if len(b) > 0 && b[0] == '(' {
		if end := groupEnd(b); end > 0 {
			proto = t.header(b[1 : end-1])
			b = trimLeft(b[end:])
		}
	}
	if bytes.HasPrefix(b, []byte("truncated-ip")) {
		if i := bytes.IndexByte(b, '!'); i > 0 {
			t.put("error", b[:i+1])
			b = trimLeft(b[i+1:])
		}
	}
	src, rest, ok := bytes.Cut(b, []byte(" > "))
	if !ok || len(src) == 0 || len(src) > 300 || bytes.IndexByte(src, ' ') >= 0 {
		return false
	}
	dst, body, ok := bytes.Cut(rest, []byte(": "))
	if !ok {
		dst = bytes.TrimSuffix(rest, []byte{':'})
	}
	if dst = bytes.TrimRight(dst, " "); len(dst) == 0 || bytes.IndexByte(dst, ' ') >= 0 {
		return false
	}
	t.end(src, true)
	t.end(dst, false)
	t.body(bytes.Trim(body, " \t"), proto)
	return true
}

// end reads "192.0.2.1.22", "2001:db8::1.22", an address alone, or names.
func (t *packetText) end(b []byte, source bool) {
	host, portText := splitPort(b)
	addr, ok := address(host)
	if !ok {
		if _, isPort := port(portText); !isPort {
			host, portText = b, nil
		}
		t.put(side(source, "src", "dst"), host)
	}
	if t.inner && ok {
		t.put(side(source, "src_ip", "dst_ip"), host)
	} else if source && !t.inner {
		t.ev.SrcIP = addr
	} else if !t.inner {
		t.ev.DstIP = addr
	}
	t.port(portText, source)
}

// splitPort cuts behind the last dot, unless that belongs to an IPv4 address.
func splitPort(b []byte) (host, port []byte) {
	i := bytes.LastIndexByte(b, '.')
	if i < 0 || bytes.Count(b, []byte{'.'}) == 3 && (bytes.IndexByte(b, ':') >= 0 || len(bytes.Trim(b, "0123456789.")) == 0) {
		return b, nil
	}
	return b[:i], b[i+1:]
}

func (t *packetText) port(b []byte, source bool) {
	if len(b) == 0 {
		return
	}
	t.ported = true
	n, ok := port(b)
	switch {
	case !ok:
		t.put(side(source, "src_service", "dst_service"), b)
	case t.inner:
		t.put(side(source, "src_port", "dst_port"), b)
	case source:
		t.ev.SrcPort = n
	default:
		t.ev.DstPort = n
	}
}

func side(source bool, src, dst string) string {
	if source {
		return src
	}
	return dst
}

// header reads what -v prints of the IP header, and returns the protocol by
// its number.
func (t *packetText) header(b []byte) (proto string) {
	for piece := range pieces(b) {
		name, value := word(piece)
		switch string(name) {
		case "tos", "ttl", "id", "offset", "length", "class":
			t.put(text(name), value)
		case "len":
			t.put("length", value)
		case "hlim":
			t.put("hoplimit", value)
		case "flowlabel":
			t.put("flow", value)
		case "flags":
			t.put("ip_flags", bytes.Trim(value, "[]"))
		case "options":
			t.put("ip_options", bytes.Trim(value, "()"))
		case "DF":
			t.put("ip_flags", name)
		case "CE":
			t.put("ecn", name)
		case "ECT(0)", "ECT(1)":
			t.put("ecn", name[4:5])
		case "proto", "next-header":
			proto = t.number(value)
		case "frag": // OpenBSD: "frag 1234:1480@0+"
			t.fragment(value)
		}
		if _, length, ok := bytes.Cut(value, []byte("payload length: ")); ok {
			t.put("length", length)
		}
	}
	return proto
}

// fragment reads OpenBSD's "1234:1480@0+": id, size, offset in bytes, and whether more follow.
func (t *packetText) fragment(b []byte) {
	id, rest, _ := bytes.Cut(b, []byte{':'})
	_, offset, ok := bytes.Cut(rest, []byte{'@'})
	if !ok {
		return
	}
	t.put("id", id)
	t.put("offset", leadingDigits(offset))
	if bytes.HasSuffix(offset, []byte{'+'}) {
		t.put("ip_flags", []byte{'+'})
	}
}

// number reads "TCP (6)".
func (t *packetText) number(b []byte) string {
	i, j := bytes.IndexByte(b, '('), bytes.IndexByte(b, ')')
	if i < 0 || j < i {
		return ""
	}
	n, ok := number(b[i+1 : j])
	if !ok {
		return ""
	}
	switch n {
	case 0, 43, 44, 60: // extension headers: the words behind tell the transport
		return ""
	}
	t.put("protonum", b[i+1:j])
	return protoName(n, text(b[i+1:j]))
}

// body reads what follows the addresses.
func (t *packetText) body(b []byte, proto string) {
	b, carried := t.carried(b)
	t.put("info", b)
	if proto == "" || proto == "hopopt" {
		proto = t.protoOf(b)
	}
	if proto == "" && t.ported {
		proto = "udp" // tcpdump decodes only UDP's payload in place of the protocol
	}
	t.proto(proto)
	b = t.extensions(b)
	switch proto {
	case "tcp":
		t.tcp(b)
	case "udp":
		t.udp(b)
	case "icmp", "icmpv6":
		t.icmp(b, proto == "icmpv6")
	default:
		t.length(b, "datalen")
	}
	t.groups(b)
	if len(carried) > 0 && !t.inner {
		in := packetText{ev: t.ev, arena: t.arena, inner: true}
		in.packet(carried)
	}
}

// carried divides a body from the packet inside: quoted by -v on lines of its
// own, or printed behind a tunnel's header.
func (t *packetText) carried(b []byte) (body, carried []byte) {
	for _, start := range [...]string{" (tos ", " (class ", " (flowlabel ", " (hlim "} {
		if i := bytes.Index(b, []byte(start)); i >= 0 {
			return b[:i], b[i+1:]
		}
	}
	switch {
	case bytes.HasPrefix(b, []byte("GREv")), bytes.HasPrefix(b, []byte("gre ")):
		if i := bytes.Index(b, []byte(": ")); i > 0 && bytes.Contains(b[i:], []byte(" > ")) {
			return b[:i], b[i+2:]
		}
	case bytes.HasPrefix(b, []byte("IP ")), bytes.HasPrefix(b, []byte("IP6 ")):
		return b, b
	}
	return b, nil
}

// extensions reads IPv6 extension headers in front of the transport's text:
// "HBH ", "frag (0x0000abcd:0|24) 1 > 2: UDP, length 16".
func (t *packetText) extensions(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte("HBH "))
	rest, ok := bytes.CutPrefix(b, []byte("frag ("))
	if !ok {
		return b
	}
	spec, rest, _ := bytes.Cut(rest, []byte(") "))
	t.put("ext", []byte("frag"))
	place, _, _ := bytes.Cut(spec, []byte{'|'})
	if id, offset, ok := bytes.Cut(place, []byte{':'}); ok {
		t.put("frag_id", id)
		place = offset
	}
	t.put("offset", place)
	ends, body, ok := bytes.Cut(rest, []byte(": "))
	src, dst, both := bytes.Cut(ends, []byte(" > "))
	if !ok || !both {
		return rest
	}
	t.port(src, true)
	t.port(dst, false)
	if !t.inner && t.ev.Proto == "" {
		t.ev.Proto = "udp"
	}
	t.udp(body)
	return nil
}

// protoPrefixes tell the protocol by the first word of a body, in both dialects.
var protoPrefixes = [...][2]string{
	{"Flags [", "tcp"}, {"tcp ", "tcp"}, {"[|tcp]", "tcp"}, {"[bad tcp", "tcp"}, {"[tcp", "tcp"},
	{"UDP", "udp"}, {"udp", "udp"}, {"[|udp]", "udp"},
	{"ICMP6", "icmpv6"}, {"icmp6", "icmpv6"}, {"[|icmp6]", "icmpv6"}, {"HBH ICMP6", "icmpv6"}, {"HBH icmp6", "icmpv6"},
	{"ICMP", "icmp"}, {"icmp", "icmp"}, {"[|icmp]", "icmp"}, {"igmp", "igmp"}, {"[|igmp]", "igmp"},
	{"GREv", "gre"}, {"gre", "gre"}, {"ESP(", "esp"}, {"esp ", "esp"}, {"AH(", "ah"}, {"ah ", "ah"},
	{"VRRP", "vrrp"}, {"vrrp", "vrrp"}, {"CARP", "vrrp"}, {"carp", "vrrp"}, {"sctp", "sctp"},
	{"OSPF", "ospf"}, {"ospf", "ospf"}, {"PIM", "pim"}, {"pim", "pim"}, {"IP6 ", "ipv6"}, {"IP ", "ipip"},
}

func (t *packetText) protoOf(b []byte) string {
	for _, p := range protoPrefixes {
		if bytes.HasPrefix(b, []byte(p[0])) {
			return p[1]
		}
	}
	for _, p := range [...]string{"ip-proto-", "PROTO="} {
		if rest, ok := bytes.CutPrefix(b, []byte(p)); ok {
			digits, _ := word(rest)
			if n, ok := number(digits); ok {
				return protoName(n, text(digits))
			}
		}
	}
	if t.ported && openTCPFlags(b) > 0 {
		return "tcp"
	}
	return ""
}

// groups reads OpenBSD's marks behind a packet: "(DF) [tos 0x20] [ttl 1]
// (ttl 64, id 1, len 60)".
func (t *packetText) groups(b []byte) {
	for i := 0; i < len(b); i++ {
		if (b[i] == '(' || b[i] == '[') && (i == 0 || b[i-1] == ' ') {
			end := groupEnd(b[i:])
			if end == 0 {
				return
			}
			group := b[i+1 : i+end-1]
			switch first, _ := word(group); string(bytes.TrimSuffix(first, []byte{','})) {
			case "DF", "tos", "ttl", "id", "len", "hlim", "class", "flowlabel", "frag":
				t.header(group)
			}
			if len(group) > 0 && group[0] == '|' {
				t.put("error", b[i:i+end])
			}
			i += end - 1
		}
	}
}

// groupEnd is the length of the bracketed group at the start of b, 0 if it is not closed.
func groupEnd(b []byte) int {
	depth := 0
	for i, c := range b {
		switch c {
		case '(', '[':
			depth++
		case ')', ']':
			if depth--; depth <= 0 {
				return i + 1
			}
		}
	}
	return 0
}

// pieces yields the parts of b between commas outside brackets.
func pieces(b []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		start, depth := 0, 0
		for i := 0; i <= len(b); i++ {
			switch {
			case i == len(b) || b[i] == ',' && depth == 0:
				if piece := bytes.Trim(b[start:i], " "); len(piece) > 0 && !yield(piece) {
					return
				}
				start = i + 1
			case b[i] == '(' || b[i] == '[':
				depth++
			case (b[i] == ')' || b[i] == ']') && depth > 0:
				depth--
			}
		}
	}
}

func leadingDigits(b []byte) []byte {
	for i, c := range b {
		if c < '0' || c > '9' {
			return b[:i]
		}
	}
	return b
}
