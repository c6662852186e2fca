package attribute

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"firetrail"
)

// nobody answers where no run can have done it.
func (v *verdict) nobody() (why string, c []firetrail.Candidate) {
	at, src := v.bursts[0].at, v.f.SrcIP.Unmap().WithZone("")
	h := v.x.byAddr[src]
	guess := ""
	if v.zoneGuessed() {
		guess = "; the zone of its clock is not in the records, so the time may be hours off"
	}
	if host, ok := v.x.hostAt(src, at); ok {
		reason := fmt.Sprintf("%s was the address of %s %s (%s), which no run held at %s", src, host.Subject, host.Name, cite(host.Citation), firetrail.Stamp(at.Start))
		return reason + guess, []firetrail.Candidate{{ID: Background, Probability: 1, Reasons: []string{reason}}}
	}
	if h == nil {
		if v.x.nat[src] != nil {
			return fmt.Sprintf("%s is a translated address, and no translation fits the peer and the time%s", src, guess), nil
		}
		return fmt.Sprintf("no run and no host of the inventory ever held %s; a translation table may lead further inside", src), nil
	}
	reason := fmt.Sprintf("no run held %s at %s", src, firetrail.Stamp(at.Start))
	if l, ok := nearest(h, at); ok {
		reason += "; " + l
	}
	return reason + guess, []firetrail.Candidate{{ID: Background, Probability: 1, Reasons: []string{reason}}}
}

// nearest tells of the lease of a run that lies closest to an interval.
func nearest(h *holders, at firetrail.Interval) (text string, ok bool) {
	best := int64(forever)
	for _, l := range h.leases {
		if l.Run == "" {
			continue
		}
		switch {
		case l.End != firetrail.Absent && l.End < at.Start && at.Start-l.End < best:
			best = at.Start - l.End
			text, ok = fmt.Sprintf("the nearest lease, of run %s, had ended %s before (%s)", l.Run, seconds(best), cite(l.Citation)), true
		case l.Start > at.End && l.Start-at.End < best:
			best = l.Start - at.End
			text, ok = fmt.Sprintf("the nearest lease, of run %s, began %s later (%s)", l.Run, seconds(best), cite(l.Citation)), true
		}
	}
	return text, ok
}

func seconds(d int64) string {
	return time.Duration(d).Round(time.Second).String()
}

func cite(c firetrail.Citation) string {
	return fmt.Sprintf("%s:%d", c.Source, c.Line)
}

// candidates lists all runs and the background, likeliest first.
func (v *verdict) candidates() []firetrail.Candidate {
	var out []firetrail.Candidate
	for i, id := range v.order {
		c := firetrail.Candidate{ID: id, Probability: v.share[id]}
		if c.Reasons = []string{"held the address as well"}; i < maxListed {
			c.Reasons = v.reasons(id)
		}
		out = append(out, c)
	}
	out = append(out, firetrail.Candidate{ID: Background, Probability: v.bg, Reasons: v.backgroundReasons()})
	slices.SortStableFunc(out, func(a, b firetrail.Candidate) int { return cmp.Compare(b.Probability, a.Probability) })
	return out
}

// strongest is the burst that says most for a run.
func (v *verdict) strongest(id string) (best *weight, bursts, matched, active int) {
	for i := range v.bursts {
		for j := range v.bursts[i].weights {
			w := &v.bursts[i].weights[j]
			if w.claim.lease.Run != id {
				continue
			}
			bursts++
			if w.matched() {
				matched++
			}
			if w.call >= 0 && w.timing == timeActive {
				active++
			}
			if best == nil || w.w > best.w {
				best = w
			}
		}
	}
	return best, bursts, matched, active
}

// reasons are the sentences for one run.
func (v *verdict) reasons(id string) []string {
	w, bursts, matched, active := v.strongest(id)
	l := w.claim.lease
	held := fmt.Sprintf("run %s held %s", id, l.IP)
	if l.Name != "" {
		held += " as " + l.Subject + " " + l.Name
	}
	held += " " + between(l.Start, l.End) + " (" + cite(l.Citation) + ")"
	out := []string{held}
	if shift, _ := v.x.opt.clock(v.f); shift != 0 {
		out = append(out, clockReason(shift))
	}
	if w.claim.way != "" {
		out = append(out, w.claim.way)
	}
	if w.member < 1 {
		out = append(out, fmt.Sprintf("the time lies within the uncertainty of the lease's bounds: counted at %.2f", w.member))
	}
	if bursts < len(v.bursts) {
		out = append(out, fmt.Sprintf("%d of %d bursts fall into its lease", bursts, len(v.bursts)))
	}
	if w.call >= 0 {
		out = append(out, v.callReason(w, matched, active))
	} else if len(w.claim.trace.calls) == 0 {
		out = append(out, "no tool calls of the run are known")
	} else {
		out = append(out, "no tool call of the run was active")
	}
	return out[:min(len(out), maxReasons)]
}

