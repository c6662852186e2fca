package parsers

import (
	"bytes"
	"errors"
	"net/netip"

	"firetrail"
)

// PF is the filterlog of pfSense and OPNsense.
var PF = Format{
	Name: "pf",
	Doc:  "filterlog lines of pfSense and OPNsense: one packet that pf logged, as CSV",
	Spec: "filterlog.c, print-ip.c, print-ip6.c, print-tcp.c, print-icmp.c of pfsense/FreeBSD-ports and of opnsense/ports",
	Sniff: func(head []byte) error {
		return sniffLines(head, "no filterlog line", readable(&pfParser{ctx: newContext(Options{})}))
	},
	New: func(ctx *Context) Parser { return &pfParser{ctx: ctx} },
}

// pfParser reads filterlog lines. Every column has its own x field under the
// name that the description.txt of filterlog gives it:
//
//	rulenr subrulenr anchor tracker interface   the rule, and where it matched
//	action                                      pf's own word: pass, block, nat …
//	tos ecn ttl id offset ip_flags              IPv4; offset in bytes
//	class flow hoplimit                         IPv6
//	protonum protoname                          protoname only where proto spells it otherwise
//	length                                      IPv4: of the packet; IPv6: of the payload
//	datalen                                     TCP: without its header; UDP: with it; others: behind the IP header
//	seq ack window urg options                  TCP
//	icmp_type icmp_code icmp_id icmp_seq icmp_mtu icmp_text icmp_otime icmp_rtime icmp_ttime
//	inner.dst_ip inner.proto inner.dst_port     the packet that an ICMP error quotes
//	carp_type carp_ttl vhid carp_version advskew advbase
//	ext                                         IPv6 extension headers as printed
//	error                                       what filterlog found wrong with the packet
//	rest                                        columns behind the known ones
type pfParser struct {
	ctx *Context
	row pfRow
}

// Parse reads one line of filterlog.
func (p *pfParser) Parse(rec []byte, ev *firetrail.Event) error {
	if !pfPossible(rec) {
		return ErrOther
	}
	env, msg, ok := p.ctx.envelope(rec)
	if !ok && knownTag(msg) {
		undated := *env
		msg = undated.program(msg) // a header that begins with the tag: the line has no date
		env = &undated
	}
	msg = trimRight(msg)
	if env.tag != "filterlog" && !filterlogColumns(msg) {
		if looksLikeFilterlog(rec) {
			return reject(1, "a filterlog line behind a syslog header that cannot be read")
		}
		return ErrOther
	}
	if bytes.IndexByte(msg, ',') < 0 {
		return p.notice(msg)
	}
	quick := p.row.quick(msg, ev)
	if !quick {
		ev.Reset()
	}
	ev.Kind = "pf"
	if ok {
		ev.Sensor = env.host
		ev.Time, ev.Guess = env.time(p.ctx.Clock)
	}
	if quick {
		return nil
	}
	c := columns{rec: msg, base: suffixAt(rec, msg)}
	pfCommon(&c, ev, p.ctx.Arena)
	return c.err
}

// pfPossible reports whether a line can be filterlog's: it names the daemon or has
// the commas of filterlogColumns; within an object both may be written otherwise.
func pfPossible(rec []byte) bool {
	return bytes.Count(rec, []byte{','}) >= 8 || bytes.IndexByte(rec, '{') >= 0 || bytes.Contains(rec, []byte("filterlog"))
}

// notice handles what the daemon says about itself.
func (p *pfParser) notice(msg []byte) error {
	switch {
	case bytes.HasPrefix(msg, []byte("[|pflog]")), bytes.HasPrefix(msg, []byte("[pflog: ")):
		return reject(0, "filterlog could not read the header of the packet: %s", msg[:min(len(msg), 60)])
	case bytes.HasPrefix(msg, []byte("An error occured while reading")):
		p.ctx.Fact(firetrail.Absent, 0, "filterlog lost its packet source and started again")
	case len(msg) == 0 || msg[0] >= '0' && msg[0] <= '9':
		return reject(0, "filterlog columns expected")
	}
	return ErrSkip
}

// looksLikeFilterlog reports whether a line holds filterlog's CSV behind its
// name, whatever the header, or is the CSV alone. Lines in JSON are left to the
// formats that know their members.
func looksLikeFilterlog(line []byte) bool {
	if len(line) == 0 || line[0] == '{' {
		return false
	}
	if i := bytes.Index(line, []byte("filterlog")); i >= 0 {
		line = line[i+len("filterlog"):]
		comma := max(bytes.IndexByte(line, ','), 0)
		line = line[bytes.LastIndexByte(line[:comma], ' ')+1:]
	}
	return filterlogColumns(line)
}

