package simulate

import (
	"encoding/binary"
	"net/netip"
)

// capture writes the pflog of the outer router as a pcap file of FreeBSD: link
// type 117, headers of 69 bytes padded to 72. Source: print-pflog.c of tcpdump.
type capture struct {
	sim   *simulation
	file  *logFile
	clock *clock
}

const (
	linkPflog  = 117
	pflogBytes = 72
	snapLength = 160
)

func newCapture(sim *simulation, c *clock) *capture {
	p := &capture{sim: sim, clock: c}
	p.file = sim.newFile(dated("pflog/pflog-", ".pcap", sim.opt.start(), sim.opt.Days, false))
	p.file.binary = true
	p.file.header = func(f *logFile) {
		h := make([]byte, 24)
		binary.LittleEndian.PutUint32(h, 0xa1b2c3d4)
		binary.LittleEndian.PutUint16(h[4:], 2)
		binary.LittleEndian.PutUint16(h[6:], 4)
		binary.LittleEndian.PutUint32(h[16:], snapLength)
		binary.LittleEndian.PutUint32(h[20:], linkPflog)
		f.out.Write(h)
	}
	return p
}

func (p *capture) view() views                 { return viewCapture }
func (p *capture) ended(*Session, int64) error { return nil }

func (p *capture) began(s *Session, t int64) error {
	if p.sim.harms.silent(viewCapture, t) {
		return nil
	}
	at := p.clock.read(t)
	f := p.file
	if err := f.at(at); err != nil {
		return err
	}
	src, port := s.Src, s.SrcPort
	if s.outward() {
		src = natOf(s.Src)
		if s.Proto != ICMP {
			port = s.NATPort()
		}
	}
	b := f.buf[:0]
	b = append(b, make([]byte, 16+pflogBytes)...)
	b = appendPacket(b, s, src, port)
	length := len(b) - 16
	kept := min(length, snapLength)
	le := binary.LittleEndian
	le.PutUint32(b, uint32(floorDiv(at, second)))
	le.PutUint32(b[4:], uint32((at-floorDiv(at, second)*second)/microsecond))
	le.PutUint32(b[8:], uint32(kept))
	le.PutUint32(b[12:], uint32(length))
	h := b[16:]
	h[0], h[1] = 69, 2
	rule := uint32(7)
	if s.Stop == atEdge {
		h[2], rule = 1, 3
	}
	copy(h[4:20], "vtnet1")
	binary.BigEndian.PutUint32(h[36:], rule)
	binary.BigEndian.PutUint32(h[40:], 0xffffffff)
	le.PutUint32(h[44:], 0xffffffff)
	le.PutUint32(h[48:], 0xffffffff)
	le.PutUint32(h[52:], 0)
	h[60] = 1
	if s.outward() {
		h[60] = 2
	}
	binary.BigEndian.PutUint32(h[64:], 1000000100+rule)
	f.buf = b[:16+kept]
	return f.write(s, floorDiv(at, microsecond)*microsecond, "pf")
}

// appendPacket appends the first packet of a session: IPv4 with correct checksums.
func appendPacket(b []byte, s *Session, src netip.Addr, port uint16) []byte {
	from := len(b)
	length := int(s.firstLength())
	b = append(b, make([]byte, length)...)
	ip := b[from:]
	be := binary.BigEndian
	ip[0] = 0x45
	be.PutUint16(ip[2:], uint16(length))
	be.PutUint16(ip[4:], s.ipID())
	be.PutUint16(ip[6:], 0x4000)
	ip[8], ip[9] = 52, s.Proto
	a4, d4 := src.As4(), s.Dst.As4()
	copy(ip[12:], a4[:])
	copy(ip[16:], d4[:])
	be.PutUint16(ip[10:], ^sum16(0, ip[:20]))
	body := ip[20:]
	pseudo := uint32(s.Proto) + uint32(len(body))
	pseudo += uint32(sum16(0, ip[12:20]))
	switch s.Proto {
	case TCP:
		be.PutUint16(body, port)
		be.PutUint16(body[2:], s.DstPort)
		be.PutUint32(body[4:], uint32(mix(s.Seq^0x7c9)))
		body[12], body[13] = 10<<4, 2
		be.PutUint16(body[14:], 64240)
		copy(body[20:], "\x02\x04\x05\xb4\x04\x02\x08\x0a")
		be.PutUint32(body[28:], uint32(s.Start/millisecond))
		copy(body[36:], "\x01\x03\x03\x07")
		be.PutUint16(body[16:], ^sum16(pseudo, body))
	case UDP:
		be.PutUint16(body, port)
		be.PutUint16(body[2:], s.DstPort)
		be.PutUint16(body[4:], uint16(len(body)))
		be.PutUint16(body[6:], ^sum16(pseudo, body))
	default:
		body[0], body[1] = byte(s.SrcPort), byte(s.DstPort)
		be.PutUint16(body[4:], s.ipID()%30000)
		be.PutUint16(body[6:], 1)
		be.PutUint16(body[2:], ^sum16(0, body))
	}
	return b
}

// sum16 is the one's complement sum of RFC 1071.
func sum16(sum uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}
