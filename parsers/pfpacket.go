package parsers

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"firetrail"
)

// decoder reads the headers of one packet into an event, and those of a
// packet inside it (quoted by an ICMP error, carried by a tunnel) into x fields
// "inner.…", one level deep.
type decoder struct {
	ev    *firetrail.Event
	arena *Arena
	buf   []byte
	inner bool
}

// put keeps a field; name is without "inner.".
func (d *decoder) put(name, value string) {
	if d.inner {
		name = innerNames[name]
	}
	d.ev.Put(name, value)
}

// innerNames spares joining names for each packet.
var innerNames = map[string]string{
	"ack": "inner.ack", "class": "inner.class", "datalen": "inner.datalen", "dst_ip": "inner.dst_ip", "dst_port": "inner.dst_port",
	"ecn": "inner.ecn", "error": "inner.error", "ext": "inner.ext", "flags": "inner.flags", "flow": "inner.flow", "frag_id": "inner.frag_id",
	"hoplimit": "inner.hoplimit", "icmp_code": "inner.icmp_code", "icmp_gateway": "inner.icmp_gateway", "icmp_id": "inner.icmp_id",
	"icmp_mtu": "inner.icmp_mtu", "icmp_seq": "inner.icmp_seq", "icmp_target": "inner.icmp_target", "icmp_type": "inner.icmp_type",
	"id": "inner.id", "ip_flags": "inner.ip_flags", "length": "inner.length", "offset": "inner.offset", "options": "inner.options",
	"payload_length": "inner.payload_length", "proto": "inner.proto", "protonum": "inner.protonum", "seq": "inner.seq",
	"src_ip": "inner.src_ip", "src_port": "inner.src_port", "tos": "inner.tos", "ttl": "inner.ttl", "urg": "inner.urg", "window": "inner.window",
	"vtag": "inner.vtag", "chunk": "inner.chunk", "spi": "inner.spi", "gre_proto": "inner.gre_proto", "gre_key": "inner.gre_key",
	"igmp_type": "inner.igmp_type", "igmp_group": "inner.igmp_group", "vhid": "inner.vhid", "carp_type": "inner.carp_type",
	"info": "inner.info", "icmp_text": "inner.icmp_text", "ip_options": "inner.ip_options",
	"carp_version": "inner.carp_version", "advskew": "inner.advskew", "advbase": "inner.advbase",
}

func (d *decoder) decimal(n int64) string {
	if n >= 0 && n < 100 {
		return strconv.Itoa(int(n)) // no allocation
	}
	var b [20]byte
	return d.arena.String(strconv.AppendInt(b[:0], n, 10))
}

// hex prints "0x" and at least width digits.
func (d *decoder) hex(n uint64, width int) string {
	var digits, b [20]byte
	plain := strconv.AppendUint(digits[:0], n, 16)
	out := append(b[:0], "0x"...)
	for range width - len(plain) {
		out = append(out, '0')
	}
	return d.arena.String(append(out, plain...))
}

func (d *decoder) address(a netip.Addr) string {
	var b [48]byte
	return d.arena.String(a.AppendTo(b[:0]))
}

func (d *decoder) number(name string, n int64) { d.put(name, d.decimal(n)) }

// cut says that the capture ends inside a header.
func (d *decoder) cut(header string) { d.put("error", header) }

func (d *decoder) addresses(src, dst netip.Addr) {
	if d.inner {
		d.put("src_ip", d.address(src))
		d.put("dst_ip", d.address(dst))
		return
	}
	d.ev.SrcIP, d.ev.DstIP = src, dst
}

func (d *decoder) proto(n byte) {
	num := d.decimal(int64(n))
	d.put("protonum", num)
	if name := protoName(int64(n), num); d.inner {
		d.put("proto", name)
	} else {
		d.ev.Proto = name
	}
}

// ports reads the two ports at the start of b.
func (d *decoder) ports(b []byte) {
	src, dst := int64(binary.BigEndian.Uint16(b)), int64(binary.BigEndian.Uint16(b[2:]))
	if d.inner {
		d.number("src_port", src)
		d.number("dst_port", dst)
		return
	}
	d.ev.SrcPort, d.ev.DstPort = src, dst
}

