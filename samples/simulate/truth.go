package simulate

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"firetrail"
)

// What a correlation is expected to do with a planted behaviour.
const (
	ExpectReport  = "report"  // it must be found
	ExpectSilence = "silence" // it is known and wanted: a finding is wrong
	ExpectAny     = "any"     // a finding is right, and so is none
)

// Truth is what truth.json holds.
type Truth struct {
	Seed    uint64    `json:"seed"`
	Events  int64     `json:"events"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Sensors []string  `json:"sensors"`
	Planted []Planted `json:"planted"`
}

// Planted is one behaviour that was put into the story. Start and End are true
// times; First and Last are the recorded times of its lines, on the clocks of
// the sensors that saw it.
type Planted struct {
	ID           int          `json:"id"`
	Scenario     string       `json:"scenario"` // "reverse_ssh:loud"
	Class        string       `json:"class"`    // the detector that must find it
	Also         []string     `json:"also"`     // detectors that may, rightly
	Expect       string       `json:"expect"`
	Run          *string      `json:"run"`   // who did it, null for none
	Calls        []string     `json:"calls"` // ids of the tool calls
	Sources      []netip.Addr `json:"sources"`
	Outside      []netip.Addr `json:"outside"`          // what the sources are translated to
	Relays       []netip.Addr `json:"relays,omitempty"` // who passed it on in good faith
	Targets      []netip.Addr `json:"targets"`
	Ports        []uint16     `json:"ports"`
	Start        time.Time    `json:"start"`
	End          time.Time    `json:"end"`
	First        *time.Time   `json:"first"`
	Last         *time.Time   `json:"last"`
	Open         bool         `json:"open"` // goes on after the end of the logs
	Cause        string       `json:"cause"`
	Attributable bool         `json:"attributable"`
	Why          string       `json:"why"` // it can or cannot be attributed
	Records      int64        `json:"records"`
	Failures     int64        `json:"failures"` // records that say that the contact was refused or unanswered
	Testable     bool         `json:"testable"` // the records can show a behaviour of the class
	own          int64        // records of its sources, not of those who passed it on
	Kinds        []string     `json:"kinds"` // families that recorded it
	Lines        []FileLines  `json:"lines"`
}

// FileLines are the lines of one file, packets of a capture.
type FileLines struct {
	File  string  `json:"file"`
	Lines []int64 `json:"lines"`
}

// truth collects what was planted while it is written.
type truth struct {
	items       []Planted
	first, last []int64
}

// line notes that a record of the n-th behaviour stands in the file.
func (t *truth) line(n int32, file string, line, at int64, kind string, s *Session) {
	p := &t.items[n-1]
	p.Records++
	if tellsFailure(s, kind, file) {
		p.Failures++
	}
	if !slices.Contains(p.Relays, s.Src) {
		p.own++
	}
	if k := len(p.Lines); k == 0 || p.Lines[k-1].File != file {
		i := slices.IndexFunc(p.Lines, func(l FileLines) bool { return l.File == file })
		if i < 0 {
			p.Lines = append(p.Lines, FileLines{File: file})
			i = len(p.Lines) - 1
		}
		// The file at hand is kept last: most lines follow each other.
		p.Lines[i], p.Lines[len(p.Lines)-1] = p.Lines[len(p.Lines)-1], p.Lines[i]
	}
	l := &p.Lines[len(p.Lines)-1]
	l.Lines = append(l.Lines, line)
	if p.Records == 1 {
		t.first[n-1], t.last[n-1] = at, at
	}
	t.first[n-1], t.last[n-1] = min(t.first[n-1], at), max(t.last[n-1], at)
	if kind != "reordered" && !slices.Contains(p.Kinds, kind) {
		p.Kinds = append(p.Kinds, kind)
	}
}

// write stores truth.json.
func (t *truth) write(path string, sim *simulation) error {
	out := Truth{Seed: sim.opt.Seed, Events: sim.events, Start: utc(sim.opt.start()), End: utc(sim.opt.end()), Sensors: sim.opt.Sensors, Planted: t.items}
	for i := range t.items {
		p := &t.items[i]
		if p.Records > 0 {
			first, last := utc(t.first[i]), utc(t.last[i])
			p.First, p.Last = &first, &last
		}
		p.Testable = p.testable()
		if p.Records > 0 && p.own == 0 {
			p.Attributable, p.Why = false, "only those who passed it on were recorded: nothing says who asked them"
		}
		slices.Sort(p.Kinds)
		slices.SortFunc(p.Lines, func(a, b FileLines) int {
			if a.File < b.File {
				return -1
			}
			return 1
		})
		for _, l := range p.Lines {
			slices.Sort(l.Lines)
		}
		p.Open = p.End.After(out.End)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	enc := json.NewEncoder(w)
	if err := enc.Encode(&out); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// testable reports whether the records say enough for the class: packet filters
// know no bytes and no names, and what one of them passed another may have refused.
func (p *Planted) testable() bool {
	sessions := slices.Contains(p.Kinds, "zeek.conn") || slices.Contains(p.Kinds, "paloalto.traffic")
	switch p.Class {
	case "policy_burst", "refused_egress", "internal_sweep", "port_scan", "first_contact":
		return p.Failures > 0
	case "bulk_egress", "protocol_mismatch":
		return sessions
	case "dns_tunnel":
		return slices.Contains(p.Kinds, "zeek.dns")
	}
	return p.Records > 0
}

// tellsFailure reports whether a record of the kind says that the contact failed.
func tellsFailure(s *Session, kind, path string) bool {
	switch kind {
	case "iptables":
		return s.Stop == atHost
	case "pf":
		return s.Stop == atRouter || s.Stop == atEdge && strings.Contains(path, "pflog")
	case "paloalto.traffic":
		return !s.spoke()
	case "zeek.conn":
		return !s.spoke()
	}
	return false
}

func utc(t int64) time.Time { return time.Unix(0, t).UTC() }

// ReadTruth reads truth.json.
func ReadTruth(path string) (Truth, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Truth{}, err
	}
	var t Truth
	if err := json.Unmarshal(data, &t); err != nil {
		return Truth{}, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// bounds of a behaviour in nanoseconds: recorded where it was recorded.
func (p *Planted) bounds() (first, last int64) {
	first, last = p.Start.UnixNano(), p.End.UnixNano()
	if p.First != nil {
		first = p.First.UnixNano()
	}
	if p.Last != nil {
		last = p.Last.UnixNano()
	}
	return first, max(last, first)
}

// causes of behaviours.
const (
	causeAgent  = firetrail.VerdictAgent
	causeHost   = firetrail.VerdictHost
	causeConfig = firetrail.VerdictMisconfiguration
)
