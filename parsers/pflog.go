package parsers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"firetrail"
)

// PFLog is a capture of a pflog interface.
var PFLog = Format{
	Name:   "pflog",
	Doc:    "captures of a pflog interface (pcap and pcapng, link type 117) of OpenBSD, FreeBSD, NetBSD and macOS",
	Spec:   "pcap and pcapng drafts of the IETF opsawg; if_pflog.h of OpenBSD, FreeBSD and Darwin; print-pflog.c of tcpdump",
	Sniff:  sniffPFLog,
	New:    func(ctx *Context) Parser { return &pflogParser{capture: capture{limit: captureLimit(ctx)}, ctx: ctx} },
	Binary: true,
}

const linkPFLog = 117 // DLT_PFLOG

// pflogParser turns the packets of a capture into events. Its x fields have
// filterlog's names where the meaning is the same (see pfParser); numbers that
// filterlog prints as words stay numbers: icmp_type, icmp_code. Beyond them:
//
//	uid pid rule_uid rule_pid      of the socket, and of who loaded the rule, in the file's byte order
//	orig_src_ip orig_src_port orig_dst_ip orig_dst_port   OpenBSD: before pf rewrote the packet
//	payload_length                 UDP without its header
//	options                        TCP options as tcpdump prints them
//	frag_id                        IPv6 fragment
//	vtag chunk spi gre_proto gre_key igmp_type igmp_group icmp_gateway icmp_target
//	inner.*                        the packet that an ICMP error quotes or a tunnel carries
//	error                          "[|tcp]": where the capture cuts the header off
type pflogParser struct {
	capture
	ctx *Context
	buf []byte // for text that is put together
}

func captureLimit(ctx *Context) int {
	if ctx.MaxRecord > 0 {
		return ctx.MaxRecord
	}
	return maxRecord
}

// sniffPFLog wants the header of a capture and an interface of pflog.
func sniffPFLog(head []byte) error {
	c := capture{limit: maxRecord}
	for {
		n := c.Frame(head, false)
		if n == 0 {
			if c.kind == captureUnknown {
				return errors.New("no capture")
			}
			return errors.New("a capture without an interface of pflog at its start")
		}
		_, err := c.next(head[:n])
		head = head[n:]
		switch {
		case c.kind == captureUnknown || c.broken:
			return errors.New("no capture")
		case err != nil && err != ErrHeader:
			return err
		case len(c.faces) == 0:
		case c.faces[len(c.faces)-1].link == linkPFLog:
			return nil
		case c.kind == capturePcap:
			return fmt.Errorf("a capture of link type %d, not of pflog (%d)", c.faces[0].link, linkPFLog)
		}
	}
}

// Parse reads one block or record of the capture.
func (p *pflogParser) Parse(rec []byte, ev *firetrail.Event) error {
	pkt, err := p.next(rec)
	if pkt.lost > 0 {
		p.ctx.Fact(firetrail.Absent, pkt.lost, "the capture says that packets were dropped")
	}
	if err != nil {
		return err
	}
	if pkt.link != linkPFLog {
		return ErrSkip
	}
	ev.Kind = "pf"
	ev.Time = pkt.time
	at := len(rec) - len(pkt.data) // of little use, but the place is known
	if p.kind == capturePcapng {
		at = pkt.at
	}
	b := pkt.data
	if len(b) < 61 || b[0] < 61 {
		return reject(at+1, "pflog header of at least 61 bytes expected, %d of %d bytes captured", len(b), pkt.wire)
	}
	p.header(b, ev)
	d := decoder{ev: ev, arena: p.ctx.Arena, buf: p.buf[:0]}
	start := (int(b[0]) + 3) &^ 3
	if len(b) <= start {
		ev.Put("error", "[|pflog]")
		return nil
	}
	d.ip(b[start:])
	p.buf = d.buf
	return nil
}

