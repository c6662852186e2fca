package simulate

import (
	"net/netip"
	"strconv"
	"strings"
)

// panos writes the TRAFFIC and THREAT logs of one PAN-OS firewall to the
// internet as CSV behind a syslog header. The first is of version 10.1, writes
// one hour east of UTC with an RFC 5424 header; the second is of 11.0, UTC with an
// RFC 3164 header. Columns: PAN-OS syslog field descriptions.
type panos struct {
	sim     *simulation
	file    *logFile
	clock   *clock
	sees    views
	name    string
	serial  string
	version string
	late    bool // 11.0: RFC 3164 header, two more columns
	stamp   stamps
	high    stamps
	number  int64
}

func newPanos(sim *simulation, sees views, c *clock) *panos {
	p := &panos{sim: sim, clock: c, sees: sees, name: "pa-edge1", serial: "001801000771", version: "2561"}
	if sees == viewEdge2 {
		p.name, p.serial, p.version, p.late = "pa-edge2", "001801000772", "2816", true
	}
	p.file = sim.newFile(rotated("paloalto/"+p.name+".log", sim.opt.Days))
	return p
}

func (p *panos) view() views { return p.sees }

// columns between those that are written field by field; the numbers are the
// columns of the vendor's list.
var (
	trafficAfter54  = ",,,0,,0,,N/A,0,0,0,0,7b6f0a5e-8f8f-4a1e-9a55-2f6d0c7c1a10,0,0" + strings.Repeat(",", 35)                                       // 55 to 102
	trafficAfter103 = ",,,encrypted-tunnel,networking,browser-based,4,\"used-by-malware,able-to-transfer-file,has-known-vulnerability\",,ssl,no,no,0" // 104 to 115
	threatAfter66   = ",0,,N/A,unknown,AppThreat-8834-8723,0x0,0,4294967295,,\"computer-and-internet-info,low-risk\",7b6f0a5e-8f8f-4a1e-9a55-2f6d0c7c1a10,0,,0.0.0.0" + strings.Repeat(",", 27) + "0"
	threatAfter108  = ",,,,encrypted-tunnel,networking,browser-based,4,\"used-by-malware,able-to-transfer-file,has-known-vulnerability\",,ssl,no,no"
)

// head appends everything up to the column before the first that differs
// between the types: envelope and columns 1 to 21.
func (p *panos) head(b []byte, s *Session, at int64, kind, sub string) []byte {
	localTime := at + p.clock.zone
	if p.late {
		b = append(b, "<14>"...)
		b = p.stamp.rfc3164(b, localTime)
		b = append(b, ' ')
		b = append(b, p.name...)
	} else {
		b = append(b, "<14>1 "...)
		b = p.stamp.iso(b, localTime, 0)
		b = append(b, "+01:00 "...)
		b = append(b, p.name...)
		b = append(b, " - - - -"...)
	}
	b = append(b, " 1,"...)
	b = p.stamp.slashes(b, localTime)
	b = append(b, ',')
	b = append(b, p.serial...)
	b = append(b, ',')
	b = append(b, kind...)
	b = append(b, ',')
	b = append(b, sub...)
	b = append(b, ',')
	b = append(b, p.version...)
	b = append(b, ',')
	b = p.stamp.slashes(b, localTime)
	b = append(b, ',')
	b = s.Src.AppendTo(b)
	b = append(b, ',')
	b = s.outsideDst().AppendTo(b)
	b = append(b, ',')
	from, to := s.translated()
	b = from.AppendTo(b)
	b = append(b, ',')
	b = to.AppendTo(b)
	b = append(b, ',')
	b = append(b, ruleName(s)...)
	b = append(b, ",,,"...)
	b = append(b, appName(s)...)
	if s.outward() {
		b = append(b, ",vsys1,trust,untrust,ethernet1/2,ethernet1/1,fwd-all,"...)
	} else {
		b = append(b, ",vsys1,untrust,dmz,ethernet1/1,ethernet1/3,fwd-all,"...)
	}
	b = p.stamp.slashes(b, localTime)
	b = append(b, ',')
	b = strconv.AppendUint(b, s.Seq%0xfffff+1, 10)
	b = append(b, ",1,"...)
	b = appendPorts(b, s)
	if s.natted() || s.forwarded() {
		b = append(b, "0x400019,"...)
	} else {
		b = append(b, "0x19,"...)
	}
	b = append(b, protoName(s.Proto)...)
	return append(b, ',')
}

