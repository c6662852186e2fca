// Package detect turns the flows and events of a case into findings: one file a
// detector, one ordered list, All. It asks a View in phases and keeps memory by
// source and by candidate, never by event:
//
//  0. names: the events that name a host which some detector (or the allow list)
//     has in its table, so that addresses can be called by name;
//  1. candidates: one pass over the flows in key order; the flows of one source,
//     destination, port and protocol make a Channel, whatever sensors saw it. What a
//     detector leaves out here could never have become a finding;
//  2. scores: the traffic of all candidates in one pass in time order, folded into
//     Sessions, so that a connection which several sensors recorded is counted once.
//
// A detector follows maxCandidates candidates at most, and says so where it had more.
//
// Scores are sums of named parts (firetrail.Part); see Severity for their scale.
package detect

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"firetrail"
)

// View is what detectors ask of a store. Flows come in key order, events in the
// total order of firetrail.Compare; both values are valid until the next, the text of
// events for as long as it is needed. The other fields than those that are named may be
// missing.
type View interface {
	Flows(context.Context, firetrail.Query) iter.Seq2[*firetrail.Flow, error]
	Events(ctx context.Context, q firetrail.Query, fields ...string) iter.Seq2[*firetrail.Event, error]
	Traffic(ctx context.Context, list []firetrail.Traffic, fields ...string) iter.Seq2[*firetrail.Event, error]
}

// Config says how a case is to be judged. The zero value works: internal
// networks are assumed, nothing is allowed, every detector runs.
type Config struct {
	Internal   []netip.Prefix     // our own networks; nil: DefaultInternal
	Sandboxes  []netip.Prefix     // addresses of pods and sandboxes, where known
	Held       []netip.Addr       // addresses that runs held at some time
	Bastions   []netip.Addr       // SSH gateways that people are meant to use
	NAT        []firetrail.NAT    // translations, so that what was seen behind one is not told twice
	Allow      []firetrail.Allow  // known and wanted traffic
	Only       []string           // names of detectors; nil: all
	End        int64              // end of the data; 0 or Absent: the latest flow
	Thresholds map[string]float64 // "ssh_tunnel.long" → value in place of the default
}

// Result is what the detectors say.
type Result struct {
	Findings   []firetrail.Finding // by start, then id
	Suppressed []firetrail.Suppressed
	Untestable []firetrail.Untestable
	Parameters []string // the settings in force, as "name value"
	Undated    int64    // events of candidates that have no time and were not judged
}

// Setting is one threshold of a detector.
type Setting struct {
	Name  string
	Value float64
	Doc   string // what it bounds, with its unit
}

// Detector is one way of looking. A new one is a file with a Detector value and
// a word in All.
type Detector struct {
	Name     string
	Title    string // what it finds, in a few words
	Doc      string // how it decides, and where the thresholds come from
	Attack   []string
	Needs    []Need // each must be met by some record of the case
	Defaults []Setting
	Names    []string // DNS suffixes that it tells of, also where they are only looked up
	Known    []string // DNS suffixes by which it wants addresses to be called, and no more
	Labels   []string // words of DNS names (between dots, hyphens, underscores; digits behind them do not count)
	Words    []string // words of alarms (IDS messages, threat names) it wants to see
	New      func(*Lab, *Detector) State

	limits map[string]float64 // the settings in force, of those at work
}

// State is a detector at work on one case. The engine calls Channel for every
// channel in key order, then Wants once, then Session for the sessions of all traffic
// that any detector wanted, by start, then Findings once. At Wants the visitors of all
// peers are known. A State must ignore what it did not want, and must not keep a Channel
// or a Session: both are used again. Wants may come in any order; drafts must come in a
// fixed one.
type State interface {
	Channel(*Channel)
	Wants() []firetrail.Traffic
	Session(*Session)
	Findings() []*Draft
}

// reader is a State that reads events for itself, after the flows and before the
// sessions.
type reader interface {
	Read(context.Context, View) error
}

