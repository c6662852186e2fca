package parsers

import (
	"bytes"
	"strconv"

	"firetrail"
)

// pfTail reads the columns of the transport protocol. length is the IPv4
// total length, 0 for IPv6.
func pfTail(c *columns, ev *firetrail.Event, proto, length int64) {
	if c.err != nil {
		return
	}
	switch proto {
	case 6:
		pfTCP(c, ev)
	case 17:
		pfPorts(c, ev)
	case 132:
		if c.at("datalength=") {
			pfDatalength(c, ev)
		} else {
			pfPorts(c, ev)
		}
	case 1:
		if c.at("datalength=") {
			pfNewICMP(c, ev)
		} else {
			pfICMP(c, ev, length)
		}
	case 58: // pfSense prints nothing
		if c.at("datalength=") {
			pfNewICMP(c, ev)
		}
	case 112:
		if !c.ended() && !c.at("datalength=") {
			pfCARP(c, ev)
		} else {
			pfDatalength(c, ev)
		}
	default:
		pfDatalength(c, ev)
	}
	c.rest(ev)
}

func pfTCP(c *columns, ev *firetrail.Event) {
	if pfTailError(c, ev) {
		return
	}
	ev.SrcPort = c.port("source port")
	ev.DstPort = c.port("destination port")
	c.put(ev, "datalen")
	flags := c.take("TCP flags")
	if c.err == nil && !pfFlags(flags) {
		c.fail("TCP flags expected, found %q", brief(flags))
	}
	ev.Flags = text(flags)
	if c.err != nil || pfTailError(c, ev) {
		return
	}
	c.put(ev, "seq")
	c.put(ev, "ack")
	c.put(ev, "window")
	c.put(ev, "urg")
	if !c.ended() { // the last column; damaged options hold commas
		ev.Put("options", text(c.rec[c.pos:]))
		c.pos = len(c.rec) + 1
	}
}

// pfFlags reports whether b consists of filterlog's letters, in any order.
func pfFlags(b []byte) bool {
	for _, c := range b {
		if bytes.IndexByte([]byte("FSRPAUEC"), c) < 0 {
			return false
		}
	}
	return len(b) <= 8
}

// pfTailError keeps "errormsg='tcp …'", which ends the record.
func pfTailError(c *columns, ev *firetrail.Event) bool {
	if !c.at("errormsg=") {
		return false
	}
	ev.Put("error", text(bytes.TrimSuffix(c.rec[c.pos:], []byte{','})))
	c.pos = len(c.rec) + 1
	return true
}

func pfPorts(c *columns, ev *firetrail.Event) {
	ev.SrcPort = c.port("source port")
	ev.DstPort = c.port("destination port")
	c.put(ev, "datalen")
}

// pfDatalength reads "datalength=N"; pfSense adds a blank. Tunnels print
// their name instead, and OPNsense marks of damage.
func pfDatalength(c *columns, ev *firetrail.Event) {
	switch {
	case c.ended():
	case c.at("datalength="):
		ev.Put("datalen", text(bytes.TrimRight(c.take("datalength")[len("datalength="):], " ")))
	case c.at("truncated-ip"), c.at("INVALIDOPT"):
		ev.Put("error", text(c.take("error")))
	}
}

// pfNewICMP reads OPNsense's form of 2026, "datalength=N,type,code,id,seq,mtu"
// with the keywords of pf.conf, and the length alone that was printed before.
func pfNewICMP(c *columns, ev *firetrail.Event) {
	pfDatalength(c, ev)
	if c.ended() {
		return
	}
	if c.at("truncated-icmp=") {
		ev.Put("error", text(c.take("error")))
	} else {
		c.put(ev, "icmp_type")
	}
	c.put(ev, "icmp_code")
	for _, name := range [...]string{"icmp_id", "icmp_seq", "icmp_mtu"} {
		if c.ended() {
			return
		}
		c.put(ev, name)
	}
}

// pfICMP reads pfSense's form. Its last step prints the length of the ICMP
// message right behind the last column, without a comma: the "64" of
// "request,540,164" is the length of an 84-byte packet's message, and seq is 1.
func pfICMP(c *columns, ev *firetrail.Event, length int64) {
	if c.ended() {
		c.fail("ICMP type expected, the record ends")
		return
	}
	rest := c.rec[c.pos:]
	cut := len(rest) - gluedLength(rest, length, ev.Reason == "ip-option")
	glued := rest[cut:]
	c.rec = c.rec[:c.pos+cut]
	if c.at("routeradv") {
		pfRouterAdvert(c, ev)
	} else {
		pfMessage(c, ev)
	}
	if len(glued) > 0 {
		ev.Put("datalen", text(glued))
	}
	c.rest(ev)
}

