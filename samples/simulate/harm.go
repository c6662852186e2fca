package simulate

import "slices"

// harms is the damage that was asked for.
type harms struct {
	lines bool // truncated, binary, over-long, reordered, doubled lines
	lost  []lost
	zone  bool // the router writes another zone than it says
	step  bool // a firewall's clock is set in the middle of the story
}

// lost is an interval of true time in which a sensor wrote nothing.
type lost struct {
	sees     views
	from, to int64
}

// silent reports whether the sensor was silent at t.
func (h *harms) silent(v views, t int64) bool {
	for i := range h.lost {
		if l := &h.lost[i]; l.sees&v != 0 && t >= l.from && t < l.to {
			return true
		}
	}
	return false
}

// clocks sets the clocks wrong.
func (h *harms) clocks(sim *simulation, edge2, router *clock) {
	if h.zone {
		router.offset += hour
	}
	if h.step {
		edge2.stepAt = sim.opt.start() + int64(sim.opt.Days)*day/2
		edge2.step = 37 * second
	}
}

// harm damages the lines of one file.
type harm struct{ r *random }

// harmFor is nil where no damage was asked for.
func (sim *simulation) harmFor(file uint64) *harm {
	if !sim.harms.lines {
		return nil
	}
	return &harm{newRandom(sim.opt.Seed, 7, file)}
}

// damaged writes the line in f.buf, harmed in one case of 2,000. A line that is
// no longer whole belongs to no session.
func (f *logFile) damaged(s *Session, t int64, kind string) error {
	r := f.harm.r
	line := f.buf
	if f.held != nil {
		held, by, at := f.held, f.heldBy, f.heldAt
		f.held, f.heldBy = nil, nil
		if err := f.emit(line, s, t, kind); err != nil {
			return err
		}
		return f.emit(held, by, at, "reordered")
	}
	if !r.chance(1.0 / 2000) {
		return f.emit(line, s, t, kind)
	}
	switch r.intn(5) {
	case 0: // cut off
		cut := append(slices.Clone(line[:len(line)/2]), '\n')
		return f.emit(cut, nil, t, kind)
	case 1: // bytes that are no text
		bad := slices.Clone(line)
		for i := len(bad) / 3; i < len(bad)-1 && i < len(bad)/3+12; i++ {
			bad[i] = byte(1 + i*37%8)
		}
		return f.emit(bad, nil, t, kind)
	case 2: // far too long
		long := append(slices.Clone(line[:len(line)-1]), make([]byte, 2<<20)...)
		for i := len(line) - 1; i < len(long); i++ {
			long[i] = 'A'
		}
		return f.emit(append(long, '\n'), nil, t, kind)
	case 3: // behind its successor
		f.held, f.heldBy, f.heldAt = slices.Clone(line), cloneSession(s), t
		return nil
	}
	if err := f.emit(line, s, t, kind); err != nil {
		return err
	}
	return f.emit(line, s, t, kind)
}

func cloneSession(s *Session) *Session {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}
