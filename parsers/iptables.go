package parsers

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"firetrail"
)

// iptables reads what the packet loggers of Linux write: the LOG target of
// iptables and ip6tables, log statements of nftables, ulogd's LOGEMU, and the
// firewalls built on them (ufw, firewalld, Shorewall, OpenWrt, UniFi, VyOS, Proxmox …).
//
// Common fields take IN, OUT, SRC, DST, PROTO, SPT, DPT and the TCP flags; every
// other KEY=VALUE is x.KEY as written. What the record says twice gets two names:
// LEN is the length of the IP packet and UDP_LEN that of the datagram, ID is the IP
// identification and ICMP_ID the echo's, OPT are IP and TCP_OPT are TCP options, FRAG_ID is
// the identification of an IPv6 fragment. FRAG counts units of 8 bytes in
// IPv4 and bytes in IPv6, as the kernel writes it. Words without a value are "true".
// The packet that an ICMP error quotes is x.inner.SRC, x.inner.DPT and so on.
//
// The kernel never writes a verdict: action and rule come from the log prefix
// (x.prefix as written), see prefixTable.
var iptables = Format{
	Name:  "iptables",
	Doc:   "packet log of the Linux kernel: iptables, nftables, ufw, firewalld, Shorewall, OpenWrt, UniFi, VyOS, Proxmox",
	Spec:  "Linux net/netfilter/nf_log_syslog.c",
	Sniff: sniffIptables,
	New: func(c *Context) Parser {
		return &iptablesParser{ctx: c, meanings: map[string]meaning{}}
	},
}

type iptablesParser struct {
	ctx      *Context
	meanings map[string]meaning // of the prefixes met so far, at most maxMeanings
	latest   meaning            // of the latest prefix that was nothing but text
	order    keyOrder           // of the keys met so far
	wasEvent bool               // the record before was an event
}

// sniffIptables looks for a packet that can be read whole.
func sniffIptables(head []byte) error {
	p := iptablesParser{ctx: newContext(Options{}), meanings: map[string]meaning{}}
	ev := firetrail.NewEvent()
	var refused error
	err := sniffLines(head, "no packet of the kernel's log (IN=… OUT=… SRC=… DST=…) in the first lines", func(line []byte) bool {
		ev.Reset()
		err := p.Parse(line, &ev)
		if _, ok := err.(*RejectError); ok && refused == nil {
			refused = err
		}
		return err == nil
	})
	if err != nil && refused != nil {
		return errors.New("packets of the kernel's log, but none is whole: " + refused.Error())
	}
	return err
}

// Parse reads one packet, wherever in the record its IN= or OUT= stands.
func (p *iptablesParser) Parse(rec []byte, ev *firetrail.Event) error {
	if len(rec) == 0 {
		return ErrOther
	}
	was := p.wasEvent
	p.wasEvent = false
	// An object may hold the message as a list of byte numbers.
	if rec[0] != '{' && !marked(rec) {
		return p.notice(rec, was)
	}
	env, msg, _ := p.ctx.envelope(rec)
	host, b := logText(env, msg)
	times := int64(1)
	if n, rest := repeated(b); n > 0 {
		times, b = n, rest
	}
	at := packetStart(b)
	if at < 0 && times == 1 {
		// Behind a stamp without a host, the prefix was taken for one.
		if at = packetStart(env.rest); at >= 0 {
			b = env.rest
		}
	}
	if at < 0 {
		return p.notice(rec, was)
	}
	ev.Kind = "iptables"
	ev.Sensor = host
	m, vmStamp := p.prefix(b[:at], ev)
	if env.uptime != "" {
		ev.Put("uptime", env.uptime)
	}
	k := packet{ev: ev, ctx: p.ctx, b: b, base: startIn(rec, b), order: &p.order}
	if err := k.read(at); err != nil {
		return err
	}
	ev.Action = m.action
	if ev.Rule == "" {
		ev.Rule = m.rule
	}
	if vmStamp.kind != stampNone {
		ev.Time, ev.Guess, _ = p.ctx.Clock.at(&vmStamp)
	} else {
		ev.Time, ev.Guess = env.time(p.ctx.Clock)
	}
	if times > 1 {
		ev.Put("repeated", p.ctx.Arena.String(appendInt(nil, times)))
		p.ctx.Fact(ev.Time, times-1, "the syslog daemon wrote a repeated packet record once")
	}
	p.wasEvent = true
	return nil
}

// learnt is whether the record before was an event: a repetition is one of it.
func (p *iptablesParser) learnt() (any, error) {
	if !p.wasEvent {
		return nil, nil
	}
	return true, nil
}

