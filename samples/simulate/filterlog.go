package simulate

import "strconv"

// router writes the filterlog of pfSense between the lab's networks. Syntax:
// filterlog.c of pfSense; RFC 3164 header without a host, as it sends to a collector.
type router struct {
	sim   *simulation
	file  *logFile
	clock *clock
	stamp stamps
}

func newRouter(sim *simulation, c *clock) *router {
	return &router{sim: sim, clock: c, file: sim.newFile(rotated("pfsense/filter.log", sim.opt.Days))}
}

func (p *router) view() views                 { return viewRouter }
func (p *router) ended(*Session, int64) error { return nil }

func (p *router) began(s *Session, t int64) error {
	if p.sim.harms.silent(viewRouter, t) {
		return nil
	}
	at := p.clock.read(t)
	f := p.file
	if err := f.at(at); err != nil {
		return err
	}
	b := append(f.buf[:0], "<134>"...)
	b = p.stamp.rfc3164(b, at)
	b = append(b, " filterlog[61203]: "...)
	b = append(b, rules[ruleOf(s)]...)
	if s.Stop == atRouter {
		b = append(b, ",match,block,in,4,0x0,,63,"...)
	} else {
		b = append(b, ",match,pass,in,4,0x0,,63,"...)
	}
	b = strconv.AppendInt(b, int64(s.ipID()), 10)
	b = append(b, ",0,DF,"...)
	b = append(b, protoColumns(s.Proto)...)
	b = strconv.AppendInt(b, s.firstLength(), 10)
	b = append(b, ',')
	b = s.Src.AppendTo(b)
	b = append(b, ',')
	b = s.Dst.AppendTo(b)
	b = append(b, ',')
	if s.Proto == ICMP {
		// filterlog glues the length of the ICMP message to the sequence number.
		b = append(b, "request,"...)
		b = strconv.AppendInt(b, int64(s.ipID()%30000), 10)
		b = append(b, ",1"...)
		b = strconv.AppendInt(b, s.firstLength()-20, 10)
	} else {
		b = strconv.AppendInt(b, int64(s.SrcPort), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(s.DstPort), 10)
		b = append(b, ',')
		if s.Proto == TCP {
			b = append(b, "0,S,"...)
			b = strconv.AppendUint(b, mix(s.Seq^0x7c9)&0xffffffff, 10)
			b = append(b, ",,64240,,mss;sackOK;TS;nop;wscale"...)
		} else {
			b = strconv.AppendInt(b, s.firstLength()-20, 10)
		}
	}
	f.buf = append(b, '\n')
	return f.write(s, floorDiv(at, second)*second, "pf")
}

// rules of the router: number, sub-rule, anchor, tracker, interface.
var rules = [...]string{
	"5,,,1000000103,igc1", "12,,,1700000112,igc1", "13,,,1700000113,igc2", "14,,,1700000114,igc3", "20,,,1700000120,igc1",
}

// ruleOf is the rule that a session meets: default block, ssh, web sample,
// office, everything else.
func ruleOf(s *Session) int {
	switch {
	case s.Stop == atRouter:
		return 0
	case s.DstPort == 22 && s.Proto == TCP:
		return 1
	case s.to == internet && s.ordinary():
		return 2
	case s.to == office:
		return 3
	}
	return 4
}

func protoColumns(proto uint8) string {
	switch proto {
	case TCP:
		return "6,tcp,"
	case UDP:
		return "17,udp,"
	}
	return "1,icmp,"
}