// gluedLength is how many digits at the end of tail are the length of the ICMP
// message: the total length less the IP header, of 20 bytes unless it has
// options. It is 0 where nothing would be left of the column.
func gluedLength(tail []byte, length int64, options bool) int {
	most := int64(20)
	if options {
		most = 60
	}
	alone := bytes.HasPrefix(tail, []byte("routeradv")) || bytes.HasPrefix(tail, []byte("redirect"))
	for header := int64(20); header <= most && header < length; header += 4 {
		var buf [20]byte
		want := strconv.AppendInt(buf[:0], length-header, 10)
		if i := len(tail) - len(want); i > 0 && bytes.HasSuffix(tail, want) && (tail[i-1] != ',' || alone) {
			return len(want)
		}
	}
	return 0
}

// pfMessage reads the columns of an ICMP message, by its type.
func pfMessage(c *columns, ev *firetrail.Event) {
	switch kind := c.put(ev, "icmp_type"); string(kind) {
	case "request", "reply", "tstamp":
		c.put(ev, "icmp_id")
		c.put(ev, "icmp_seq")
	case "tstampreply":
		for _, name := range [...]string{"icmp_id", "icmp_seq", "icmp_otime", "icmp_rtime", "icmp_ttime"} {
			if col := bytes.TrimLeft(c.take(name), " "); len(col) > 0 {
				ev.Put(name, text(col))
			}
		}
	case "unreachport", "unreachproto":
		c.put(ev, "inner.dst_ip")
		c.put(ev, "inner.proto")
		if len(kind) == len("unreachport") {
			c.put(ev, "inner.dst_port")
		}
	case "needfrag":
		col := c.take("address")
		if i := bytes.IndexByte(col, ' '); i >= 0 { // "192.0.2.1 need to frag"
			col = col[:i]
		} else {
			c.put(ev, "icmp_mtu")
		}
		ev.Put("inner.dst_ip", text(col))
	default:
		if !c.ended() {
			ev.Put("icmp_text", text(bytes.Trim(c.rec[c.pos:], " ,")))
			c.pos = len(c.rec) + 1
		}
	}
}

// pfRouterAdvert reads "routeradv30:00,1,16": the lifetime is glued to the type.
func pfRouterAdvert(c *columns, ev *firetrail.Event) {
	col := c.take("ICMP type")
	n := len("routeradv")
	ev.Put("icmp_type", text(col[:n]))
	ev.Put("icmp_text", text(bytes.TrimRight(c.rec[c.start+n:], ",")))
	c.pos = len(c.rec) + 1
}

// pfCARP reads CARP and VRRP. The C code prints bytes 2 and 5 of the message,
// advskew before advbase; the published grammar has them the other way round.
func pfCARP(c *columns, ev *firetrail.Event) {
	for _, name := range [...]string{"carp_type", "carp_ttl", "vhid", "carp_version", "advskew", "advbase"} {
		c.put(ev, name)
	}
}

// pfExtension reads what follows the addresses of an IPv6 packet with
// extension headers: pfSense prints them in words, then the transport's
// columns without its name. Three numbers are UDP's, nine columns are TCP's.
func pfExtension(c *columns, ev *firetrail.Event) {
	begin := c.pos
	for !c.ended() {
		rest := c.rec[c.pos:]
		n := bytes.Count(rest, []byte{','}) + 1
		col := c.peek()
		if _, ok := port(col); ok && (n == 3 || n == 9) && begin != c.pos {
			break
		}
		c.take("extension header")
	}
	if end := min(c.pos, len(c.rec)); end > begin {
		ev.Put("ext", text(bytes.TrimRight(c.rec[begin:end], ",")))
	}
	switch {
	case c.ended():
	case bytes.Count(c.rec[c.pos:], []byte{','}) == 2:
		ev.Proto = "udp"
		pfPorts(c, ev)
	default:
		ev.Proto = "tcp"
		pfTCP(c, ev)
	}
}