func (p *iptablesParser) relearn(data []byte) error { return json.Unmarshal(data, &p.wasEvent) }

// startIn is where tail, a piece of rec, begins in it; -1 if it lies elsewhere.
func startIn(rec, tail []byte) int {
	at := cap(rec) - cap(tail)
	if len(tail) == 0 || at < 0 || at >= len(rec) || &rec[at] != &tail[0] {
		return -1
	}
	return at
}

// marked reports whether a record has an "IN=" or "OUT=". Nearly always the first
// "=" of a packet is that of its IN=, so that is what is looked for.
func marked(rec []byte) bool {
	for i := 0; ; i++ {
		j := bytes.IndexByte(rec[i:], '=')
		if j < 0 {
			return false
		}
		i += j
		if key := text(rec[:i]); strings.HasSuffix(key, "IN") || strings.HasSuffix(key, "OUT") {
			return true
		}
	}
}

// logText is the text from the log prefix on: behind the tag if that names a
// program, else from the tag on, which is then the beginning of the prefix. host is
// that of the header, unless the beginning of a prefix was taken for one.
func logText(env *envelope, msg []byte) (host string, b []byte) {
	switch {
	case env.pid != "":
		return env.host, msg
	case env.tag == "kernel", env.tag == "kern", env.tag == "ulogd", env.tag == "ulogd2",
		env.tag == "pvefw-logger", env.tag == "pve-firewall":
		return env.host, msg
	}
	if isVerdict(env.host) {
		return "", env.rest
	}
	return env.host, env.body
}

// repeated takes "message repeated 3 times: [ …]" off, as rsyslog and syslogd write it.
func repeated(b []byte) (times int64, rest []byte) {
	const before, behind = "message repeated ", " times: ["
	if !bytes.HasPrefix(b, []byte(before)) {
		return 0, b
	}
	n, i, ok := digits(b, len(before), 1, 9)
	if !ok || !bytes.HasPrefix(b[i:], []byte(behind)) {
		return 0, b
	}
	rest = trimLeft(b[i+len(behind):])
	return n, bytes.TrimSuffix(bytes.TrimRight(rest, " "), []byte{']'})
}

// packetStart finds the "IN=" with which the kernel's own text begins, or the
// "OUT=" of pve-firewall, which leaves an empty IN= out; -1 if there is neither. A
// prefix is glued to it and may hold anything, pairs included, so what counts is
// the key that follows.
func packetStart(b []byte) int {
	out := -1 // the first OUT= that a packet without IN= may begin with
	for i := 0; ; i++ {
		j := bytes.IndexByte(b[i:], '=')
		if j < 0 {
			return out
		}
		i += j
		switch key := text(b[:i]); {
		case strings.HasSuffix(key, "IN") && !strings.HasSuffix(key, "PHYSIN"):
			if next := behindValue(b, i+1); startsAny(next, "OUT=", "PHYSIN=", "PHYSOUT=", "MAC=", "MACSRC=", "SRC=", "ARP ") {
				return i - len("IN")
			}
		case out < 0 && strings.HasSuffix(key, "OUT"):
			at := i - len("OUT")
			if at > 0 && b[at-1] != ' ' || i+1 >= len(b) || b[i+1] == ' ' {
				continue
			}
			if startsAny(behindValue(b, i+1), "PHYSIN=", "PHYSOUT=", "SRC=") {
				out = at
			}
		}
	}
}

// behindValue is the text behind the value that starts at b[i].
func behindValue(b []byte, i int) []byte {
	return trimLeft(b[i+wordEnd(b[i:]):])
}

func startsAny(b []byte, words ...string) bool {
	for _, w := range words {
		if len(b) >= len(w) && string(b[:len(w)]) == w {
			return true
		}
	}
	return false
}

// prefix keeps the log prefix and what vendors put into it: pve-firewall's VM,
// chain and date, UniFi's DESCR="…". It returns what the rest of it says.
func (p *iptablesParser) prefix(b []byte, ev *firetrail.Event) (m meaning, at stamp) {
	if len(b) > 0 && string(b) == p.latest.prefix {
		ev.Put("prefix", p.latest.prefix)
		return p.latest, at
	}
	whole := b
	if vm, level, chain, s, rest, ok := proxmox(b); ok {
		ev.Put("vmid", text(vm))
		ev.Put("loglevel", text(level))
		ev.Rule, at, b = text(chain), s, rest
	}
	if i := bytes.Index(b, []byte(`DESCR="`)); i >= 0 {
		value := b[i+len(`DESCR="`):]
		if end := bytes.LastIndexByte(value, '"'); end >= 0 {
			ev.Put("DESCR", text(value[:end]))
			b = b[:i]
		}
	}
	if len(b) == 0 {
		return meaning{}, at
	}
	ev.Put("prefix", text(b))
	m = p.meaning(b)
	if len(b) == len(whole) {
		p.latest = m
	}
	return m, at
}

