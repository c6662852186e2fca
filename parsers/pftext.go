package parsers

import (
	"bytes"

	"firetrail"
)

// PFText is what tcpdump prints of a pflog interface with -e.
var PFText = Format{
	Name: "pftext",
	Doc:  "tcpdump -e text of pflog, of tcpdump.org and of OpenBSD, also behind syslog's pf: tag, also several lines a packet (-v)",
	Spec: "print-pflog.c, print-ip.c, print-ip6.c, print-tcp.c, print-icmp.c of tcpdump.org 4.99 and of OpenBSD's usr.sbin/tcpdump",
	Sniff: func(head []byte) error {
		return sniffLines(head, "no line of tcpdump with a pf rule", readable(&pfTextParser{newContext(Options{})}))
	},
	New: func(ctx *Context) Parser { return &pfTextParser{ctx} },
}

// pfTextParser reads packets as tcpdump prints them. The x fields have the
// names of pfParser and pflogParser where they say the same; beyond them:
//
//	stamp        a stamp without a date: a time of day or a difference (-ttt)
//	info         everything behind the addresses, as printed
//	icmp_text    ICMP in words; icmp_type and icmp_code are numbers, where the words tell
//	rewritten    OpenBSD: the addresses before pf rewrote them
//	src dst      an end that is printed as a name; src_service dst_service likewise a port
//	ip_options
//
// The flags stay as printed: "S.", where filterlog writes "SA".
type pfTextParser struct {
	ctx *Context
}

const (
	pfTextLines = 64       // most lines of one packet
	pfTextAhead = 64 << 10 // most bytes looked at to find the end of a line
)

// Frame joins the lines that -v prints of one packet: those that follow a line
// with a rule and begin with a blank, but not with a rule of their own.
func (p *pfTextParser) Frame(data []byte, atEOF bool) int {
	end := bytes.IndexByte(data, '\n') + 1
	if end == 0 {
		if atEOF {
			return len(data)
		}
		return 0
	}
	first := data[:end]
	if !bytes.Contains(first, []byte("rule ")) {
		return end
	}
	tagged := bytes.Contains(first, []byte(" pf: "))
	for range pfTextLines {
		rest := data[end:]
		n := bytes.IndexByte(rest, '\n') + 1
		switch {
		case len(rest) == 0 && atEOF:
			return end
		case n == 0 && len(rest) > pfTextAhead:
			return end
		case n == 0 && !atEOF && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || tagged):
			return 0
		case n == 0:
			n = len(rest)
		}
		if len(pfContinued(rest[:n], tagged)) == 0 {
			return end
		}
		end += n
	}
	return end
}

// pfContinued is the text of a line that continues a packet, without its
// syslog header; nil of any other line.
func pfContinued(line []byte, tagged bool) []byte {
	if bytes.Contains(line, []byte("rule ")) {
		return nil
	}
	text := bytes.TrimSpace(line)
	if tagged {
		i := bytes.Index(text, []byte(" pf: "))
		if i < 0 {
			return nil
		}
		text = bytes.TrimLeft(text[i+len(" pf: "):], " \t")
		if len(text) > 0 && (text[0] == '(' || bytes.Contains(text, []byte(" > "))) {
			return text
		}
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		return text
	}
	return nil
}

// Parse reads one packet, of one line or of several.
func (p *pfTextParser) Parse(rec []byte, ev *firetrail.Event) error {
	if !bytes.Contains(rec, []byte("rule ")) {
		return p.notice(rec)
	}
	line := rec
	if bytes.IndexByte(rec, '\n') >= 0 {
		line = p.joined(rec)
	}
	h, env, ok := findPFHead(p.ctx, line)
	if !ok {
		return ErrOther
	}
	ev.Kind = "pf"
	ev.Sensor = env.host
	p.time(&h, env, ev)
	t := packetText{ev: ev, arena: p.ctx.Arena}
	b, ok := t.rule(h.rest)
	if !ok {
		return reject(h.column(rec, line), "action, direction and interface expected behind the rule")
	}
	if !t.packet(b) {
		return reject(h.column(rec, line), "addresses expected behind the interface")
	}
	return nil
}

