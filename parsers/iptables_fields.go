package parsers

import (
	"bytes"
	"net/netip"
	"strconv"

	"firetrail"
)

// maxFields bounds the fields of one record; the kernel writes up to 40.
const maxFields = 512

// packet reads the kernel's own text of one record into ev.
type packet struct {
	ev   *firetrail.Event
	ctx  *Context
	b    []byte
	base int // where b begins in the record, -1 if it stands elsewhere

	inner     bool // within the brackets of a quoted packet
	proto     bool // PROTO= was met, of the packet that is being read
	arp       bool
	cut       bool // the kernel says that it could not read all of the packet
	fragment  bool // no first fragment: without ports
	flags     [2]int
	innerFlag [2]int
}

// read reads the text from position i on.
func (k *packet) read(i int) error {
	for {
		for i < len(k.b) && k.b[i] == ' ' {
			i++
		}
		if i >= len(k.b) {
			return k.finish()
		}
		if k.b[i] == '[' && !k.inner && startsAny(k.b[i:], "[SRC=") {
			k.inner, k.proto = true, false
			i++
		}
		end := i + wordEnd(k.b[i:])
		if k.b[i] == '<' { // "<1>SRC=": the printk level of a second call
			if _, n := priority(k.b[i:end]); n > 0 {
				i += n
			}
			if i == end { // nothing stands behind it
				continue
			}
		}
		word := k.b[i:end]
		if eq := bytes.IndexByte(word, '='); eq > 0 {
			closes := k.inner && word[len(word)-1] == ']'
			if closes {
				word = word[:len(word)-1]
			}
			if err := k.pair(word[:eq], word[eq+1:], i); err != nil {
				return err
			}
			if closes {
				k.inner = false
			}
			i = end
		} else if i = k.word(word, i, end); i < 0 {
			return k.finish()
		}
		if len(k.ev.X) > maxFields {
			return k.bad(i, "more than %d fields in one record", maxFields)
		}
	}
}

// bad refuses the record at position i of b.
func (k *packet) bad(i int, format string, args ...any) error {
	if k.base < 0 {
		return reject(0, format, args...)
	}
	return reject(k.base+i+1, format, args...)
}

// pair takes KEY=VALUE whose key starts at i.
func (k *packet) pair(key, v []byte, i int) error {
	if k.inner {
		k.quoted(key, v)
		return nil
	}
	ev := k.ev
	at := i + len(key) + 1
	switch string(key) {
	case "SRC", "IPSRC":
		return k.address(&ev.SrcIP, key, v, at)
	case "DST", "IPDST":
		return k.address(&ev.DstIP, key, v, at)
	case "SPT":
		return k.port(&ev.SrcPort, key, v, at)
	case "DPT":
		return k.port(&ev.DstPort, key, v, at)
	case "PROTO":
		if len(v) == 0 {
			return k.bad(at, "PROTO= expects a protocol, the record ends there")
		}
		k.proto = true
		ev.Proto = kernelProto(v, k.ctx.Arena)
	case "IN":
		ev.InInterface = text(v)
	case "OUT":
		ev.OutInterface = text(v)
	case "MAC":
		if t := bytes.Index(v, []byte("TUNNEL=")); t >= 0 {
			ev.Put("TUNNEL", text(v[t+len("TUNNEL="):]))
			v = v[:t]
		}
		ev.Put("MAC", text(v))
	case "LEN":
		if k.proto {
			ev.Put("UDP_LEN", text(v))
		} else {
			ev.Put("LEN", text(v))
		}
	case "ID":
		if k.proto {
			ev.Put("ICMP_ID", text(v))
		} else {
			ev.Put("ID", text(v))
		}
	default:
		ev.Put(text(key), text(v))
	}
	return nil
}

// quoted takes KEY=VALUE of a packet that an ICMP error quotes.
func (k *packet) quoted(key, v []byte) {
	name := ""
	switch string(key) {
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
	k.ev.Put(name, text(v))
}

func (k *packet) innerName(key []byte) string {
	m := k.ctx.Arena.Make(len("inner.") + len(key))
	copy(m[copy(m, "inner."):], key)
	return text(m)
}

func (k *packet) address(to *netip.Addr, key, v []byte, at int) error {
	a, ok := address(v)
	if !ok {
		return k.bad(at, "%s= expects an address, found %q", key, brief(v))
	}
	*to = a
	return nil
}

func (k *packet) port(to *int64, key, v []byte, at int) error {
	n, ok := port(v)
	if !ok {
		return k.bad(at, "%s= expects a port from 0 to 65535, found %q", key, brief(v))
	}
	*to = n
	return nil
}

// word takes a word without "=" at b[i:end] and returns where to go on, -1 for the end
// of the record.
func (k *packet) word(w []byte, i, end int) int {
	switch string(w) {
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
		name = k.innerName([]byte(name))
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
	end := len(bytes.TrimRight(k.b, " "))
	switch {
	case k.arp, k.cut && !ev.SrcIP.IsValid():
		return nil
	case !ev.SrcIP.IsValid():
		return k.bad(end, "SRC= expected, the record ends without it")
	case !ev.DstIP.IsValid():
		return k.bad(end, "DST= expected, the record ends without it")
	case ev.Proto == "" && !k.cut:
		return k.bad(end, "PROTO= expected, the record ends without it")
	case (ev.Proto == "tcp" || ev.Proto == "udp") && !k.cut && !k.fragment && ev.DstPort == firetrail.Absent:
		return k.bad(end, "SPT= and DPT= expected, the record ends without them")
	}
	return nil
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