// filterlogColumns reports whether b begins as filterlog's CSV does: a rule
// number or none, eight columns, a direction, and a 4 or 6.
func filterlogColumns(b []byte) bool {
	c := columns{rec: b}
	for i := range 9 {
		col := c.take("")
		switch {
		case c.err != nil:
			return false
		case i == 0 && !onlyDigits(col), i == 1 && !onlyDigits(col):
			return false
		case i == 7 && !pfDirection(col), i == 8 && string(col) != "4" && string(col) != "6":
			return false
		}
	}
	return true
}

// pfCommon reads the columns of pf itself and goes on with the packet's.
func pfCommon(c *columns, ev *firetrail.Event, arena *Arena) {
	if col := c.take("rule number"); c.err == nil && !onlyDigits(col) {
		c.fail("rule number expected, found %q", brief(col))
	} else if len(col) > 0 {
		ev.Rule = text(col)
		ev.Put("rulenr", ev.Rule)
	}
	c.put(ev, "subrulenr")
	c.put(ev, "anchor")
	c.put(ev, "tracker")
	name := text(c.put(ev, "interface"))
	ev.Reason = text(c.take("reason"))
	action := c.put(ev, "action")
	ev.Action = pfAction(text(action))
	dir := c.take("direction")
	if c.err == nil && !pfDirection(dir) {
		c.fail("direction in, out or in/out expected, found %q", brief(dir))
	}
	pfPlace(ev, name, text(dir))
	switch version := c.take("IP version"); {
	case c.err != nil:
	case string(version) == "4":
		pfIPv4(c, ev, arena)
	case string(version) == "6":
		pfIPv6(c, ev, arena)
	default:
		c.fail("IP version 4 or 6 expected, found %q", brief(version))
	}
}

// pfPlace sets the direction and the interface of that side.
func pfPlace(ev *firetrail.Event, name, dir string) {
	ev.Direction = dir
	switch dir {
	case "in":
		ev.InInterface = name
	case "out":
		ev.OutInterface = name
	}
}

// pfDirection reports whether b is a direction as filterlog prints it.
func pfDirection(b []byte) bool {
	switch string(b) {
	case "in", "out", "in/out", "fwd", "unkn(%u)":
		return true
	}
	return bytes.HasPrefix(b, []byte("unknown("))
}

// pfAction maps pf's word. Translations (nat, rdr, binat), scrub and match do
// not say whether the packet passed.
func pfAction(word string) string {
	switch word {
	case "pass":
		return firetrail.ActionAllow
	case "block":
		return firetrail.ActionDeny
	case "synproxy-drop":
		return firetrail.ActionDrop
	}
	return ""
}

// pfIPv4 reads the columns of an IPv4 header and goes on with the transport's.
func pfIPv4(c *columns, ev *firetrail.Event, arena *Arena) {
	if pfDamage(c, ev) {
		return
	}
	c.put(ev, "tos")
	c.put(ev, "ecn")
	c.putNumber(ev, "ttl")
	c.putNumber(ev, "id")
	offset := c.putNumber(ev, "offset")
	c.put(ev, "ip_flags")
	num := c.take("protocol number")
	name := c.take("protocol name")
	proto := pfProto(c, ev, num, name, arena)
	length, _ := number(c.putNumber(ev, "length"))
	pfAddresses(c, ev)
	if c.err == nil && (len(offset) != 1 || offset[0] != '0') {
		c.rest(ev) // only the first fragment has a transport header
		return
	}
	pfTail(c, ev, proto, length)
}

// pfIPv6 does the same for IPv6, where name and number of the protocol have changed places.
func pfIPv6(c *columns, ev *firetrail.Event, arena *Arena) {
	if pfDamage(c, ev) {
		return
	}
	c.put(ev, "class")
	c.put(ev, "flow")
	c.putNumber(ev, "hoplimit")
	name := c.take("protocol name")
	num := c.take("protocol number")
	proto := pfProto(c, ev, num, name, arena)
	c.putNumber(ev, "length")
	pfAddresses(c, ev)
	if c.err != nil {
		return
	}
	switch proto {
	case 0, 43, 44, 60, 135:
		pfExtension(c, ev)
	case 1: // of no meaning in IPv6
		c.rest(ev)
	default:
		pfTail(c, ev, proto, 0)
	}
}

// pfDamage reads what filterlog inserts before the first IP column of a
// packet it could not read; done says that nothing follows.
func pfDamage(c *columns, ev *firetrail.Event) (done bool) {
	damaged := false
	for c.err == nil && !c.at("0x") {
		switch {
		case c.ended() && damaged:
			return true
		case c.ended():
			c.start = len(c.rec)
			c.fail("tos expected, the record ends")
		case c.at("error="), c.at("truncated-ip"), c.at("bad-"), c.at("[|ip"), c.at(" IP("):
			ev.Put("error", text(bytes.Trim(c.take("error"), " ")))
			damaged = true
		default:
			col := c.take("tos")
			c.fail("tos as 0x… expected, found %q", brief(col))
		}
	}
	return c.err != nil
}