// All are the detectors in the order in which they are listed. Read-only.
var All = []Detector{
	policyBurst, sshTunnel, mining, internalSweep, portScan, metadataAccess, bulkEgress, tunnelService,
	longSession, refusedEgress, dnsTunnel, beacon, protocolMismatch, icmpTunnel, overlayVPN, tor, firstContact,
}

// Named finds a detector.
func Named(name string) (Detector, bool) {
	for _, d := range All {
		if d.Name == name {
			return d, true
		}
	}
	return Detector{}, false
}

// Run judges a case. It reads the view a bounded number of times and stops at
// the first error, which it returns wrapped.
func Run(ctx context.Context, view View, cfg Config) (Result, error) {
	return run(ctx, view, cfg, false)
}

// run judges a case; with all set, amounts do not keep any channel from being a candidate.
func run(ctx context.Context, view View, cfg Config, all bool) (Result, error) {
	chosen, err := choose(cfg.Only)
	if err != nil {
		return Result{}, err
	}
	if err := checkThresholds(cfg.Thresholds); err != nil {
		return Result{}, err
	}
	lab := newLab(cfg)
	lab.all = all
	if err := lab.readNames(ctx, view, chosen); err != nil {
		return Result{}, fmt.Errorf("names: %w", err)
	}
	states := make([]State, len(chosen))
	for i := range chosen {
		chosen[i].settle(cfg.Thresholds)
		states[i] = chosen[i].New(lab, &chosen[i])
	}
	if err := lab.readChannels(ctx, view, states); err != nil {
		return Result{}, fmt.Errorf("flows: %w", err)
	}
	for _, s := range states {
		if r, ok := s.(reader); ok {
			if err := r.Read(ctx, view); err != nil {
				return Result{}, fmt.Errorf("events: %w", err)
			}
		}
	}
	if err := lab.readSessions(ctx, view, gather(states), states); err != nil {
		return Result{}, fmt.Errorf("events: %w", err)
	}
	return lab.conclude(ctx, view, chosen, states)
}

// choose picks the named detectors in the order of All.
func choose(only []string) ([]Detector, error) {
	for _, name := range only {
		if _, ok := Named(name); !ok {
			return nil, fmt.Errorf("no detector is called %q", name)
		}
	}
	var out []Detector
	for _, d := range All {
		if len(only) == 0 || slices.Contains(only, d.Name) {
			out = append(out, d)
		}
	}
	return out, nil
}

func checkThresholds(given map[string]float64) error {
	known := map[string]bool{}
	for _, d := range All {
		for _, s := range d.Defaults {
			known[d.Name+"."+s.Name] = true
		}
	}
	var errs []error
	for _, name := range sortedKeys(given) {
		if !known[name] {
			errs = append(errs, fmt.Errorf("no threshold is called %q", name))
		}
	}
	return errors.Join(errs...)
}

// conclude collects drafts, folds post-NAT doubles, names peers, applies the allow
// list and finishes findings in a fixed order.
func (l *Lab) conclude(ctx context.Context, view View, chosen []Detector, states []State) (Result, error) {
	res := Result{Parameters: l.parameters(chosen), Undated: l.undated}
	var drafts []*Draft
	for i, d := range chosen {
		if reason := l.untestable(&d); reason != "" {
			res.Untestable = append(res.Untestable, firetrail.Untestable{Detector: d.Name, Reason: reason})
			continue
		}
		for _, draft := range states[i].Findings() {
			draft.detector = &chosen[i]
			drafts = append(drafts, draft)
		}
	}
	drafts = l.foldNAT(drafts)
	if err := l.callByName(ctx, view, drafts); err != nil {
		return Result{}, fmt.Errorf("peers' names: %w", err)
	}
	drafts, res.Suppressed = l.allow(drafts)
	for _, d := range drafts {
		res.Findings = append(res.Findings, d.finish(l))
	}
	slices.SortFunc(res.Findings, compareFindings)
	return res, nil
}
