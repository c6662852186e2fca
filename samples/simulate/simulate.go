// Package simulate makes a lab with known ground truth: one story of an AI lab's
// network - training jobs, agents in sandboxes, storage, monitoring, the noise of
// the internet - with planted behaviours and things that only look so, told by the
// sensors that watched it, each with its own clock, its own view and its own blind
// spot. It writes logs of every family, the exports of schedulers and trackers, an
// allow list, and truth.json, which says what was planted and in which lines it
// shows. Score compares the results of a correlation with that truth.
//
// The story is told in slices of time: memory does not grow with the number of
// events. The same options give the same bytes.
package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say what to simulate. The zero value of a field means its default.
type Options struct {
	Out       string   // folder to write to; must not exist or be empty
	Seed      uint64   // default 1
	Events    int64    // records in all logs together, about; default 100,000
	Days      int      // simulated days from 1 March 2026 UTC; default 3
	Scenarios []string // names of Scenarios, "NAME:loud", "NAME:quiet"; default DefaultScenarios
	Sensors   []string // families: iptables, pf, paloalto, zeek; default all
	Observe   func(Record)
}

// Record is one record as it was written, for tests that read it back.
type Record struct {
	Path    string // below Out
	Line    int64  // from 1; a packet's number in a capture
	Kind    string // "zeek.conn", "iptables" …
	Time    int64  // as recorded, UTC
	Session *Session
}

// Summary says what was written.
type Summary struct {
	Events, Bytes int64
	Files         int
	Runs, Calls   int
	Planted       int
}

// Families are the sensors that can be simulated.
var Families = []string{"iptables", "pf", "paloalto", "zeek"}

// begin is where every simulation starts.
var begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func (o *Options) start() int64 { return begin.UnixNano() }
func (o *Options) end() int64   { return o.start() + int64(o.Days)*day }

// simulation is the state of one run of the simulator.
type simulation struct {
	opt      Options
	lab      *lab
	schedule *schedule
	truth    *truth
	planted  []Session // of scenarios, in order of start
	sensors  []sensor
	on       views // sensors that are switched on
	files    []*logFile
	harms    harms
	events   int64
	bytes    int64
	written  int // files opened for logs
	seq      uint64

	// The slice of time at hand.
	from, to int64
	now      []Session   // sessions that begin in the slice, as drawn
	later    [][]Session // sessions by the slice in which they end
	slice    int64       // length of a slice
	due      int64       // records drawn for the slice so far
	moments  []moment
	names    *cache
	draw     *drawer
	nat      natTable
}

// moment is the begin or the end of a session.
type moment struct {
	at  int64
	idx int32 // of now; of the ending ones from len(now)
	end bool
}

// Run simulates and writes everything below opt.Out.
func Run(opt Options) (Summary, error) {
	sim, err := prepare(opt)
	if err != nil {
		return Summary{}, err
	}
	if err := sim.logs(); err != nil {
		return Summary{}, fmt.Errorf("write logs: %w", err)
	}
	if err := sim.exports(); err != nil {
		return Summary{}, fmt.Errorf("write inventory: %w", err)
	}
	return Summary{Events: sim.events, Bytes: sim.bytes, Files: sim.written, Runs: len(sim.schedule.runs),
		Calls: len(sim.schedule.calls), Planted: len(sim.truth.items)}, nil
}

// prepare checks the options, plans the schedule and plants the scenarios.
func prepare(opt Options) (*simulation, error) {
	if opt.Seed == 0 {
		opt.Seed = 1
	}
	if opt.Events == 0 {
		opt.Events = 100_000
	}
	if opt.Days == 0 {
		opt.Days = 3
	}
	if opt.Events < 0 || opt.Days < 0 || opt.Days > 366 {
		return nil, errors.New("events must be positive, days between 1 and 366")
	}
	if len(opt.Scenarios) == 0 {
		opt.Scenarios = DefaultScenarios
	}
	if len(opt.Sensors) == 0 {
		opt.Sensors = Families
	}
	sim := &simulation{opt: opt, lab: newLab(), truth: &truth{}}
	for _, name := range opt.Sensors {
		v, ok := familyViews(name)
		if !ok {
			return nil, fmt.Errorf("unknown sensor %q; known: %s", name, strings.Join(Families, ", "))
		}
		sim.on |= v
	}
	if entries, err := os.ReadDir(opt.Out); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("folder %s is not empty", opt.Out)
	}
	sim.schedule = newSchedule(sim.lab, &sim.opt)
	if err := sim.plant(); err != nil {
		return nil, err
	}
	sim.sensors = sim.newSensors()
	sim.names = newCache()
	// A slice holds about 40,000 records at most, so that memory stays bounded.
	sim.slice = 10 * minute
	if per := opt.Events / (int64(opt.Days) * 144); per > 40_000 {
		sim.slice = max(second, 10*minute*40_000/per)
	}
	return sim, nil
}