// proxmox reads the head of a pve-firewall record: "101 1 tap101i0-IN
// 20/Jun/2022:13:12:46 +0200 REJECT: ".
func proxmox(b []byte) (vm, level, chain []byte, at stamp, rest []byte, ok bool) {
	rest = b
	var word [3][]byte
	for i := range word {
		n := wordEnd(rest)
		if n == 0 || n >= len(rest) {
			return nil, nil, nil, stamp{}, b, false
		}
		word[i], rest = rest[:n], rest[n+1:]
	}
	_, isVM := number(word[0])
	_, isLevel := number(word[1])
	if !isVM || !isLevel || len(rest) < 20 {
		return nil, nil, nil, stamp{}, b, false
	}
	at, n := clfStamp(rest)
	if n == 0 {
		return nil, nil, nil, stamp{}, b, false
	}
	return word[0], word[1], word[2], at, trimLeft(rest[n:]), true
}

// notice judges a record without a packet: most are other programs' lines, some
// say that records are missing.
func (p *iptablesParser) notice(rec []byte, wasEvent bool) error {
	var lost int64
	var what string
	// Nearly all lines that come here are neither: two searches tell.
	if wasEvent || bytes.Contains(rec, []byte("ssed")) || bytes.Contains(rec, []byte("lost")) {
		lost, what = lossNotice(rec, wasEvent)
	}
	switch {
	case what != "":
		env, _, _ := p.ctx.envelope(rec)
		t, _ := env.time(p.ctx.Clock)
		p.ctx.Fact(t, lost, what)
		return ErrSkip
	case torn(rec):
		return reject(0, "the start of the packet is missing: PROTO= and DPT= without IN=, SRC= and DST=")
	}
	return ErrOther
}

// lossNotice reads what a logging program says about records that it left out:
// how many (0 where it does not say) and why; what is "" for all other lines.
func lossNotice(rec []byte, wasEvent bool) (lost int64, what string) {
	switch {
	case bytes.Contains(rec, []byte("callbacks suppressed")):
		return numberBefore(rec, " callbacks suppressed"), "the kernel suppressed messages by its rate limit"
	case bytes.Contains(rec, []byte("imuxsock")) && bytes.Contains(rec, []byte(" lost ")):
		return numberBehind(rec, " lost "), "rsyslog lost messages by its rate limit"
	case bytes.Contains(rec, []byte("imjournal")) && bytes.Contains(rec, []byte(" lost ")):
		return numberBefore(rec, " messages lost"), "rsyslog lost messages by its rate limit"
	case bytes.Contains(rec, []byte("Suppressed ")) && bytes.Contains(rec, []byte(" messages from ")):
		return numberBehind(rec, "Suppressed "), "journald suppressed messages by its rate limit"
	case bytes.Contains(rec, []byte("Missed ")) && bytes.Contains(rec, []byte(" kernel messages")):
		return numberBehind(rec, "Missed "), "journald missed messages of the kernel"
	case wasEvent && bytes.Contains(rec, []byte("last message")) && bytes.Contains(rec, []byte("repeated ")):
		return numberBehind(rec, "repeated "), "the syslog daemon wrote a repeated packet record once"
	}
	return 0, ""
}

// torn reports whether a record is the end of a packet of which the start was
// lost, as the small ring buffers of routers lose it.
func torn(rec []byte) bool {
	if !bytes.Contains(rec, []byte("PROTO=")) { // quicker than the search for a blank and this
		return false
	}
	at := bytes.Index(rec, []byte(" PROTO="))
	return at >= 0 && bytes.Contains(rec[at:], []byte(" DPT=")) && bytes.Contains(rec[:at], []byte("kernel:")) &&
		!bytes.Contains(rec[:at], []byte("SRC="))
}

// numberBehind is the number that follows mark, 0 if there is none.
func numberBehind(b []byte, mark string) int64 {
	i := bytes.Index(b, []byte(mark))
	if i < 0 {
		return 0
	}
	n, _, _ := digits(b, i+len(mark), 1, 15)
	return n
}

// numberBefore is the number in front of mark, 0 if there is none.
func numberBefore(b []byte, mark string) int64 {
	end := bytes.Index(b, []byte(mark))
	i := end
	for i > 0 && b[i-1] >= '0' && b[i-1] <= '9' && end-i < 15 {
		i--
	}
	if end < 0 {
		return 0
	}
	n, _ := number(b[i:end])
	return n
}
