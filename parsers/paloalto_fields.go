package parsers

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"firetrail"
)

// set puts the value of one column into the event or the gathered record.
// Empty values never come here.
func (p *panParser) set(ev *firetrail.Event, c panColumn, v []byte) error {
	switch c.role {
	case panPlain, panUnknown:
		ev.Put(c.name, text(v))
	case panTypeColumn:
	case panSubtype:
		p.subtype = v
		ev.Put(c.name, text(v))
	case panReceive, panGenerated, panStart, panPrecise, panDeviceTime:
		ev.Put(c.name, text(v))
		return p.setTime(c, v)
	case panSerial:
		p.serial = v
		ev.Put(c.name, text(v))
	case panDevice:
		p.name = v
		ev.Put(c.name, text(v))
	case panElapsed:
		return p.setNumber(c, v, &p.elapsed)
	case panSrc:
		return p.setAddress(c, v, &ev.SrcIP)
	case panDst:
		return p.setAddress(c, v, &ev.DstIP)
	case panNATSrc:
		return p.setNAT(ev, c, v, &ev.NATSrcIP)
	case panNATDst:
		return p.setNAT(ev, c, v, &ev.NATDstIP)
	case panClient:
		setClient(ev, c, v)
	case panSrcPort:
		return p.setPort(c, v, &ev.SrcPort)
	case panDstPort:
		return p.setPort(c, v, &ev.DstPort)
	case panNATSrcPort:
		return p.setNATPort(c, v, &ev.NATSrcPort)
	case panNATDstPort:
		return p.setNATPort(c, v, &ev.NATDstPort)
	case panBytesOut:
		return p.setNumber(c, v, &ev.BytesOut)
	case panBytesIn:
		return p.setNumber(c, v, &ev.BytesIn)
	case panPacketsOut:
		return p.setNumber(c, v, &ev.PacketsOut)
	case panPacketsIn:
		return p.setNumber(c, v, &ev.PacketsIn)
	default:
		p.setText(ev, c, v)
	}
	return nil
}

// setText is set for columns that hold words.
func (p *panParser) setText(ev *firetrail.Event, c panColumn, v []byte) {
	switch c.role {
	case panProto:
		ev.Proto = p.proto(v)
	case panAction:
		ev.Action = panActionOf(v)
		ev.Put("action", text(v))
	case panReason:
		ev.Reason = text(v)
		ev.Put(c.name, text(v))
	case panInterfaceIn:
		ev.InInterface = text(v)
	case panInterfaceOut:
		ev.OutInterface = text(v)
	case panSrcZone:
		ev.SrcZone = text(v)
	case panDstZone:
		ev.DstZone = text(v)
	case panRule:
		ev.Rule = text(v)
	case panApp:
		ev.App = text(v)
	case panUser:
		ev.User = text(v)
	case panSrcCountry:
		setCountry(ev, c, v, &ev.SrcCountry)
	case panDstCountry:
		setCountry(ev, c, v, &ev.DstCountry)
	case panURL:
		if len(p.url) > 0 {
			ev.Put(c.name, text(v))
			return
		}
		p.url = v
	case panThreat:
		if _, isNumber := number(v); !isNumber || len(p.threat) == 0 {
			p.threat = v
		}
		ev.Put(c.name, text(v))
	case panSNI:
		ev.Host = hostOf(v)
		ev.Put(c.name, text(v))
	}
}

// setTime reads a stamp. Stamps of 1970 and before mean "not set".
func (p *panParser) setTime(c panColumn, v []byte) error {
	s := p.latest.stamp
	if len(v) == 0 || !bytes.Equal(v, p.latest.text) {
		var ok bool
		if s, ok = panStamp(v); !ok {
			return p.bad(c.name, v, "a date and time")
		}
		if s.kind != stampUnix && s.year <= 1970 || s.kind == stampUnix && s.unix < int64(365*24*time.Hour) {
			return nil
		}
		if s.kind != stampUnix {
			if _, ok := wallSeconds(int(s.year), time.Month(s.month), int(s.day), int(s.hour), int(s.minute), int(s.second)); !ok {
				return p.bad(c.name, v, "a date that exists")
			}
		}
		p.latest.text, p.latest.stamp = v, s
	}
	if s.kind == stampWall && p.utc {
		s.kind, s.offset = stampZoned, 0
	}
	switch c.role {
	case panReceive:
		p.receive = s
	case panGenerated:
		p.generated = s
	case panStart:
		p.start = s
	case panPrecise:
		p.precise = s
	case panDeviceTime:
		p.device = s
	}
	return nil
}

