package parsers

import (
	"bytes"

	"firetrail"
)

// envelope is what syslog daemons and collectors put around a message. Its
// text aliases the record. A doubled header gives the inner one, which the
// device itself wrote, and keeps the name of the relay.
type envelope struct {
	stamp    stamp
	near     int64  // time of a wrapper around a year-less stamp, else Absent
	host     string // the device, "" where the header names none
	relay    string // host of the outer header of two
	tag      string // program without its process number: "kernel", "filterlog"; "" where there is none
	pid      string // process number or RFC 5424 PROCID
	facility string // "kern.warn" of OpenWrt and FreeBSD
	priority int    // of <PRI>, -1 where there is none
	uptime   string // of the kernel, "1732.118004"

	known *headers // nil: nothing is kept

	// body is the text from the tag on. Where a header has no tag, the first
	// word of a message that ends in a colon looks like one: a caller that knows
	// better reads body instead of the message.
	body []byte
	rest []byte // the text from behind the stamp on
}

// time resolves the stamp of the header; t is Absent where it has none that
// names a moment.
func (e *envelope) time(c *Clock) (t int64, g firetrail.Guess) {
	if e.stamp.kind == stampYearless && e.near != firetrail.Absent {
		t, g, _ = c.near(&e.stamp, e.near)
		return t, g
	}
	t, g, _ = c.at(&e.stamp)
	return t, g
}

// envelope reads the header of a record and returns the message behind it. It
// knows
//
//   - RFC 3164 with and without <PRI>, a blank behind it, host, tag and pid, with
//     a year, with decimals, with the host doubled, and a second whole header;
//   - RFC 5424 with nil fields and structured data, with or without <PRI>;
//   - ISO 8601 and Unix stamps with host and tag (rsyslog, journalctl -o short-*);
//   - OpenWrt's logread, "kern.info: Oct 12 …", FreeBSD's <kern.info>;
//   - the kernel's own stamps, dmesg -T and --time-format;
//   - JSON objects of journald and of shippers that carry the line as a string.
//
// ok is false where the record has no header at all; msg is then all of it.
// The stamp is not resolved: see time. Nothing is allocated, but the message of
// a JSON object is unescaped into the arena. The envelope is valid until the next
// record's is read, and not to be changed.
func (c *Context) envelope(rec []byte) (env *envelope, msg []byte, ok bool) {
	if len(rec) == 0 {
		return &noEnvelope, rec, false
	}
	s := &c.seen
	// Positions follow from capacities, so that a view with another one is read again.
	if len(s.rec) == len(rec) && cap(s.rec) == cap(rec) && &s.rec[0] == &rec[0] {
		return &s.env, s.msg, s.ok
	}
	s.rec = rec
	if b := trimLeft(rec); len(b) > 0 && b[0] == '{' {
		s.env, s.msg, s.ok = c.wrapped(b)
	} else {
		s.env = noEnvelope
		s.env.known = &c.known
		s.msg, s.ok = s.env.read(b)
		if n := len(s.msg); s.ok && n > 0 && s.msg[n-1] == '}' {
			s.env, s.msg, _ = c.carried(&s.env, s.msg)
		}
	}
	if !s.ok {
		s.msg = rec
	}
	return &s.env, s.msg, s.ok
}

// noEnvelope says nothing.
var noEnvelope = envelope{near: firetrail.Absent, priority: -1}