// ip reads an IP packet of either version.
func (d *decoder) ip(b []byte) {
	switch {
	case len(b) == 0:
		d.cut("[|ip]")
	case b[0]>>4 == 4:
		d.ipv4(b)
	case b[0]>>4 == 6:
		d.ipv6(b)
	default:
		d.cut("neither IPv4 nor IPv6")
	}
}

func (d *decoder) ipv4(b []byte) {
	if len(b) < 20 {
		d.cut("[|ip]")
		return
	}
	d.tos(b[1])
	d.number("ttl", int64(b[8]))
	d.number("id", int64(binary.BigEndian.Uint16(b[4:])))
	frag := binary.BigEndian.Uint16(b[6:])
	offset := int64(frag&0x1fff) * 8
	d.number("offset", offset)
	d.put("ip_flags", [...]string{"none", "+", "DF", "+, DF", "rsvd", "+, rsvd", "DF, rsvd", "+, DF, rsvd"}[frag>>13])
	d.addresses(netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])))
	total, header := int(binary.BigEndian.Uint16(b[2:])), int(b[0]&15)*4
	d.number("length", int64(total))
	d.proto(b[9])
	switch {
	case header < 20 || total < header:
		d.cut("bad-hlen=" + d.decimal(int64(header)))
	case offset == 0:
		d.transport(b[9], b[min(header, len(b)):min(max(total, header), len(b))], total-header)
	}
}

// tos prints the byte and its ECN bits as filterlog does.
func (d *decoder) tos(tos byte) {
	d.put("tos", d.hex(uint64(tos), 1))
	if ecn := [...]string{"", "1", "0", "CE"}[tos&3]; ecn != "" {
		d.put("ecn", ecn)
	}
}

func (d *decoder) ipv6(b []byte) {
	if len(b) < 40 {
		d.cut("[|ip6]")
		return
	}
	word := binary.BigEndian.Uint32(b)
	d.put("class", d.hex(uint64(word>>20&0xff), 2))
	d.put("flow", d.hex(uint64(word&0xfffff), 5))
	d.number("hoplimit", int64(b[7]))
	payload := int(binary.BigEndian.Uint16(b[4:]))
	d.number("length", int64(payload))
	d.addresses(netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])))
	next, first, rest, left := d.extensions(b[6], b[40:min(40+payload, len(b))], payload)
	d.proto(next)
	if first {
		d.transport(next, rest, left)
	}
}

// extensions walks the extension headers. first is false where no transport
// header follows: a later fragment, or a header that is cut.
func (d *decoder) extensions(next byte, b []byte, length int) (proto byte, first bool, rest []byte, left int) {
	d.buf = d.buf[:0]
	defer func() {
		if len(d.buf) > 0 {
			d.put("ext", d.arena.String(d.buf))
		}
	}()
	for {
		name, size := "", 0
		switch next {
		case 0:
			name = "hopopt"
		case 43:
			name = "route"
		case 44:
			name = "frag"
		case 51:
			name = "ah"
		case 60:
			name = "dstopts"
		case 135:
			name = "mobility"
		default:
			return next, true, b, length
		}
		if len(d.buf) > 0 {
			d.buf = append(d.buf, ',')
		}
		d.buf = append(d.buf, name...)
		if len(b) < 8 {
			d.cut("[|ip6 " + name + "]")
			return next, false, nil, 0
		}
		switch next {
		case 44:
			size = 8
		case 51:
			size = (int(b[1]) + 2) * 4
		default:
			size = (int(b[1]) + 1) * 8
		}
		if next == 44 {
			frag := binary.BigEndian.Uint16(b[2:])
			d.put("frag_id", d.hex(uint64(binary.BigEndian.Uint32(b[4:])), 8))
			d.number("offset", int64(frag&^7))
			if frag&1 != 0 {
				d.put("ip_flags", "+")
			}
			if frag&^7 != 0 {
				return b[0], false, nil, 0
			}
		}
		next = b[0]
		if size > len(b) {
			d.cut("[|ip6 " + name + "]")
			return next, false, nil, 0
		}
		b, length = b[size:], length-size
	}
}