// pfProto takes the protocol from its two columns, in either order, and returns its number.
func pfProto(c *columns, ev *firetrail.Event, num, name []byte, arena *Arena) int64 {
	if c.err != nil {
		return -1
	}
	n, ok := number(num)
	if !ok {
		if n, ok = number(name); !ok {
			c.fail("protocol number expected, found %q", brief(num))
			return -1
		}
		num, name = name, num
	}
	ev.Put("protonum", text(num))
	ev.Proto = protoName(n, text(num))
	switch {
	case len(name) == 0 || string(name) == ev.Proto || bytes.EqualFold(name, []byte(ev.Proto)):
	case ev.Proto == text(num) && !bytes.HasPrefix(name, []byte("unknown")):
		ev.Proto = lowered(name, arena)
	default:
		ev.Put("protoname", text(name))
	}
	return n
}

// protoName gives the common name of an IP protocol number, else the number as recorded.
func protoName(n int64, recorded string) string {
	switch n {
	case 1:
		return "icmp"
	case 2:
		return "igmp"
	case 4:
		return "ipip"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 41:
		return "ipv6"
	case 47:
		return "gre"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case 58:
		return "icmpv6"
	case 89:
		return "ospf"
	case 103:
		return "pim"
	case 112:
		return "vrrp"
	case 132:
		return "sctp"
	}
	return recorded
}

func pfAddresses(c *columns, ev *firetrail.Event) {
	ev.SrcIP = c.address("source address")
	ev.DstIP = c.address("destination address")
}

// columns walks comma-separated columns without quotes. The first error stays
// in err; from then on every column is nil.
type columns struct {
	rec   []byte
	pos   int // where the next column begins; behind len(rec) there is none
	start int // where the last one began
	base  int // of rec in the record, -1 unknown
	err   error
}

var errColumns = errors.New("no more columns")

// take returns the next column, which the error calls what.
func (c *columns) take(what string) []byte {
	if c.err != nil {
		return nil
	}
	rec, start := c.rec, c.pos
	c.start = start
	if start > len(rec) {
		c.err = errColumns
		if what != "" {
			c.start = len(c.rec)
			c.fail("%s expected, the record ends", what)
		}
		return nil
	}
	end := start
	for end < len(rec) && rec[end] != ',' { // columns are short: a loop beats a call
		end++
	}
	c.pos = end + 1
	return rec[start:end]
}

// peek is the next column without taking it.
func (c *columns) peek() []byte {
	p := *c
	return p.take("")
}

// at reports whether the next column begins with s.
func (c *columns) at(s string) bool {
	return c.pos < len(c.rec) && bytes.HasPrefix(c.rec[c.pos:], []byte(s))
}

// ended reports whether no column with text is left.
func (c *columns) ended() bool {
	return c.err != nil || c.pos >= len(c.rec)
}

func (c *columns) fail(format string, args ...any) {
	column := 0
	if c.base >= 0 {
		column = c.base + c.start + 1
	}
	c.err = reject(column, format, args...)
}

// put takes the next column as the event's own field, unless it is empty.
func (c *columns) put(ev *firetrail.Event, name string) []byte {
	col := c.take(name)
	if len(col) > 0 {
		ev.Put(name, text(col))
	}
	return col
}

// putNumber is put for a decimal number.
func (c *columns) putNumber(ev *firetrail.Event, name string) []byte {
	col := c.put(ev, name)
	if c.err == nil && (len(col) == 0 || !onlyDigits(col)) {
		c.fail("%s expected as a number, found %q", name, brief(col))
	}
	return col
}

// rest keeps what is left under "rest".
func (c *columns) rest(ev *firetrail.Event) {
	if !c.ended() {
		ev.Put("rest", text(c.rec[c.pos:]))
		c.pos = len(c.rec) + 1
	}
}

func (c *columns) address(what string) netip.Addr {
	col := c.take(what)
	a, ok := address(col)
	if !ok && c.err == nil {
		c.fail("%s expected, found %q", what, brief(col))
	}
	return a
}

func (c *columns) port(what string) int64 {
	col := c.take(what)
	n, ok := port(col)
	if ok {
		return n
	}
	if c.err == nil {
		c.fail("%s expected, found %q", what, brief(col))
	}
	return firetrail.Absent
}

func onlyDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) <= 20
}

// brief cuts text for a message.
func brief(b []byte) []byte { return b[:min(len(b), 40)] }

// suffixAt is where tail begins in rec, -1 if it is not the end of its memory.
func suffixAt(rec, tail []byte) int {
	at := len(trimRight(rec)) - len(tail)
	if at < 0 || len(tail) == 0 || &rec[at] != &tail[0] {
		return -1
	}
	return at
}

// lowered is b in lower case, in the arena if it has to be changed.
func lowered(b []byte, arena *Arena) string {
	for _, c := range b {
		if c >= 'A' && c <= 'Z' {
			m := arena.Make(len(b))
			for i, c := range b {
				if c >= 'A' && c <= 'Z' {
					c |= 0x20
				}
				m[i] = c
			}
			return text(m)
		}
	}
	return text(b)
}
