package simulate

import (
	"bufio"
	"strconv"
)

// natTable keeps the translations that the edge's connection tracking reports.
// It is bounded: of the background it holds a sample, large enough that being
// listed tells nothing of a session.
type natTable struct {
	entries []Session
	every   uint64 // one background session of so many is kept
}

const maxTranslations = 60_000

// note keeps the translation of a session that leaves the lab.
func (n *natTable) note(s *Session) {
	if !s.natted() || s.Proto == ICMP || s.sees == 0 || s.plant == 0 && mix(s.Seq^0x9a7)%n.every != 0 {
		return
	}
	if len(n.entries) < maxTranslations || s.plant != 0 {
		n.entries = append(n.entries, *s)
	}
}

// write prints "conntrack -E -o timestamp": NEW and DESTROY of each translation.
// Syntax: conntrack(8).
func (n *natTable) write(w *bufio.Writer) error {
	var b []byte
	for i := range n.entries {
		s := &n.entries[i]
		for _, event := range [...]string{"NEW", "DESTROY"} {
			at := s.Start
			if event == "DESTROY" {
				at = s.End()
			}
			b = append(b[:0], '[')
			b = epoch(b, at)
			b = append(b, "]\t["...)
			b = append(b, event...)
			b = append(b, "] "...)
			if s.Proto == TCP {
				b = append(b, "tcp      6 "...)
			} else {
				b = append(b, "udp      17 "...)
			}
			if event == "NEW" && s.Proto == TCP {
				b = append(b, "120 SYN_SENT "...)
			} else if event == "NEW" {
				b = append(b, "30 "...)
			}
			b = append(b, "src="...)
			b = s.Src.AppendTo(b)
			b = append(b, " dst="...)
			b = s.Dst.AppendTo(b)
			b = append(b, " sport="...)
			b = strconv.AppendUint(b, uint64(s.SrcPort), 10)
			b = append(b, " dport="...)
			b = strconv.AppendUint(b, uint64(s.DstPort), 10)
			b = append(b, " src="...)
			b = s.Dst.AppendTo(b)
			b = append(b, " dst="...)
			b = natOf(s.Src).AppendTo(b)
			b = append(b, " sport="...)
			b = strconv.AppendUint(b, uint64(s.DstPort), 10)
			b = append(b, " dport="...)
			b = strconv.AppendUint(b, uint64(s.NATPort()), 10)
			b = append(b, '\n')
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}
