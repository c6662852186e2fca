package parsers

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"

	"firetrail"
)

// maxFields bounds the fields of one record; the kernel writes up to 40.
const maxFields = 512

// packet reads the kernel's own text of one record into ev.
type packet struct {
	ev    *firetrail.Event
	ctx   *Context
	b     []byte
	base  int       // where b begins in the record, -1 if it stands elsewhere
	order *keyOrder // of the packets before
	key   uint8     // the number of the latest key

	inner     bool // within the brackets of a quoted packet
	proto     bool // PROTO= was met, of the packet that is being read
	arp       bool
	cut       bool // the kernel says that it could not read all of the packet
	fragment  bool // no first fragment: without ports
	flags     [2]int
	innerFlag [2]int
}

// read reads the text from position i on.
func (k *packet) read(i int) (err error) {
	for {
		if i = skipBlanks(k.b, i); !k.inner {
			i = skipBlanks(k.b, k.follow(i))
		}
		if i >= len(k.b) {
			return k.finish()
		}
		if i, err = k.item(i); err != nil {
			return err
		}
		if i < 0 {
			return k.finish()
		}
		if len(k.ev.X) > maxFields {
			return k.bad(i, "more than %d fields in one record", maxFields)
		}
	}
}

// item reads the pair or word at i and returns where to go on, -1 for the end of the
// record.
func (k *packet) item(i int) (next int, err error) {
	b := k.b
	switch {
	case b[i] == '[' && !k.inner && startsAny(b[i:], "[SRC="):
		k.inner, k.proto = true, false
		i++
	case b[i] == '<': // "<1>SRC=": the printk level of a second call
		end := indexFrom(b, i, ' ')
		if _, n := priority(b[i:end]); n > 0 {
			i += n
		}
		if i == end { // nothing stands behind it
			return i, nil
		}
	}
	if !k.inner {
		k.key = k.order.learn(k.key, b, i)
		if k.key > 0 {
			if end := k.known(&kernelKeys[k.key], i); end >= 0 {
				return end, nil
			}
		}
	}
	eq := i
	for eq < len(b) && b[eq] != '=' && b[eq] != ' ' { // keys are short
		eq++
	}
	end := indexFrom(b, eq, ' ')
	if eq == i || eq == end {
		return k.word(b[i:end], i, end), nil
	}
	return end, k.pair(i, eq, end)
}

func skipBlanks(b []byte, i int) int {
	for i < len(b) && b[i] == ' ' {
		i++
	}
	return i
}

// bad refuses the record at position i of b.
func (k *packet) bad(i int, format string, args ...any) error {
	if k.base < 0 {
		return reject(0, format, args...)
	}
	return reject(k.base+i+1, format, args...)
}

// pair takes KEY=VALUE with the key at i, "=" at eq, and the value up to end, where
// known does not.
func (k *packet) pair(i, eq, end int) error {
	ev, line := k.ev, text(k.b) // strings are cheaper to cut
	key, v := line[i:eq], line[eq+1:end]
	if k.inner {
		k.quoted(key, v)
		return nil
	}
	switch key {
	case "SRC", "IPSRC":
		return k.address(&ev.SrcIP, i, eq, end)
	case "DST", "IPDST":
		return k.address(&ev.DstIP, i, eq, end)
	case "SPT":
		return k.port(&ev.SrcPort, i, eq, end)
	case "DPT":
		return k.port(&ev.DstPort, i, eq, end)
	case "PROTO":
		return k.bad(end, "PROTO= expects a protocol, the record ends there")
	case "MAC":
		if mac, tunnel, ok := strings.Cut(v, "TUNNEL="); ok {
			ev.Put("TUNNEL", tunnel)
			v = mac
		}
		ev.Put("MAC", v)
	default:
		ev.Put(key, v)
	}
	return nil
}

// quoted takes KEY=VALUE of a packet that an ICMP error quotes; the bracket behind
// the last value closes it.
func (k *packet) quoted(key, v string) {
	open := true
	if n := len(v) - 1; n >= 0 && v[n] == ']' {
		v, open = v[:n], false
	}
	name := ""
	switch key {
	case "SRC":
		name = "inner.SRC"
	case "DST":
		name = "inner.DST"
	case "LEN":
		name = "inner.LEN"
		if k.proto {
			name = "inner.UDP_LEN"
		}
	case "TOS":
		name = "inner.TOS"
	case "PREC":
		name = "inner.PREC"
	case "TTL":
		name = "inner.TTL"
	case "ID":
		name = "inner.ID"
		if k.proto {
			name = "inner.ICMP_ID"
		}
	case "PROTO":
		k.proto = true
		name = "inner.PROTO"
	case "SPT":
		name = "inner.SPT"
	case "DPT":
		name = "inner.DPT"
	case "TYPE":
		name = "inner.TYPE"
	case "CODE":
		name = "inner.CODE"
	case "TC":
		name = "inner.TC"
	case "HOPLIMIT":
		name = "inner.HOPLIMIT"
	case "FLOWLBL":
		name = "inner.FLOWLBL"
	case "SEQ":
		name = "inner.SEQ"
	case "ACK":
		name = "inner.ACK"
	case "WINDOW":
		name = "inner.WINDOW"
	case "RES":
		name = "inner.RES"
	case "URGP":
		name = "inner.URGP"
	default:
		name = k.innerName(key)
	}
	k.ev.Put(name, v)
	k.inner = open
}

func (k *packet) innerName(key string) string {
	m := k.ctx.Arena.Make(len("inner.") + len(key))
	copy(m[copy(m, "inner."):], key)
	return text(m)
}