// read reads a textual header.
func (e *envelope) read(b []byte) (msg []byte, ok bool) {
	b = skipCount(b)
	if pri, n := priority(b); n > 0 {
		e.priority, ok = pri, true
		b = trimLeft(b[n:])
		if e.modern(b) {
			return e.rfc5424(b[2:])
		}
	} else if e.modern(b) {
		return e.rfc5424(b[2:])
	}
	if s, n := e.known.stamp(b); n > 0 {
		e.stamp = s
		if s.kind == stampUptime {
			e.body = b
			return e.kernel(b), true
		}
		b = behindStamp(b[n:])
		return e.names(b), true
	}
	// "kern.info: Oct 12 08:00:00 …", "daemon.notice: …"
	if i := bytes.IndexByte(b, ' '); i > 2 && i < 24 && isFacility(b[:i]) {
		rest := trimLeft(b[i:])
		if s, n := readStamp(rest); n > 0 && s.kind != stampUptime {
			e.facility = text(bytes.TrimSuffix(b[:i], []byte{':'}))
			e.stamp = s
			return e.names(behindStamp(rest[n:])), true
		}
	}
	e.body = b
	if !ok {
		return b, false
	}
	return e.program(b), true
}

// modern reports whether b begins as RFC 5424 does behind <PRI>: version 1 and
// a full stamp or the nil value.
func (e *envelope) modern(b []byte) bool {
	if len(b) < 4 || b[0] != '1' || b[1] != ' ' {
		return false
	}
	if b[2] == '-' {
		return b[3] == ' '
	}
	return len(b) > 22 && b[6] == '-' && b[12] == 'T'
}

// rfc5424 reads TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG.
func (e *envelope) rfc5424(b []byte) (msg []byte, ok bool) {
	if b[0] == '-' {
		b = b[1:]
	} else {
		s, n := isoStamp(b)
		if n == 0 {
			e.body = b
			return b, true
		}
		e.stamp = s
		b = b[n:]
	}
	var field [4][]byte
	for i := range field {
		b = trimLeft(b)
		n := bytes.IndexByte(b, ' ')
		if n < 0 {
			n = len(b)
		}
		field[i], b = b[:n], b[n:]
	}
	e.host, e.tag, e.pid = nilText(field[0]), nilText(field[1]), nilText(field[2])
	b = skipData(trimLeft(b))
	b = bytes.TrimPrefix(trimLeft(b), []byte("\xef\xbb\xbf"))
	e.body = b
	return e.kernel(b), true
}

// names reads host and tag behind a stamp, or a second header.
func (e *envelope) names(b []byte) (msg []byte) {
	b = trimLeft(b)
	e.rest = b
	if n, ok := e.known.find(b, e); ok {
		return e.kernel(trimLeft(b[n:]))
	}
	if len(b) > 2 && b[0] == '<' { // FreeBSD: <kern.info> or <0.6>
		if i := bytes.IndexByte(b[:min(len(b), 24)], '>'); i > 1 && i+1 < len(b) && b[i+1] == ' ' && bytes.IndexByte(b[:i], '.') > 0 {
			e.facility = text(b[1:i])
			b = trimLeft(b[i+1:])
		}
	}
	i := wordEnd(b)
	if i > 2 && isFacility(b[:i]) { // OpenWrt: "kern.warn kernel: …"
		e.facility = text(bytes.TrimSuffix(b[:i], []byte{':'}))
		b = trimLeft(b[i:])
		i = wordEnd(b)
	}
	if n := tagLength(b); n > 0 || !isHost(b[:i]) {
		return e.named(b, n)
	}
	e.host = text(b[:i])
	b = trimLeft(b[i:])
	if n := tagLength(b); n > 0 { // neither a stamp nor a host ends like a tag
		return e.named(b, n)
	}
	if s, n := readStamp(b); n > 0 && s.kind != stampUptime {
		e.relay, e.host, e.stamp = e.host, "", s
		return e.names(behindStamp(b[n:]))
	}
	if j := wordEnd(b); j > 0 && j < len(b) {
		switch {
		case bytes.EqualFold(b[:j], []byte(e.host)):
			b = trimLeft(b[j:])
		case isHost(b[:j]) && knownTag(trimLeft(b[j:])):
			e.relay, e.host = e.host, text(b[:j])
			b = trimLeft(b[j:])
		}
	}
	return e.program(b)
}

// program reads the tag at the start of b, if there is one.
func (e *envelope) program(b []byte) (msg []byte) { return e.tagged(b, tagLength(b)) }