// notice handles what tcpdump says about itself.
func (p *pfTextParser) notice(rec []byte) error {
	if first := trimLeft(rec); len(first) == 0 || (first[0] < '0' || first[0] > '9') && bytes.IndexByte([]byte("tlrd"), first[0]) < 0 {
		return ErrOther // neither a count nor one of the words below
	}
	for _, s := range [...]string{"tcpdump: ", "listening on ", "reading from file ", "dropped privs to "} {
		if bytes.HasPrefix(rec, []byte(s)) {
			return ErrHeader
		}
	}
	count, rest := word(rec)
	n, ok := number(count)
	if !ok || !bytes.HasPrefix(rest, []byte("packet")) {
		return ErrOther
	}
	switch {
	case bytes.HasSuffix(rest, []byte(" dropped by kernel")):
		if n > 0 {
			p.ctx.Fact(firetrail.Absent, n, "tcpdump says that the kernel dropped packets")
		}
	case !bytes.HasSuffix(rest, []byte(" captured")) && !bytes.HasSuffix(rest, []byte(" received by filter")):
		return ErrOther
	}
	return ErrHeader
}

// joined puts the lines of a record into one, without the hexadecimal ones of -x.
func (p *pfTextParser) joined(rec []byte) []byte {
	out := p.ctx.Arena.Make(len(rec) + 1)[:0]
	tagged := false
	for line := range bytes.Lines(rec) {
		text := bytes.TrimRight(line, " \t\r\n")
		if len(out) == 0 {
			tagged = bytes.Contains(line, []byte(" pf: "))
		} else {
			if text = pfContinued(line, tagged); hexLine(text) {
				continue
			}
			out = append(out, ' ')
		}
		out = append(out, text...)
	}
	return out
}

// hexLine reports whether b begins as "0x0010:  4500" or OpenBSD's "0010: 4500" do.
func hexLine(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("0x"))
	if len(b) < 6 || b[4] != ':' || b[5] != ' ' {
		return false
	}
	for _, c := range b[:4] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// time takes the packet's own stamp if it has a date, else syslog's.
func (p *pfTextParser) time(h *pfHead, env *envelope, ev *firetrail.Event) {
	if h.dated {
		if t, g, ok := p.ctx.Clock.at(&h.stamp); ok {
			ev.Time, ev.Guess = t, g
		} else {
			ev.Put("stamp", text(h.when))
		}
		return
	}
	ev.Time, ev.Guess = env.time(p.ctx.Clock)
	if len(h.when) > 0 {
		ev.Put("stamp", text(h.when))
	}
}

// pfHead is the beginning of a line up to the word "rule".
type pfHead struct {
	when  []byte // the stamp as printed
	stamp stamp
	dated bool
	rest  []byte // from the rule's number on
}

// column is where the rule's number stands in a record of one line, else 0.
func (h *pfHead) column(rec, line []byte) int {
	if &rec[0] != &line[0] {
		return 0
	}
	if at := suffixAt(rec, trimRight(h.rest)); at >= 0 {
		return at + 1
	}
	return 0
}

// findPFHead finds the rule at the start of line, or behind a syslog header.
func findPFHead(ctx *Context, line []byte) (h pfHead, env *envelope, ok bool) {
	if h, ok = readPFHead(line); ok {
		return h, &noEnvelope, true
	}
	env, msg, ok := ctx.envelope(line)
	if !ok {
		return h, env, false
	}
	h, ok = readPFHead(msg)
	return h, env, ok
}