// logs tells the story slice by slice.
func (sim *simulation) logs() error {
	start, end := sim.opt.start(), sim.opt.end()
	count := int((end - start + sim.slice - 1) / sim.slice)
	sim.later = make([][]Session, count)
	shares := weights(start, sim.slice, count)
	background := max(0, float64(sim.opt.Events)-float64(sim.plantedRecords()))
	sim.draw = newDrawer(sim, background)
	sim.nat.every = uint64(max(1, sim.opt.Events/100_000))
	planted := 0
	carry := 0.0
	for i := range count {
		sim.from = start + int64(i)*sim.slice
		sim.to = min(sim.from+sim.slice, end)
		sim.now, sim.due = sim.now[:0], 0
		for planted < len(sim.planted) && sim.planted[planted].Start < sim.to {
			sim.now = append(sim.now, sim.planted[planted])
			planted++
		}
		want := background*shares[i] + carry
		sim.draw.fill(newRandom(sim.opt.Seed, 3, uint64(i)), int64(want))
		carry = want - float64(sim.due)
		if err := sim.tell(i); err != nil {
			return err
		}
	}
	for _, f := range sim.files {
		if err := f.close(); err != nil {
			return err
		}
	}
	return nil
}

// weights are the shares of the slices: more by day than by night, fewer on Sunday.
func weights(start, slice int64, count int) []float64 {
	out := make([]float64, count)
	sum := 0.0
	for i := range out {
		t := start + int64(i)*slice
		hourOfDay := float64(t%day) / float64(hour)
		w := 1 + 0.45*math.Sin((hourOfDay-8)*math.Pi/12)
		if time.Unix(0, t).UTC().Weekday() == time.Sunday {
			w *= 0.8
		}
		out[i] = w
		sum += w
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// add takes a background session into the slice if a sensor sees it.
func (sim *simulation) add(s Session) {
	if s.Start < sim.from || s.Start >= sim.to {
		return // the story keeps to its slice
	}
	sim.complete(&s)
	if s.sees == 0 {
		return
	}
	sim.due += s.records()
	sim.now = append(sim.now, s)
}

// complete fills in what follows from the rest: places, nodes, views, packets.
func (sim *simulation) complete(s *Session) {
	sim.seq++
	s.Seq = sim.opt.Seed<<44 + sim.seq
	s.from, s.to = placeOf(s.Src), placeOf(s.Dst)
	s.node = nodeOf(s.Src)
	if s.SrcPort == 0 && s.Proto != ICMP {
		s.SrcPort = uint16(32768 + mix(s.Seq^0x5bd1)%28232)
	}
	s.fill()
	s.sees = sim.on & sightOf(s)
}

// tell renders the sessions that begin or end in the slice, in order of time.
func (sim *simulation) tell(slice int) error {
	ending := sim.later[slice]
	sim.later[slice] = nil
	sim.moments = sim.moments[:0]
	for i := range sim.now {
		s := &sim.now[i]
		sim.nat.note(s)
		sim.moments = append(sim.moments, moment{s.Start, int32(i), false})
		switch end := s.End(); {
		case end < sim.to:
			sim.moments = append(sim.moments, moment{end, int32(i), true})
		case end < sim.opt.end() && s.sees&atEnd != 0:
			at := int((end - sim.opt.start()) / sim.slice)
			sim.later[at] = append(sim.later[at], *s)
		}
	}
	for i := range ending {
		sim.moments = append(sim.moments, moment{ending[i].End(), int32(len(sim.now) + i), true})
	}
	slices.SortFunc(sim.moments, func(a, b moment) int {
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		if a.idx != b.idx {
			return cmp.Compare(a.idx, b.idx)
		}
		if a.end == b.end {
			return 0
		} else if b.end {
			return -1
		}
		return 1
	})
	for _, m := range sim.moments {
		var s *Session
		if int(m.idx) < len(sim.now) {
			s = &sim.now[m.idx]
		} else {
			s = &ending[int(m.idx)-len(sim.now)]
		}
		for _, sensor := range sim.sensors {
			if s.sees&sensor.view() == 0 {
				continue
			}
			var err error
			if m.end {
				err = sensor.ended(s, m.at)
			} else {
				err = sensor.began(s, m.at)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// exports writes what lies beside the logs.
func (sim *simulation) exports() error {
	if err := sim.inventory(); err != nil {
		return err
	}
	return sim.truth.write(filepath.Join(sim.opt.Out, "truth.json"), sim)
}

// cache remembers which names a client has looked up lately.
type cache struct{ until map[cacheKey]int64 }

type cacheKey struct {
	client netip.Addr
	name   string
}

func newCache() *cache { return &cache{map[cacheKey]int64{}} }

// fresh reports whether the client knows the name at t; if not, it does from now on.
func (c *cache) fresh(client netip.Addr, name string, t int64) bool {
	const life = 5 * minute
	k := cacheKey{client, name}
	if since, ok := c.until[k]; ok && t >= since && t < since+life {
		return true
	}
	if len(c.until) > 200_000 {
		clear(c.until) // a resolver's cache is finite, too
	}
	c.until[k] = t
	return false
}