// header reads struct pfloghdr, of which at least 61 bytes are there.
func (p *pflogParser) header(b []byte, ev *firetrail.Event) {
	d := decoder{ev: ev, arena: p.ctx.Arena}
	rule := binary.BigEndian.Uint32(b[36:])
	ev.Rule = d.decimal(int64(rule))
	ev.Put("rulenr", ev.Rule)
	if sub := binary.BigEndian.Uint32(b[40:]); sub != ^uint32(0) {
		ev.Put("subrulenr", d.decimal(int64(sub)))
	}
	if anchor := cString(b[20:36]); len(anchor) > 0 {
		ev.Put("anchor", text(anchor))
	}
	size := int(b[0])
	if size >= 69 && size < 100 && len(b) >= 68 { // FreeBSD: the rule's ridentifier
		if id := binary.BigEndian.Uint32(b[64:]); id != 0 {
			ev.Put("tracker", d.decimal(int64(id)))
		}
	}
	name := text(cString(b[4:20]))
	if name != "" {
		ev.Put("interface", name)
	}
	system := pflogSystem(size, b[1])
	action := pflogWord(pflogActions[:], b[2], system)
	if action == "" {
		action = "unkn(" + d.decimal(int64(b[2])) + ")"
	}
	ev.Put("action", action)
	ev.Action = pfAction(action)
	ev.Reason = pflogWord(pflogReasons[:], b[3], system)
	if ev.Reason == "" {
		ev.Reason = "unkn(" + d.decimal(int64(b[3])) + ")"
	}
	ev.Put("reason_code", d.decimal(int64(b[3])))
	if dir := b[60]; int(dir) < len(pflogDirections) {
		pfPlace(ev, name, pflogDirections[dir])
	}
	if uid := p.order.Uint32(b[44:]); uid != ^uint32(0) {
		ev.Put("uid", d.decimal(int64(uid)))
	}
	ev.Put("pid", d.decimal(int64(int32(p.order.Uint32(b[48:])))))
	ev.Put("rule_uid", d.decimal(int64(p.order.Uint32(b[52:]))))
	ev.Put("rule_pid", d.decimal(int64(int32(p.order.Uint32(b[56:])))))
	if size >= 100 && len(b) >= 100 && b[61] != 0 {
		pflogOriginal(b, &d)
	}
}

// pflogOriginal keeps the addresses that OpenBSD's pf replaced: if_pflog.c logs
// the packet as rewritten and puts the former addresses into the header.
func pflogOriginal(b []byte, d *decoder) {
	var src, dst netip.Addr
	if b[1] == 2 {
		src, dst = netip.AddrFrom4([4]byte(b[64:68])), netip.AddrFrom4([4]byte(b[80:84]))
	} else {
		src, dst = netip.AddrFrom16([16]byte(b[64:80])), netip.AddrFrom16([16]byte(b[80:96]))
	}
	d.ev.Put("orig_src_ip", d.address(src))
	d.ev.Put("orig_src_port", d.decimal(int64(binary.BigEndian.Uint16(b[96:]))))
	d.ev.Put("orig_dst_ip", d.address(dst))
	d.ev.Put("orig_dst_port", d.decimal(int64(binary.BigEndian.Uint16(b[98:]))))
}

// cString is b up to its first zero byte.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i:i]
	}
	return b
}

// The systems differ in their larger numbers of actions and reasons.
const (
	pflogFreeBSD = iota
	pflogOpenBSD
	pflogDarwin
)

// pflogSystem tells the system by the length of the header and by its number
// for IPv6 (24 OpenBSD, 28 FreeBSD, 30 Darwin), where that is the family.
func pflogSystem(size int, family byte) int {
	switch {
	case size >= 100:
		return pflogOpenBSD
	case size == 61 && family != 28:
		return pflogDarwin
	}
	return pflogFreeBSD
}

// pflogWord gives the word for a number: the common one, or the system's own.
func pflogWord(words [][3]string, n byte, system int) string {
	if int(n) >= len(words) {
		return ""
	}
	if w := words[n][system]; w != "" {
		return w
	}
	return words[n][pflogFreeBSD]
}

var pflogActions = [...][3]string{
	{"pass"}, {"block"}, {"scrub"}, {"noscrub"}, {"nat"}, {"nonat"}, {"binat"}, {"nobinat"}, {"rdr"}, {"nordr"},
	{"synproxy-drop"}, {"defer", "", "dummynet"}, {"match", "", "nodummynet"}, {"", "divert", "nat64"}, {"", "rt", "nonat64"}, {"", "afrt"},
}

var pflogReasons = [...][3]string{
	{"match"}, {"bad-offset"}, {"fragment"}, {"short"}, {"normalize"}, {"memory"}, {"bad-timestamp"}, {"congestion"},
	{"ip-option"}, {"proto-cksum"}, {"state-mismatch"}, {"state-insert"}, {"state-limit"}, {"src-limit"}, {"synproxy"},
	{"map-failed", "translate", "dummynet"}, {"", "no-route", "invalid-port"},
}

var pflogDirections = [...]string{"in/out", "in", "out", "forward"}