// readPFHead reads "[stamp ]rule 12/0(match)".
func readPFHead(b []byte) (h pfHead, ok bool) {
	b = trimLeft(b)
	i := bytes.Index(b[:min(len(b), 64)], []byte("rule "))
	if i < 0 || i > 0 && b[i-1] != ' ' {
		return h, false
	}
	h.when, h.rest = bytes.TrimRight(b[:i], " "), b[i+len("rule "):]
	if s, n := readStamp(b); n > 0 && n == len(h.when) && s.kind != stampUptime {
		h.stamp, h.dated = s, true
	} else {
		for _, c := range h.when {
			if (c < '0' || c > '9') && c != ':' && c != '.' && c != ' ' {
				return h, false
			}
		}
	}
	end := bytes.IndexByte(h.rest[:min(len(h.rest), 256)], '(')
	if end < 2 || bytes.IndexByte(h.rest[:end], '/') < 0 || bytes.IndexByte(h.rest[end:], ')') < 0 {
		return h, false
	}
	return h, h.rest[0] >= '0' && h.rest[0] <= '9' || bytes.HasPrefix(h.rest, []byte("def"))
}

// rule reads "0.anchor.5/0(match): block in on em0: " and returns what follows.
func (t *packetText) rule(b []byte) (rest []byte, ok bool) {
	ev := t.ev
	i := bytes.IndexByte(b, '(')
	slash := bytes.LastIndexByte(b[:i], '/')
	t.ruleNumber(b[:slash])
	if code := b[slash+1 : i]; len(code) > 0 {
		ev.Put("reason_code", text(code))
	}
	j := i + bytes.IndexByte(b[i:], ')')
	ev.Reason = text(b[i+1 : j])
	b = t.owner(bytes.TrimLeft(b[j+1:], ": \t"), "rule_uid", "rule_pid")
	action, b := word(b)
	dir, b := word(b)
	on, b := word(b)
	colon := bytes.IndexByte(b, ':')
	if string(on) != "on" || colon < 1 || colon > 64 || bytes.IndexByte(b[:colon], ' ') >= 0 || !pfDirection(dir) {
		return nil, false
	}
	ev.Put("action", text(action))
	ev.Action = pfAction(text(action))
	name := text(b[:colon])
	ev.Put("interface", name)
	where := text(dir)
	if where == "fwd" {
		where = "forward"
	}
	pfPlace(ev, name, where)
	b = t.owner(trimLeft(b[colon+1:]), "uid", "pid")
	if bytes.HasPrefix(b, []byte("[rewritten: ")) || bytes.HasPrefix(b, []byte("[orig ")) {
		if end := bytes.IndexByte(b, ']'); end > 0 {
			ev.Put("rewritten", text(bytes.TrimPrefix(b[1:end], []byte("rewritten: "))))
			b = b[end+1:]
		}
	}
	return trimLeft(b), true
}

// ruleNumber reads "12", "0.anchor.5", "0.5" and OpenBSD's "def" for the default rule.
func (t *packetText) ruleNumber(b []byte) {
	number, rest := b, []byte(nil)
	if i := bytes.IndexByte(b, '.'); i >= 0 {
		number, rest = b[:i], b[i+1:]
	}
	t.ev.Rule = text(number)
	t.ev.Put("rulenr", t.ev.Rule)
	if len(rest) == 0 {
		return
	}
	sub := rest
	if i := bytes.LastIndexByte(rest, '.'); i >= 0 {
		rest, sub = rest[:i], rest[i+1:]
	} else {
		rest = nil
	}
	if !onlyDigits(sub) && string(sub) != "def" {
		rest, sub = b[len(number)+1:], nil
	}
	if len(sub) > 0 {
		t.ev.Put("subrulenr", text(sub))
	}
	if len(rest) > 0 {
		t.ev.Put("anchor", text(rest))
	}
}

// owner reads an optional "[uid 0, pid 24100]" with the colon and blanks behind it.
func (t *packetText) owner(b []byte, uid, pid string) []byte {
	rest, ok := bytes.CutPrefix(b, []byte("[uid "))
	end := bytes.IndexByte(rest, ']')
	if !ok || end < 0 {
		return b
	}
	user, process, ok := bytes.Cut(rest[:end], []byte(", pid "))
	t.ev.Put(uid, text(user))
	if ok {
		t.ev.Put(pid, text(process))
	}
	return bytes.TrimLeft(rest[end+1:], ": \t")
}

// word cuts the first word off.
func word(b []byte) (first, rest []byte) {
	b = trimLeft(b)
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], trimLeft(b[i:])
	}
	return b, nil
}
