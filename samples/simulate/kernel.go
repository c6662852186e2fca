package simulate

import "strconv"

// kernel writes the packet log of Linux nodes as one collector stores it: GPU
// nodes and sandbox hosts with RFC 3164 headers, Kubernetes nodes with ISO
// stamps. Syntax: nf_log_syslog.c of the kernel.
type kernel struct {
	sim   *simulation
	file  *logFile
	clock *clock
	sees  views
	kube  bool
	stamp stamps
}

func newKernel(sim *simulation, sees views, c *clock) *kernel {
	k := &kernel{sim: sim, clock: c, sees: sees, kube: sees == viewKube}
	if k.kube {
		k.file = sim.newFile(dated("kube/messages-", ".log", sim.opt.start(), sim.opt.Days, true))
	} else {
		k.file = sim.newFile(rotated("kern/kern.log", sim.opt.Days))
	}
	return k
}

func (k *kernel) view() views                 { return k.sees }
func (k *kernel) ended(*Session, int64) error { return nil }
func (k *kernel) prefix(s *Session) (p string) {
	switch {
	case s.Stop == atHost && s.to == local && s.Proto == UDP:
		return "INPUT-DROP: "
	case s.Stop == atHost:
		return "EGRESS-DROP: "
	case s.to == internet:
		return "EGRESS-ACCEPT: "
	}
	return "LOCAL-ACCEPT: "
}

func (k *kernel) began(s *Session, t int64) error {
	at := k.clock.read(t)
	if k.sim.harms.silent(k.sees, t) {
		return nil
	}
	f := k.file
	if err := f.at(at); err != nil {
		return err
	}
	node := &k.sim.lab.nodes[s.node]
	b := f.buf[:0]
	if k.kube {
		b = k.stamp.iso(b, at, 6)
		b = append(b, "+00:00 "...)
		b = append(b, node.name...)
		b = append(b, " kernel: "...)
	} else {
		b = k.stamp.rfc3164(b, at)
		b = append(b, ' ')
		b = append(b, node.name...)
		// Nodes were booted at different times before the story.
		up := at - k.clock.start + int64(s.node+1)*37*hour
		b = append(b, " kernel: ["...)
		b = strconv.AppendInt(b, up/second, 10)
		b = decimals(b, up%second, 6)
		b = append(b, "] "...)
	}
	b = append(b, k.prefix(s)...)
	switch {
	case s.Stop == atHost && s.to == local && s.Proto == UDP:
		b = append(b, "IN=eth0 OUT= MAC=01:00:5e:00:00:fb:00:00:5e:00:53:"...)
		b = hex2(b, byte(s.node))
		b = append(b, ":08:00 "...)
	case s.from == pod:
		b = append(b, "IN=cni0 OUT=eth0 MAC=00:00:5e:00:53:01:00:00:5e:00:53:"...)
		b = hex2(b, byte(s.node))
		b = append(b, ":08:00 "...)
	default:
		b = append(b, "IN= OUT=eth0 "...)
	}
	ttl := int64(64)
	if s.from == pod {
		ttl = 63
	}
	b = packet(b, s, ttl)
	f.buf = append(b, '\n')
	return f.write(s, k.stamped(at), "iptables")
}

// stamped is the time as far as the envelope's stamp tells it.
func (k *kernel) stamped(at int64) int64 {
	if k.kube {
		return floorDiv(at, microsecond) * microsecond
	}
	return floorDiv(at, second) * second
}

// packet appends the first packet of the session as the kernel prints it.
func packet(b []byte, s *Session, ttl int64) []byte {
	b = append(b, "SRC="...)
	b = s.Src.AppendTo(b)
	b = append(b, " DST="...)
	b = s.Dst.AppendTo(b)
	b = append(b, " LEN="...)
	b = strconv.AppendInt(b, s.firstLength(), 10)
	b = append(b, " TOS=0x00 PREC=0x00 TTL="...)
	b = strconv.AppendInt(b, ttl, 10)
	b = append(b, " ID="...)
	b = strconv.AppendInt(b, int64(s.ipID()), 10)
	b = append(b, " DF PROTO="...)
	switch s.Proto {
	case TCP:
		b = append(b, "TCP SPT="...)
		b = strconv.AppendInt(b, int64(s.SrcPort), 10)
		b = append(b, " DPT="...)
		b = strconv.AppendInt(b, int64(s.DstPort), 10)
		b = append(b, " WINDOW=64240 RES=0x00 SYN URGP=0 "...)
	case UDP:
		b = append(b, "UDP SPT="...)
		b = strconv.AppendInt(b, int64(s.SrcPort), 10)
		b = append(b, " DPT="...)
		b = strconv.AppendInt(b, int64(s.DstPort), 10)
		b = append(b, " LEN="...)
		b = strconv.AppendInt(b, s.firstLength()-20, 10)
		b = append(b, ' ')
	default:
		b = append(b, "ICMP TYPE="...)
		b = strconv.AppendInt(b, int64(s.SrcPort), 10)
		b = append(b, " CODE="...)
		b = strconv.AppendInt(b, int64(s.DstPort), 10)
		b = append(b, " ID="...)
		b = strconv.AppendInt(b, int64(s.ipID()%30000), 10)
		b = append(b, " SEQ=1 "...)
	}
	return b
}

// firstLength is the IP length of the session's first packet: a SYN with
// options, else a datagram with its share of the payload.
func (s *Session) firstLength() int64 {
	if s.Proto == TCP {
		return 60
	}
	return 28 + min(1400, s.Out/max(1, s.PktsOut))
}

// ipID is the identification of the first packet.
func (s *Session) ipID() uint16 { return uint16(mix(s.Seq ^ 0x1d)) }

const hexDigits = "0123456789abcdef"

func hex2(b []byte, v byte) []byte { return append(b, hexDigits[v>>4], hexDigits[v&15]) }
