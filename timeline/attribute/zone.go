package attribute

import (
	"fmt"

	"firetrail"
)

// A zone that was mistaken moves all bursts by the same whole or half hours, away from the
// calls that made them: the run then looks innocent, and the host guilty.
const (
	zoneStep   = 30 * minute
	zoneMost   = 14 * hour
	zoneBursts = 3 // that have to agree
)

// zone looks for a mistaken zone: no burst falls into a call whose content has to do with it,
// and by one shift all of them do. Chance does not do that with the few calls that do.
func (q *inquiry) zone() {
	if q.run == nil || len(q.moments) < zoneBursts {
		return
	}
	telling := map[int]bool{}
	for _, f := range q.findings {
		for _, h := range q.run.hits(f) {
			if h.k >= contentPort && h.call < q.run.clocked {
				telling[h.call] = true
			}
		}
	}
	var calls []firetrail.Interval
	for i := range q.run.windows.iv {
		if telling[i] {
			calls = append(calls, q.run.windows.iv[i])
		}
	}
	if len(calls) < zoneBursts || q.fits(calls, 0) > 0 {
		return
	}
	for by := zoneStep; by <= zoneMost; by += zoneStep {
		for _, shift := range [...]int64{by, -by} {
			if q.fits(calls, shift) < len(q.moments) {
				continue
			}
			text := fmt.Sprintf("all %d bursts would fall into tool calls of run %s that have to do with them if the clocks were %+.1f h apart: look for a mistaken zone", len(q.moments), q.run.run.ID, float64(shift)/float64(hour))
			// What timing and content said against the agent is taken back.
			q.term(byAgent, "zone", float64(shift)/float64(hour), contentBound, contentBound, text)
			q.term(byHost, "zone", float64(shift)/float64(hour), -termBound, termBound, text)
			q.doubts = append(q.doubts, text)
			q.mistaken = true
			return
		}
	}
}

// fits counts the bursts that begin in one of the calls, shifted.
func (q *inquiry) fits(calls []firetrail.Interval, shift int64) (n int) {
	eps := q.x.opt.Slack
	for _, m := range q.moments {
		for _, c := range calls {
			if at := add(m.at.Start, shift); at >= c.Start-eps && at <= c.End+eps {
				n++
				break
			}
		}
	}
	return n
}