// tagged reads the tag of n bytes at the start of b, 0 if there is none.
func (e *envelope) tagged(b []byte, n int) (msg []byte) {
	e.body = b
	if n == 0 {
		return e.kernel(b)
	}
	tag := b[:n]
	if tag[n-1] == ':' {
		tag = tag[:n-1]
	}
	if end := len(tag) - 1; tag[end] == ']' {
		if i := bytes.IndexByte(tag, '['); i >= 0 {
			e.pid = text(tag[i+1 : end])
			tag = tag[:i]
		}
	}
	e.tag = text(tag)
	return e.kernel(trimLeft(b[n:]))
}

// named is tagged for what stands behind a stamp. It keeps the source.
func (e *envelope) named(b []byte, n int) (msg []byte) {
	msg = e.tagged(b, n)
	if e.facility == "" && n > 0 && n < len(b) && b[n] == ' ' {
		e.known.keep(e, n)
	}
	return msg
}

// kernel takes the uptime from the start of the message, as the kernel writes
// it: "[ 1732.118004] ", with CONFIG_PRINTK_CALLER "[ 1732.118004][  T312] ".
func (e *envelope) kernel(b []byte) (msg []byte) {
	n := uptime(b)
	if n == 0 {
		return b
	}
	e.uptime = text(trimLeft(b[1 : n-1]))
	if e.stamp.kind == stampNone {
		e.stamp.kind = stampUptime
	}
	b = b[n:]
	if len(b) > 3 && b[0] == '[' && b[1] == ' ' {
		if i := bytes.IndexByte(b[:min(len(b), 12)], ']'); i > 0 {
			if w := trimLeft(b[1:i]); len(w) > 1 && (w[0] == 'T' || w[0] == 'C') && w[1] >= '0' && w[1] <= '9' {
				b = b[i+1:]
			}
		}
	}
	// journalctl -o short-monotonic: "[ 1732.118004] host kernel: …"
	b = trimLeft(b)
	if e.tag != "" {
		return b
	}
	if i := wordEnd(b); i < len(b) && isHost(b[:i]) && bytes.HasPrefix(b[i:], []byte(" kernel: ")) {
		e.host, e.tag = text(b[:i]), "kernel"
		return b[i+len(" kernel: "):]
	}
	e.body = b
	return b
}

// skipCount drops the length in front of an octet-counted frame, "187 <134>…" (RFC 6587).
func skipCount(b []byte) []byte {
	if len(b) == 0 || b[0]-'0' > 9 {
		return b
	}
	if _, i, ok := digits(b, 0, 1, 6); ok && i+1 < len(b) && b[i] == ' ' && b[i+1] == '<' {
		if _, n := priority(b[i+1:]); n > 0 {
			return b[i+1:]
		}
	}
	return b
}

// priority reads "<0>" to "<191>"; n is 0 if b does not begin so. Larger
// numbers up to 999 are met and taken.
func priority(b []byte) (pri, n int) {
	if len(b) < 3 || b[0] != '<' {
		return -1, 0
	}
	i := 1
	for pri = 0; i < len(b) && i < 4 && b[i]-'0' <= 9; i++ {
		pri = pri*10 + int(b[i]-'0')
	}
	if i == 1 || i >= len(b) || b[i] != '>' {
		return -1, 0
	}
	return pri, i + 1
}

// skipData drops STRUCTURED-DATA: "-" or [id name="value" …]…, a bracket in a
// value being escaped. What looks otherwise is taken as the message.
func skipData(b []byte) []byte {
	if len(b) > 0 && b[0] == '-' && (len(b) == 1 || b[1] == ' ') {
		return b[1:]
	}
	rest := b
	for len(rest) > 1 && rest[0] == '[' && rest[1] != ' ' {
		i, quoted := 1, false
		for i < len(rest) && (quoted || rest[i] != ']') {
			switch rest[i] {
			case '\\':
				if quoted {
					i++
				}
			case '"':
				quoted = !quoted
			}
			i++
		}
		if i >= len(rest) {
			return b
		}
		rest = rest[i+1:]
		if len(rest) > 0 && rest[0] != ' ' && rest[0] != '[' {
			return b
		}
		// A log prefix in brackets looks much the same, but holds no pair.
		element := b[:len(b)-len(rest)]
		if sp := bytes.IndexByte(element, ' '); sp > 0 && bytes.IndexByte(element[sp:], '=') < 0 {
			return b
		}
	}
	return rest
}