// appendPorts appends source, destination and translated ports, 0 for none.
func appendPorts(b []byte, s *Session) []byte {
	var ports [4]int64
	if s.Proto != ICMP {
		ports[0], ports[1] = int64(s.SrcPort), int64(s.DstPort)
		switch {
		case s.natted():
			ports[2], ports[3] = int64(s.NATPort()), int64(s.DstPort)
		case s.forwarded():
			ports[2], ports[3] = ports[0], ports[1]
		}
	}
	for _, n := range ports {
		b = strconv.AppendInt(b, n, 10)
		b = append(b, ',')
	}
	return b
}

// natted reports whether the edge translates the session: what leaves and is let through.
func (s *Session) natted() bool { return s.outward() && s.Stop == nowhere }

// forwarded reports whether the session came from outside to a public address
// behind which a machine of the lab answers.
func (s *Session) forwarded() bool {
	return s.from == internet && s.to != internet && s.to != public && s.to != local
}

// outsideDst is the destination as it is known outside.
func (s *Session) outsideDst() netip.Addr {
	if !s.forwarded() {
		return s.Dst
	}
	return v4(192, 0, 2, int(s.Dst.As4()[3]))
}

// translated are the addresses behind the translation, 0.0.0.0 for none.
func (s *Session) translated() (from, to netip.Addr) {
	switch {
	case s.natted():
		return natOf(s.Src), s.Dst
	case s.forwarded():
		return s.Src, s.Dst
	}
	return v4(0, 0, 0, 0), v4(0, 0, 0, 0)
}

func protoName(p uint8) string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return "icmp"
}

func ruleName(s *Session) string {
	switch {
	case s.Stop == atEdge && s.from == internet:
		return "deny-inbound"
	case s.Stop == atEdge:
		return "deny-egress"
	case s.from == internet:
		return "allow-public"
	case s.DstPort == 443 || s.DstPort == 80:
		return "allow-web"
	}
	return "allow-research"
}

// appName is what App-ID calls the session.
func appName(s *Session) string {
	switch {
	case s.Outcome == Denied:
		return "not-applicable"
	case s.Outcome == NoAnswer || s.Outcome == Refused:
		return "incomplete"
	}
	switch s.App {
	case AppDNS:
		return "dns"
	case AppTLS:
		return "ssl"
	case AppSSH:
		return "ssh"
	case AppHTTP:
		return "web-browsing"
	case AppNTP:
		return "ntp"
	case AppPing:
		return "ping"
	case AppTor:
		return "tor"
	case AppWireGuard:
		return "wireguard"
	case AppStratum:
		return "stratum-mining"
	}
	if s.Proto == UDP {
		return "unknown-udp"
	}
	return "unknown-tcp"
}

// began writes the THREAT row of a session, when there is one.
func (p *panos) began(s *Session, t int64) error {
	if !s.threat() || p.sim.harms.silent(p.sees, t) {
		return nil
	}
	return p.threatRow(s, t)
}