func (k *packet) address(to *netip.Addr, i, eq, end int) error {
	v := k.b[eq+1 : end]
	a, ok := address(v)
	if !ok {
		return k.bad(eq+1, "%s= expects an address, found %q", k.b[i:eq], brief(v))
	}
	*to = a
	return nil
}

func (k *packet) port(to *int64, i, eq, end int) error {
	v := k.b[eq+1 : end]
	n, ok := port(v)
	if !ok {
		return k.bad(eq+1, "%s= expects a port from 0 to 65535, found %q", k.b[i:eq], brief(v))
	}
	*to = n
	return nil
}

// word takes a word without "=" at b[i:end] and returns where to go on, -1 for the end
// of the record.
func (k *packet) word(w []byte, i, end int) int {
	switch string(w) {
	case "DF":
		k.put("DF", "true")
		return end
	case "]":
		k.inner = false
		return end
	case ")":
		return end
	case "AE", "CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN":
		if k.inner {
			k.flag(&k.innerFlag, i, end)
		} else {
			k.flag(&k.flags, i, end)
		}
		return end
	case "ARP":
		k.arp = true
		k.ev.Proto = "arp"
		return end
	case "OPT":
		return k.options(end)
	case "TRUNCATED", "INCOMPLETE":
		k.cut = true
		return k.incomplete(w, end)
	case "Unknown": // "Unknown Ext Hdr 59" ends the record
		k.cut = true
		k.put("ext_header", text(k.b[i:]))
		return -1
	}
	switch {
	case startsAny(w, "FRAG:"):
		k.fragment = k.fragment || !k.inner && string(w[5:]) != "0"
		k.put("FRAG", text(w[5:]))
	case startsAny(w, "ID:"):
		k.put("FRAG_ID", text(w[3:]))
	case isKey(w):
		k.put(text(w), "true")
	default:
		k.put("rest", text(k.b[i:]))
		return -1
	}
	return end
}

// flag extends the span of flags. The kernel writes them side by side, so the
// text of the record between the first and the last is what Flags holds.
func (k *packet) flag(span *[2]int, i, end int) {
	if span[1] == 0 {
		span[0] = i
	}
	span[1] = end
}

// options takes the bytes in parentheses behind OPT. Those of IPv6, "OPT ( … )",
// are extension headers in words of their own, which are read as such.
func (k *packet) options(i int) int {
	rest := trimLeft(k.b[i:])
	if len(rest) == 0 || rest[0] != '(' {
		return i
	}
	if len(rest) > 1 && rest[1] == ' ' {
		return len(k.b) - len(rest) + 1
	}
	end := bytes.IndexByte(rest, ')')
	if end < 0 {
		end = len(rest)
	}
	name := "OPT"
	if k.proto {
		name = "TCP_OPT"
	}
	k.put(name, text(bytes.TrimSpace(rest[1:end])))
	return len(k.b) - len(rest[min(end+1, len(rest)):])
}

// incomplete takes "INCOMPLETE [8 bytes]", or the word alone.
func (k *packet) incomplete(w []byte, i int) int {
	rest := trimLeft(k.b[i:])
	if len(rest) > 1 && rest[0] == '[' {
		if _, j, ok := digits(rest, 1, 1, 9); ok && bytes.HasPrefix(rest[j:], []byte(" bytes]")) {
			k.put(text(w), text(rest[1:j]))
			return len(k.b) - len(rest) + j + len(" bytes]")
		}
	}
	k.put(text(w), "true")
	return i
}

// put keeps a field, of the quoted packet under its own name.
func (k *packet) put(name, v string) {
	if k.inner {
		name = k.innerName(name)
	}
	k.ev.Put(name, v)
}

// finish checks that the record is whole and derives what follows from it.
func (k *packet) finish() error {
	ev := k.ev
	if k.flags[1] > 0 {
		ev.Flags = text(k.b[k.flags[0]:k.flags[1]])
	}
	if k.innerFlag[1] > 0 {
		ev.Put("inner.flags", text(k.b[k.innerFlag[0]:k.innerFlag[1]]))
	}
	switch {
	case ev.InInterface != "" && ev.OutInterface != "":
		ev.Direction = "forward"
	case ev.InInterface != "":
		ev.Direction = "in"
	case ev.OutInterface != "":
		ev.Direction = "out"
	}
	missing := ""
	switch {
	case k.arp, k.cut && !ev.SrcIP.IsValid():
		return nil
	case !ev.SrcIP.IsValid():
		missing = "SRC= expected, the record ends without it"
	case !ev.DstIP.IsValid():
		missing = "DST= expected, the record ends without it"
	case ev.Proto == "" && !k.cut:
		missing = "PROTO= expected, the record ends without it"
	case ev.DstPort == firetrail.Absent && (ev.Proto == "tcp" || ev.Proto == "udp") && !k.cut && !k.fragment:
		missing = "SPT= and DPT= expected, the record ends without them"
	default:
		return nil
	}
	return k.bad(len(bytes.TrimRight(k.b, " ")), "%s", missing)
}

// kernelProto is the common name of PROTO=.
func kernelProto(v []byte, arena *Arena) string {
	switch string(v) {
	case "TCP":
		return "tcp"
	case "UDP":
		return "udp"
	case "ICMP":
		return "icmp"
	case "ICMPv6":
		return "icmpv6"
	}
	if n, ok := number(v); ok {
		return protoName(n, text(v))
	}
	return lowered(v, arena)
}

// isKey reports whether a word is made like the kernel's: capitals, digits, "_".
func isKey(w []byte) bool {
	for _, c := range w {
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return w[0] >= 'A'
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