// callReason tells how a call and the bursts lie together.
func (v *verdict) callReason(w *weight, matched, active int) string {
	c := w.claim.trace.calls[w.call]
	text := "tool call"
	if c.ID != "" && c.ID != cite(c.Citation) {
		text += " " + c.ID
	}
	if c.Tool != "" {
		text += " (" + c.Tool + ")"
	}
	text += " at " + cite(c.Citation)
	switch {
	case c.Start == firetrail.Absent:
		text += " has no clock"
	case w.lasting:
		text += fmt.Sprintf(", begun at %s, left a process running", firetrail.Stamp(c.Start))
	case w.timing == timeActive:
		text += " was active " + between(c.Start, c.End)
	default:
		text += fmt.Sprintf(", begun at %s, was not active", firetrail.Stamp(c.Start))
	}
	switch {
	case w.why != "":
		text += " and " + w.why
		if matched > 0 {
			text += fmt.Sprintf(": %d of %d bursts", matched, len(v.bursts))
		}
	case w.k == contentOther:
		text += ", but nothing in its arguments has to do with this"
	case w.claim.trace.args && v.x.podOnly(w.claim.lease.IP) && !v.timed:
		text += "; its arguments do not tell what it did"
	case w.claim.trace.args && v.habit.timed:
		text += fmt.Sprintf("; its arguments do not tell, but the same falls into tool calls of runs more than by chance, %d of %d bursts here", active, len(v.bursts))
	case w.claim.trace.args:
		text += fmt.Sprintf("; its arguments do not tell, but %d of %d bursts fall into the run's calls, more than by chance", active, len(v.bursts))
	default:
		text += fmt.Sprintf("; its trace records no arguments: %d of %d bursts in time", active, len(v.bursts))
	}
	return text
}

func between(start, end int64) string {
	switch {
	case start == firetrail.Absent && end == firetrail.Absent:
		return "all the time"
	case start == firetrail.Absent:
		return "until " + firetrail.Stamp(end)
	case end == firetrail.Absent:
		return "from " + firetrail.Stamp(start)
	}
	return "from " + firetrail.Stamp(start) + " to " + firetrail.Stamp(end)
}

// backgroundReasons are the sentences for "no run".
func (v *verdict) backgroundReasons() []string {
	out := []string{fmt.Sprintf("something that no inventory lists: weight 0.05 for each of %d runs and 0.05, times %.3g", len(v.order), v.factor)}
	if v.ownHost {
		out = append(out, v.hostText())
	}
	if v.habit.idle > 0 {
		out = append(out, v.idleText())
	}
	if n := len(v.habit.sources); n >= manySources && !scattered(v.f) && !v.timed {
		out = append(out, fmt.Sprintf("the same came from %d sources", n))
	}
	return out
}

func (v *verdict) hostText() string {
	if l, ok := v.x.hostAt(v.f.SrcIP, v.bursts[0].at); ok && l.Name != "" {
		return fmt.Sprintf("%s is the address of %s %s (%s): its own services use it too", v.f.SrcIP, l.Subject, l.Name, cite(l.Citation))
	}
	return fmt.Sprintf("%s is a machine's address: its own services use it too", v.f.SrcIP)
}

func (v *verdict) idleText() string {
	return fmt.Sprintf("%d of %d bursts of the same behaviour came while no run held %s", v.habit.idle, v.habit.bursts, v.f.SrcIP)
}

// against lists what speaks against the likeliest run, the strongest first.
func (v *verdict) against() []string {
	var out []string
	say := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	id := v.order[0]
	t := v.x.runs[id]
	w, bursts, matched, active := v.strongest(id)
	if v.habit.idle > 0 {
		say(true, "%s", v.idleText())
	}
	before := v.before(t)
	say(before > 0, "%d of %d bursts began before run %s did", before, len(v.bursts), id)
	say(len(t.calls) > 0 && active+matched == 0, "no burst falls into a tool call of run %s", id)
	say(active > 0 && active < bursts, "%d of %d bursts fall outside every tool call of run %s", bursts-active, bursts, id)
	say(len(t.calls) > 0 && w.k < contentCommon && t.args, "nothing in the arguments of run %s's tool calls has to do with it", id)
	say(len(t.calls) == 0, "no tool calls of run %s are known, so the run is known by its lease alone", id)
	say(len(v.order) > 1, "%d other runs could have used the address at the time: %s", len(v.order)-1, v.others())
	if l, ok := v.reuse(5 * minute); ok {
		say(true, "run %s held %s %s, close to it (%s)", l.Run, l.IP, between(l.Start, l.End), cite(l.Citation))
	}
	say(len(v.habit.sources) >= manySources && !scattered(v.f) && !v.timed, "the same came from %d sources, which speaks for something common to them", len(v.habit.sources))
	say(v.ownHost, "%s", v.hostText())
	if n := v.outlived(id); n > 0 {
		say(true, "%d of %d bursts went on after the lease of run %s had ended", n, len(v.bursts), id)
	}
	say(v.zoneGuessed(), "the zone of the clock that recorded it is a guess")
	return out[:min(len(out), maxListed)]
}

func (v *verdict) others() string {
	n := min(len(v.order), 6)
	return strings.Join(v.order[1:n], ", ")
}

// before counts the bursts that began before the run was known to exist.
func (v *verdict) before(t *trace) int {
	n := 0
	for i := range v.bursts {
		if t.run.Start != firetrail.Absent && v.bursts[i].at.Start < t.run.Start-5*second {
			n++
		}
	}
	return n
}

// outlived counts the bursts that ended after every lease of the run on the address.
func (v *verdict) outlived(id string) int {
	n := 0
	for i := range v.bursts {
		for j := range v.bursts[i].weights {
			w := &v.bursts[i].weights[j]
			l := w.claim.lease
			if l.Run == id && l.End != firetrail.Absent && v.bursts[i].at.End > add(l.End, l.EndUnc+minute) {
				n++
			}
		}
	}
	return n
}