func (p *panos) threatRow(s *Session, t int64) error {
	at := p.clock.read(t)
	if err := p.file.at(at); err != nil {
		return err
	}
	sub := "url"
	if s.App == AppStratum {
		sub = "spyware"
	}
	b := p.head(p.file.buf[:0], s, at, "THREAT", sub)
	p.number++
	if sub == "url" {
		b = append(b, "alert,\""...)
		b = append(b, s.Name...)
		b = append(b, s.uri()...)
		b = append(b, "\",(9999),computer-and-internet-info,informational,client-to-server,"...)
	} else {
		b = append(b, "alert,,CoinMiner stratum login(86310),any,critical,client-to-server,"...)
	}
	b = strconv.AppendInt(b, p.number, 10)
	b = append(b, ",0x8000000000000000,"...) // 39
	b = countries(b, s)                      // 40, 41
	b = append(b, ",,,0,,,0,"...)            // 42 padding, 43 content type, 44 pcap, 45 digest, 46 cloud, 47 index
	b = append(b, ",,,,,,,0"...)             // 48 to 55
	b = append(b, ",16,0,0,0,,"...)
	b = append(b, p.name...)
	b = append(b, ",,,,"...)
	if s.App == AppHTTP {
		b = append(b, "get"...)
	}
	b = append(b, ",0,"...)
	b = append(b, threatAfter66...)
	b = append(b, ',')
	b = p.highStamp(b, at)
	b = append(b, threatAfter108...)
	if p.late {
		b = append(b, ",r-1,cl-1,NonProxyTraffic"...)
	}
	p.file.buf = append(b, '\n')
	return p.file.write(s, floorDiv(at, second)*second, "paloalto.threat")
}

func (s *Session) uri() string {
	if s.URI == "" {
		return "/"
	}
	return s.URI
}

// highStamp is the stamp with milliseconds and zone.
func (p *panos) highStamp(b []byte, at int64) []byte {
	b = p.high.iso(b, at+p.clock.zone, 3)
	if p.clock.zone == hour {
		return append(b, "+01:00"...)
	}
	return append(b, 'Z')
}

func countries(b []byte, s *Session) []byte {
	for _, a := range [...]place{s.from, s.to} {
		if a == internet {
			b = append(b, "Reserved,"...)
		} else {
			b = append(b, "10.0.0.0-10.255.255.255,"...)
		}
	}
	return b[:len(b)-1]
}

// ended writes the TRAFFIC row: at the end of the session, or at once for what
// was refused.
func (p *panos) ended(s *Session, t int64) error {
	if p.sim.harms.silent(p.sees, t) {
		return nil
	}
	at := p.clock.read(t)
	begun := p.clock.read(s.Start)
	if err := p.file.at(at); err != nil {
		return err
	}
	sub, action, reason := "end", "allow", "tcp-fin"
	switch {
	case s.Stop == atEdge:
		sub, action, reason = "drop", "deny", "policy-deny"
	case s.Outcome == Torn, s.Outcome == Refused:
		reason = "tcp-rst-from-server"
	case s.Outcome == NoAnswer, s.Outcome == Hanging, s.Proto != TCP:
		reason = "aged-out"
	}
	b := p.head(p.file.buf[:0], s, at, "TRAFFIC", sub)
	b = append(b, action...)
	b = append(b, ',')
	out, in := s.wireBytes()
	for _, n := range [...]int64{out + in, out, in, s.PktsOut + s.PktsIn} {
		b = strconv.AppendInt(b, n, 10)
		b = append(b, ',')
	}
	b = p.stamp.slashes(b, begun+p.clock.zone)
	b = append(b, ',')
	b = strconv.AppendInt(b, s.Duration/second, 10)
	b = append(b, ",any,,"...)
	p.number++
	b = strconv.AppendInt(b, p.number, 10)
	b = append(b, ",0x8000000000000000,"...)
	b = countries(b, s)
	b = append(b, ",,"...)
	b = strconv.AppendInt(b, s.PktsOut, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, s.PktsIn, 10)
	b = append(b, ',')
	b = append(b, reason...)
	b = append(b, ",16,0,0,0,,"...)
	b = append(b, p.name...)
	b = append(b, ",from-policy"...)
	b = append(b, trafficAfter54...)
	b = p.highStamp(b, at)
	b = append(b, trafficAfter103...)
	if p.late {
		b = append(b, ",NonProxyTraffic,cl-1"...)
	}
	p.file.buf = append(b, '\n')
	return p.file.write(s, floorDiv(begun, second)*second, "paloalto.traffic")
}

// wireBytes are the bytes with Ethernet headers, as PAN-OS counts them.
func (s *Session) wireBytes() (out, in int64) {
	return s.ipBytes(s.Out, s.PktsOut) + 14*s.PktsOut, s.ipBytes(s.In, s.PktsIn) + 14*s.PktsIn
}
