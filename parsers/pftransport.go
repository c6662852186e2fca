package parsers

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// transport reads the header behind IP's. length is what the IP header says
// follows it; b may be shorter, because captures are cut.
func (d *decoder) transport(proto byte, b []byte, length int) {
	switch proto {
	case 6:
		d.tcp(b, length)
		return
	case 17, 136:
		d.udp(b)
		return
	}
	d.number("datalen", int64(length))
	switch proto {
	case 1:
		d.icmp(b)
	case 58:
		d.icmp6(b)
	case 2:
		if len(b) >= 8 {
			d.put("igmp_type", d.hex(uint64(b[0]), 2))
			d.put("igmp_group", d.address(netip.AddrFrom4([4]byte(b[4:8]))))
		} else {
			d.cut("[|igmp]")
		}
	case 4, 41:
		d.carried(b)
	case 47:
		d.gre(b)
	case 50:
		if len(b) >= 4 {
			d.put("spi", d.hex(uint64(binary.BigEndian.Uint32(b)), 8))
		}
	case 51:
		if len(b) >= 8 {
			d.put("spi", d.hex(uint64(binary.BigEndian.Uint32(b[4:])), 8))
		}
	case 112:
		d.carp(b)
	case 132:
		d.sctp(b)
	}
}

// tcp reads a TCP header. seq is "n", and "n:m" where the packet carries data.
func (d *decoder) tcp(b []byte, length int) {
	if len(b) < 4 {
		d.cut("[|tcp]")
		return
	}
	d.ports(b)
	if len(b) < 20 {
		if len(b) >= 8 {
			d.number("seq", int64(binary.BigEndian.Uint32(b[4:])))
		}
		d.cut("[|tcp]")
		return
	}
	header := int(b[12]>>4) * 4
	if header < 20 || header > length {
		d.cut("bad TCP header length " + d.decimal(int64(header)))
		header = 20
	}
	data := max(length-header, 0)
	d.number("datalen", int64(data))
	d.flags(b[13])
	seq := binary.BigEndian.Uint32(b[4:])
	d.buf = strconv.AppendUint(d.buf[:0], uint64(seq), 10)
	if data > 0 {
		d.buf = append(d.buf, ':')
		d.buf = strconv.AppendUint(d.buf, uint64(seq+uint32(data)), 10)
	}
	d.put("seq", d.arena.String(d.buf))
	if b[13]&0x10 != 0 {
		d.number("ack", int64(binary.BigEndian.Uint32(b[8:])))
	}
	d.number("window", int64(binary.BigEndian.Uint16(b[14:])))
	if b[13]&0x20 != 0 {
		d.number("urg", int64(binary.BigEndian.Uint16(b[18:])))
	}
	if header > 20 {
		d.tcpOptions(b[20:min(header, len(b))], header > len(b))
	}
}

// flags prints letters in filterlog's order.
func (d *decoder) flags(f byte) {
	d.buf = d.buf[:0]
	for i, c := range []byte("FSRPAUEC") {
		if f&(1<<i) != 0 {
			d.buf = append(d.buf, c)
		}
	}
	if letters := d.arena.String(d.buf); d.inner {
		d.put("flags", letters)
	} else {
		d.ev.Flags = letters
	}
}

// tcpOptions prints options as tcpdump does: "mss 1460,nop,wscale 7".
func (d *decoder) tcpOptions(b []byte, cut bool) {
	out := d.buf[:0]
	for len(b) > 0 {
		if len(out) > 0 {
			out = append(out, ',')
		}
		kind := b[0]
		if kind == 0 {
			out = append(out, "eol"...)
			break
		}
		if kind == 1 {
			out = append(out, "nop"...)
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			if !cut {
				out = append(out, "[bad opt]"...)
			}
			break
		}
		out = appendOption(out, kind, b[2:b[1]])
		b = b[b[1]:]
	}
	d.buf = out
	if len(out) > 0 {
		d.put("options", d.arena.String(out))
	}
	if cut {
		d.cut("[|tcp]")
	}
}

func appendOption(out []byte, kind byte, value []byte) []byte {
	switch {
	case kind == 2 && len(value) == 2:
		out = append(out, "mss "...)
		return strconv.AppendUint(out, uint64(binary.BigEndian.Uint16(value)), 10)
	case kind == 3 && len(value) == 1:
		out = append(out, "wscale "...)
		return strconv.AppendUint(out, uint64(value[0]), 10)
	case kind == 4 && len(value) == 0:
		return append(out, "sackOK"...)
	case kind == 5 && len(value)%8 == 0:
		out = append(out, "sack "...)
		out = strconv.AppendInt(out, int64(len(value)/8), 10)
		out = append(out, ' ')
		for ; len(value) >= 8; value = value[8:] {
			out = append(out, '{')
			out = strconv.AppendUint(out, uint64(binary.BigEndian.Uint32(value)), 10)
			out = append(out, ':')
			out = strconv.AppendUint(out, uint64(binary.BigEndian.Uint32(value[4:])), 10)
			out = append(out, '}')
		}
		return out
	case kind == 8 && len(value) == 8:
		out = append(out, "TS val "...)
		out = strconv.AppendUint(out, uint64(binary.BigEndian.Uint32(value)), 10)
		out = append(out, " ecr "...)
		return strconv.AppendUint(out, uint64(binary.BigEndian.Uint32(value[4:])), 10)
	case kind == 19:
		return append(out, "md5"...)
	}
	out = append(out, "unknown-"...)
	return strconv.AppendUint(out, uint64(kind), 10)
}

