package parsers

import (
	"fmt"
	"net/netip"
	"strings"

	"firetrail"
)

// place stores a value whose meaning depends on the rest of the record. What
// goes into a common field only because another column is unset also stays
// under its own name.
func (z *zeekRow) place(c *zeekColumn, v string) {
	ev := z.ev
	switch c.role {
	case zeekHost:
		if !z.hostAddress(c, v) {
			z.host(c, v)
		}
		return
	case zeekSrc, zeekDst, zeekSrcPort, zeekDstPort:
		if z.spare(c.role, v) && !z.log.notice {
			return
		}
	case zeekNotePort:
		if z.log.notice {
			z.sparePort(&ev.DstPort, v)
		}
	case zeekClient, zeekAssigned: // client_addr stands before assigned_addr
		z.spareAddress(&ev.SrcIP, v)
	case zeekServer:
		z.spareAddress(&ev.DstIP, v)
	case zeekHostPort:
		z.sparePort(&ev.DstPort, v)
	case zeekHostProto:
		if ev.Proto == "" {
			ev.Proto = v
		}
	case zeekIPProto:
		if ev.Proto == "unknown_transport" {
			ev.Put("proto", ev.Proto)
			ev.Proto = zeekProtoName(v)
		}
	case zeekLossDegree, zeekLossCount:
		z.loss(c, v)
	}
	ev.Put(c.name, v)
}

// spare uses a second address or port where the connection's own is unset, and
// tells whether it did.
func (z *zeekRow) spare(role zeekRole, v string) bool {
	switch role {
	case zeekSrc:
		return z.spareAddress(&z.ev.SrcIP, v)
	case zeekDst:
		return z.spareAddress(&z.ev.DstIP, v)
	case zeekSrcPort:
		return z.sparePort(&z.ev.SrcPort, v)
	}
	return z.sparePort(&z.ev.DstPort, v)
}

func (z *zeekRow) spareAddress(place *netip.Addr, v string) bool {
	a, ok := address([]byte(v))
	if ok = ok && !place.IsValid(); ok {
		*place = a
	}
	return ok
}

func (z *zeekRow) sparePort(place *int64, v string) bool {
	n, ok := port([]byte(v))
	if ok = ok && *place == firetrail.Absent; ok {
		*place = n
	}
	return ok
}

// hostAddress takes the column "host" as an address: the speaker in software
// and known_hosts, the server in known_services and known_certs.
func (z *zeekRow) hostAddress(c *zeekColumn, v string) bool {
	if c.typ != zeekAddr && (c.typ == zeekText || z.ev.SrcIP.IsValid()) {
		return false
	}
	a, ok := address([]byte(v))
	if !ok {
		return false
	}
	if z.log.server {
		z.ev.DstIP = a
	} else {
		z.ev.SrcIP = a
	}
	return true
}

// host stores a Host header without port and final dot; where that changes it,
// the record's own text is kept too.
func (z *zeekRow) host(c *zeekColumn, v string) {
	name := v
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name, _, _ = strings.Cut(inner, "]")
	} else if i := strings.LastIndexByte(name, ':'); i >= 0 && i == strings.IndexByte(name, ':') {
		if zeekDigits([]byte(name[i+1:])) || i == len(name)-1 {
			name = name[:i]
		}
	}
	z.ev.Host = strings.TrimSuffix(name, ".")
	if z.ev.Host == "" || z.ev.Host != v {
		z.ev.Put(c.name, v)
	}
}

// zeekProtoName names an IP protocol by its number (IANA protocol numbers); the
// number stays where the name is not common.
func zeekProtoName(number string) string {
	switch number {
	case "2":
		return "igmp"
	case "4":
		return "ipip"
	case "41":
		return "ipv6"
	case "47":
		return "gre"
	case "50":
		return "esp"
	case "51":
		return "ah"
	case "89":
		return "ospf"
	case "112":
		return "vrrp"
	case "132":
		return "sctp"
	}
	return number
}

// loss turns Zeek's own account of missed traffic into a coverage fact.
func (z *zeekRow) loss(c *zeekColumn, v string) {
	if z.ev.Time == firetrail.Absent || strings.Trim(v, "0.") == "" {
		return
	}
	switch {
	case c.role == zeekLossDegree && z.log.name == "capture_loss":
		z.ctx.Fact(z.ev.Time, 0, "the sensor missed "+firetrail.Inert(v)+" percent of what it should have seen")
	case c.role == zeekLossCount && z.log.name == "stats":
		n, _ := number([]byte(v))
		z.ctx.Fact(z.ev.Time, 0, fmt.Sprintf("the sensor dropped %d packets", n))
	}
}