// tagLength is the length of the tag at the start of b with its colon: a word
// that ends in ":" or in "[pid]:" or "[pid]". CEF and LEEF marks are no tags.
func tagLength(b []byte) int {
	for i, c := range b {
		if !endsTag[c] {
			if i >= 64 {
				return 0
			}
			continue
		}
		switch {
		case c == ':':
			if i == 0 || (i+1 < len(b) && b[i+1] != ' ') {
				if i+1 < len(b) && b[i+1] == ':' {
					continue // Perl and C++ names
				}
				return 0
			}
			if t := b[:i]; string(t) == "CEF" || string(t) == "LEEF" {
				return 0
			}
			return i + 1
		case c == '[' && i > 0:
			j := digitsEnd(b, i+1)
			if j == i+1 || j > i+11 || j >= len(b) || b[j] != ']' {
				return 0
			}
			if j+1 < len(b) && b[j+1] == ':' {
				return j + 2
			}
			if j+1 == len(b) || b[j+1] == ' ' {
				return j + 1
			}
		}
		return 0
	}
	return 0
}

// endsTag are the bytes that end a tag, or show that there is none.
var endsTag = func() (ends [256]bool) {
	for c := range ' ' + 1 {
		ends[c] = true
	}
	for _, c := range `:[=,"{|` {
		ends[c] = true
	}
	return ends
}()

// isHost reports whether a word can be the name or address of a device.
func isHost(w []byte) bool {
	if len(w) == 0 || len(w) > 255 || w[len(w)-1] == ':' || w[len(w)-1] == ',' {
		return false
	}
	letter := w[0]|0x20 >= 'a' && w[0]|0x20 <= 'z'
	for _, c := range w {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9':
		case c == '.' || c == '-' || c == '_' || c == ':' || c == '%' || c == '@':
		case c == ',' && letter: // UniFi: "US8P60,18e8294876c3,v4.0"
		case c >= 0x80:
		default:
			return false
		}
	}
	return true
}

// isFacility reports whether a word is "kern.warn", "daemon.notice:" and the like.
func isFacility(w []byte) bool {
	w = bytes.TrimSuffix(w, []byte{':'})
	i := bytes.IndexByte(w, '.')
	if i < 0 {
		return false
	}
	switch string(w[i+1:]) {
	case "emerg", "alert", "crit", "err", "error", "warn", "warning", "notice", "info", "debug":
	default:
		return false
	}
	switch string(w[:i]) {
	case "kern", "user", "mail", "daemon", "auth", "authpriv", "security", "syslog", "lpr", "news", "uucp", "cron", "ftp", "ntp", "console":
		return true
	}
	return i == 6 && string(w[:5]) == "local"
}

// knownTag reports whether b begins with the tag of a firewall's own program.
func knownTag(b []byte) bool {
	n := tagLength(b)
	if n == 0 {
		return false
	}
	tag := b[:n]
	return bytes.HasPrefix(tag, []byte("kernel")) || bytes.HasPrefix(tag, []byte("filterlog"))
}

// behindStamp drops the colon that some devices write behind a stamp.
func behindStamp(b []byte) []byte {
	if len(b) > 0 && b[0] == ':' {
		return b[1:]
	}
	return b
}

func nilText(b []byte) string {
	if len(b) == 1 && b[0] == '-' {
		return ""
	}
	return text(b)
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

func wordEnd(b []byte) int {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return i
	}
	return len(b)
}