// udp reads RFC 768; a cut header gives what stands before the cut.
func (d *decoder) udp(b []byte) {
	if len(b) < 4 {
		d.cut("[|udp]")
		return
	}
	d.ports(b)
	if len(b) < 6 {
		d.cut("[|udp]")
		return
	}
	n := int64(binary.BigEndian.Uint16(b[4:]))
	d.number("datalen", n)
	if n >= 8 {
		d.number("payload_length", n-8)
	}
}

// icmp reads type and code as numbers, what the type carries, and the packet
// that an error quotes.
func (d *decoder) icmp(b []byte) {
	if len(b) < 8 {
		d.cut("[|icmp]")
		if len(b) < 2 {
			return
		}
	}
	kind, code := b[0], b[1]
	d.number("icmp_type", int64(kind))
	d.number("icmp_code", int64(code))
	if len(b) < 8 {
		return
	}
	switch kind {
	case 0, 8, 13, 14, 15, 16, 17, 18:
		d.echo(b)
	case 3, 4, 5, 11, 12:
		if kind == 3 && code == 4 {
			d.number("icmp_mtu", int64(binary.BigEndian.Uint16(b[6:])))
		}
		if kind == 5 {
			d.put("icmp_gateway", d.address(netip.AddrFrom4([4]byte(b[4:8]))))
		}
		d.carried(b[8:])
	}
}

func (d *decoder) echo(b []byte) {
	d.number("icmp_id", int64(binary.BigEndian.Uint16(b[4:])))
	d.number("icmp_seq", int64(binary.BigEndian.Uint16(b[6:])))
}

func (d *decoder) icmp6(b []byte) {
	if len(b) < 2 {
		d.cut("[|icmp6]")
		return
	}
	kind := b[0]
	d.number("icmp_type", int64(kind))
	d.number("icmp_code", int64(b[1]))
	switch {
	case len(b) < 8:
		d.cut("[|icmp6]")
	case kind == 128 || kind == 129:
		d.echo(b)
	case kind >= 1 && kind <= 4:
		if kind == 2 {
			d.number("icmp_mtu", int64(binary.BigEndian.Uint32(b[4:])))
		}
		d.carried(b[8:])
	case kind >= 135 && kind <= 137: // neighbour solicitation and advertisement, redirect
		if len(b) < 24 {
			d.cut("[|icmp6]")
			return
		}
		d.put("icmp_target", d.address(netip.AddrFrom16([16]byte(b[8:24]))))
	}
}

// carried reads a packet inside this one, unless this one is inside already.
func (d *decoder) carried(b []byte) {
	if d.inner || len(b) == 0 {
		return
	}
	d.inner = true
	d.ip(b)
	d.inner = false
}

func (d *decoder) gre(b []byte) {
	if len(b) < 4 {
		d.cut("[|gre]")
		return
	}
	flags, proto := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	d.put("gre_proto", d.hex(uint64(proto), 4))
	at := 4
	if flags&0xc000 != 0 { // checksum, routing
		at += 4
	}
	if flags&0x2000 != 0 {
		if len(b) >= at+4 {
			d.number("gre_key", int64(binary.BigEndian.Uint32(b[at:])))
		}
		at += 4
	}
	if flags&0x1000 != 0 {
		at += 4
	}
	if len(b) > at && flags&0x4000 == 0 && (proto == 0x0800 || proto == 0x86dd) {
		d.carried(b[at:])
	}
}

// carp reads CARP and VRRP under filterlog's names.
func (d *decoder) carp(b []byte) {
	if len(b) < 6 {
		d.cut("[|vrrp]")
		return
	}
	kind := "unkwn"
	if b[0]&15 == 1 {
		kind = "advertise"
	}
	d.put("carp_type", kind)
	d.number("vhid", int64(b[1]))
	d.number("carp_version", int64(b[0]>>4))
	d.number("advskew", int64(b[2]))
	d.number("advbase", int64(b[5]))
}

// sctp reads the common header of RFC 9260 and the type of the first chunk.
func (d *decoder) sctp(b []byte) {
	if len(b) < 4 {
		d.cut("[|sctp]")
		return
	}
	d.ports(b)
	if len(b) < 12 {
		d.cut("[|sctp]")
		return
	}
	d.put("vtag", d.hex(uint64(binary.BigEndian.Uint32(b[4:])), 8))
	if len(b) > 12 {
		d.number("chunk", int64(b[12]))
	}
}