// panStamp reads the stamps of all dialects: "2021/11/11 15:42:44", ISO 8601,
// "Sep 17 2025 11:45:34 GMT", and epoch counts of seconds to nanoseconds.
func panStamp(v []byte) (stamp, bool) {
	if n, ok := number(v); ok {
		switch {
		case len(v) <= 10:
			n *= 1e9
		case len(v) <= 13:
			n *= 1e6
		case len(v) <= 16:
			n *= 1e3
		}
		return stamp{kind: stampUnix, unix: n}, true
	}
	s, n := readStamp(v)
	if n == 0 || s.kind == stampUptime || s.kind == stampYearless {
		return s, false
	}
	if rest := string(v[n:]); s.kind == stampWall && (rest == " GMT" || rest == " UTC") {
		s.kind = stampZoned
		return s, true
	}
	return s, n == len(v)
}

func (p *panParser) setAddress(c panColumn, v []byte, to *netip.Addr) error {
	a, ok := address(v)
	if !ok {
		return p.bad(c.name, v, "an IP address")
	}
	*to = a
	return nil
}

// setNAT leaves out 0.0.0.0 and ::, which mean that nothing was translated. In a
// CSV something else than an address shows that the columns are shifted; under a
// key of its own it is kept as it is.
func (p *panParser) setNAT(ev *firetrail.Event, c panColumn, v []byte, to *netip.Addr) error {
	a, ok := address(v)
	if !ok && p.dialect != panCSV {
		ev.Put(c.name, text(v))
		return nil
	}
	if !ok {
		return p.bad(c.name, v, "an IP address")
	}
	if !a.IsUnspecified() {
		*to = a
	}
	return nil
}

// setClient takes the address of a client as the source. The first that says
// anything counts; host names and further addresses stay x fields.
func setClient(ev *firetrail.Event, c panColumn, v []byte) {
	if !ev.SrcIP.IsValid() && (v[0] >= '0' && v[0] <= '9' || bytes.IndexByte(v, ':') >= 0) {
		if a, ok := address(v); ok && !a.IsUnspecified() {
			ev.SrcIP = a
			return
		}
	}
	ev.Put(c.name, text(v))
}

func (p *panParser) setPort(c panColumn, v []byte, to *int64) error {
	n, ok := port(v)
	if !ok {
		return p.bad(c.name, v, "a port, 0 to 65535")
	}
	*to = n
	return nil
}

// setNATPort leaves out 0, which means that nothing was translated.
func (p *panParser) setNATPort(c panColumn, v []byte, to *int64) error {
	n, ok := port(v)
	if !ok {
		return p.bad(c.name, v, "a port, 0 to 65535")
	}
	if n != 0 {
		*to = n
	}
	return nil
}

func (p *panParser) setNumber(c panColumn, v []byte, to *int64) error {
	n, ok := number(v)
	if !ok {
		return p.bad(c.name, v, "a count")
	}
	*to = n
	return nil
}

// setCountry takes names and codes of countries. PAN-OS also writes ranges of
// private addresses and regions that the user defined: these stay x fields.
func setCountry(ev *firetrail.Event, c panColumn, v []byte, to *string) {
	if isCountry(v) {
		*to = text(v)
		return
	}
	ev.Put(c.name, text(v))
}

// proto is the protocol in lower case, by its usual name where the record has a
// number or another name.
func (p *panParser) proto(v []byte) string {
	if n, ok := number(v); ok {
		return protoName(n, text(v))
	}
	switch name := lowered(v, p.ctx.Arena); name {
	case "icmp6", "ipv6-icmp":
		return "icmpv6"
	default:
		return name
	}
}

// panActionOf is what the firewall's word for its action means. Pages that a
// user may click away ("continue", "override") let the traffic pass once they
// are answered; the "block-" forms are the unanswered ones. "" for words unknown.
func panActionOf(v []byte) string {
	var buf [32]byte
	if len(v) > len(buf) {
		return ""
	}
	word := buf[:len(v)]
	for i, c := range v {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == ' ' || c == '_':
			c = '-'
		}
		word[i] = c
	}
	switch string(word) {
	case "allow", "allowed", "continue", "override", "forward", "wildfire-upload-success", "wildfire-upload-skip":
		return firetrail.ActionAllow
	case "alert", "syncookie-sent":
		return firetrail.ActionAlert
	case "drop", "drop-icmp", "drop-packet", "drop-all", "drop-all-packets", "random-drop", "discard", "silent-drop":
		return firetrail.ActionDrop
	case "deny", "denied", "block", "blocked", "block-url", "block-ip", "block-continue", "block-override", "override-lockout", "sinkhole":
		return firetrail.ActionDeny
	case "reset", "reset-client", "reset-server", "reset-both", "drop-reset", "rst-client", "rst-server", "rst-both":
		return firetrail.ActionReset
	}
	return ""
}

// finish gives the event what depends on more than one column.
func (p *panParser) finish(env *envelope, ev *firetrail.Event) error {
	ev.Kind = p.kind.kind
	if p.kind == panTraffic {
		ev.State = p.state()
	}
	if p.kind == panTraffic && !ev.SrcIP.IsValid() && !ev.DstIP.IsValid() {
		return reject(p.at(p.source), "TRAFFIC without any address")
	}
	switch {
	case len(p.name) > 0:
		ev.Sensor = text(p.name)
	case env.host != "":
		ev.Sensor = env.host
	default:
		ev.Sensor = text(p.serial)
	}
	p.finishURL(ev)
	return p.finishTime(env, ev)
}

// state is the subtype of TRAFFIC: a session's "start" record comes before its
// "end", and both count the same packets; "drop" and "deny" stand alone.
func (p *panParser) state() string {
	for _, word := range [...]string{"start", "end", "drop", "deny"} {
		if len(p.subtype) == len(word) && strings.EqualFold(text(p.subtype), word) {
			return word
		}
	}
	return ""
}

// finishTime sets when the session began and ended; for other records, when they
// were generated. The stamps are in the firewall's zone, which the high-resolution
// stamp tells, or the firewall's own syslog header, which repeats the time received
// with its zone. The header of a relay in another zone proves nothing: it may be late.
func (p *panParser) finishTime(env *envelope, ev *firetrail.Event) error {
	offset, ok := p.offset()
	if !ok && p.ctx.Zone == nil && env.stamp.kind == stampZoned && p.receive.kind == stampWall {
		offset, ok = panApart(&env.stamp, &p.receive)
		ok = ok && offset == env.stamp.offset
	}
	if ok {
		for _, s := range [...]*stamp{&p.start, &p.generated, &p.receive} {
			if s.kind == stampWall {
				s.kind, s.offset = stampZoned, offset
			}
		}
	}
	for _, s := range [...]*stamp{&p.start, &p.generated, &p.precise, &p.receive, &p.device} {
		if s.kind == stampNone {
			continue
		}
		t, guess, ok := p.ctx.Clock.at(s)
		if !ok {
			return reject(0, "%s with a date that does not exist", p.kind.name)
		}
		ev.Time, ev.Guess = t, guess
		break
	}
	if ev.Time == firetrail.Absent {
		ev.Time, ev.Guess = env.time(p.ctx.Clock)
	}
	const most = int64(100 * 365 * 24 * time.Hour / time.Second)
	if p.elapsed == firetrail.Absent || p.elapsed > most {
		return nil
	}
	ev.Duration = p.elapsed * int64(time.Second)
	if p.start.kind != stampNone {
		ev.End = ev.Time + ev.Duration
	}
	return nil
}

// offset is how far the firewall's zone is from UTC, in seconds. The
// high-resolution stamp is the generated time once more, so that their distance
// gives it even if that stamp is in another zone; where they do not belong
// together the zone of the former counts. LEEF gives the time received twice.
func (p *panParser) offset() (seconds int32, ok bool) {
	for _, pair := range [...][2]*stamp{{&p.precise, &p.generated}, {&p.device, &p.receive}} {
		zoned, wall := pair[0], pair[1]
		if zoned.kind != stampZoned {
			continue
		}
		if wall.kind != stampWall {
			return zoned.offset, true
		}
		if apart, ok := panApart(zoned, wall); ok {
			return apart, true
		}
		return zoned.offset, true
	}
	return 0, false
}

// panApart is how far wall is ahead of UTC, in whole quarters of an hour, if it
// is within two minutes of the moment that zoned names. ok is false where it is not.
func panApart(zoned, wall *stamp) (seconds int32, ok bool) {
	const quarter = 15 * 60
	apart := panWall(wall) - (panWall(zoned) - int64(zoned.offset))
	rounded := (apart + 14*3600 + quarter/2) / quarter * quarter
	rounded -= 14 * 3600
	rest := apart - rounded
	return int32(rounded), rest >= -120 && rest <= 120 && rounded >= -12*3600 && rounded <= 14*3600
}

// panWall counts the seconds of a stamp as if it were in UTC.
func panWall(s *stamp) int64 {
	t, _ := wallSeconds(int(s.year), time.Month(s.month), int(s.day), int(s.hour), int(s.minute), int(s.second))
	return t
}
