package tui

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"firetrail"

	tea "charm.land/bubbletea/v2"
)

// slot tells the questions of one screen apart; a new question takes the place of
// the one in the same slot.
type slot uint8

const (
	slotPage slot = iota
	slotOverview
	slotQuery
	slotRow
	slotComplete
	slots
)

// asks is what a screen has asked the store. The zero value has asked nothing.
type asks struct {
	id      int
	seq     [slots]int
	cancel  [slots]context.CancelFunc
	pending [slots]bool
}

func (a *asks) base() *asks { return a }

// answer is what became of a question.
type answer struct {
	screen, seq int
	slot        slot
	value       any
	err         error
	took        time.Duration
}

// ask makes a command of a question and ends the one that was in its slot.
func (a *asks) ask(s slot, question func(context.Context) (any, error)) tea.Cmd {
	a.drop(s)
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel[s], a.pending[s] = cancel, true
	id, seq := a.id, a.seq[s]
	return func() tea.Msg {
		start := time.Now()
		value, err := question(ctx)
		return answer{id, seq, s, value, err, time.Since(start)}
	}
}

// drop ends the question in a slot; its answer will not be taken.
func (a *asks) drop(s slot) {
	if a.cancel[s] != nil {
		a.cancel[s]()
	}
	a.cancel[s], a.pending[s] = nil, false
	a.seq[s]++
}

// stop ends all questions.
func (a *asks) stop() {
	for s := range slots {
		a.drop(s)
	}
}

// stands reports whether an answer is to a question of this screen that was not
// replaced, and closes the question.
func (a *asks) stands(m answer) bool {
	if m.screen != a.id || m.seq != a.seq[m.slot] || !a.pending[m.slot] {
		return false
	}
	a.pending[m.slot] = false
	a.cancel[m.slot]()
	a.cancel[m.slot] = nil
	return true
}

// COMMANDS. What follows runs beside the screens and sees only the values it was given.

func readFacts(s Store) tea.Cmd {
	return func() tea.Msg {
		f := &facts{findings: map[string]*firetrail.Finding{}}
		var err error
		if f.results, f.made, err = s.Results(); err != nil {
			return factsRead{nil, err}
		}
		f.sources = s.Sources()
		for i := range f.results.Findings {
			f.findings[f.results.Findings[i].ID] = &f.results.Findings[i]
		}
		for _, src := range f.sources {
			f.events += src.Counts.Events
			f.rejected += src.Counts.Rejected
		}
		return factsRead{f, nil}
	}
}

// readInventory reads the runs and their tool calls, which take longer than all else and
// are not on the first screen.
func readInventory(s Store) tea.Cmd {
	return func() tea.Msg {
		inv, err := s.Inventory()
		return inventoryRead{inv, err}
	}
}

// pageRows is how many events are asked for at once.
const pageRows = 256

// pageRead is a part of a result: events from offset on.
type pageRead struct {
	offset int
	events []firetrail.Event
}

func page(s Store, q firetrail.Query, p Page) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		list, err := s.Page(ctx, q, p)
		return pageRead{p.Offset, list}, err
	}
}

func overview(s Store, q firetrail.Query, columns int) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) { return s.Overview(ctx, q, columns) }
}

// rowFound is the place of the first event at or after a time.
type rowFound struct {
	row int64
	at  int64
}

// rowAt asks for the place of a time.
func rowAt(s Store, q firetrail.Query, at int64) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		row, err := s.Row(ctx, q, at)
		return rowFound{row, at}, err
	}
}

// dayBefore asks for the first event of the day of the event before a row.
func dayBefore(s Store, q firetrail.Query, row int, zone *time.Location) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		list, err := s.Page(ctx, q, Page{Fields: []string{"time"}, Offset: max(row-1, 0), Limit: 1})
		if err != nil || len(list) == 0 || list[0].Time == firetrail.Absent {
			return rowFound{0, firetrail.Absent}, err
		}
		at := midnight(zone, list[0].Time, 0)
		found, err := s.Row(ctx, q, at)
		return rowFound{found, at}, err
	}
}

// completed is what can stand at the end of a text that was typed.
type completed struct {
	from int // runes in front of it
	list []string
}

func complete(s Store, text string) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		from, list, err := s.Complete(ctx, text)
		if err != nil {
			return nil, err
		}
		return completed{utf8.RuneCountInString(text[:from]), list}, nil
	}
}

// queryRead is a query that was understood and its first page.
type queryRead struct {
	query  firetrail.Query
	text   string
	first  pageRead
	cursor int // row to begin at
}

// runQuery reads and runs a query; it fails where either does.
func runQuery(s Store, text string, fields []string) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		q, err := s.Parse(text)
		if err != nil {
			return nil, err
		}
		return firstPage(ctx, s, q, fields)
	}
}

// tryQuery runs a query that was built here.
func tryQuery(s Store, q firetrail.Query, fields []string) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) { return firstPage(ctx, s, q, fields) }
}

func firstPage(ctx context.Context, s Store, q firetrail.Query, fields []string) (any, error) {
	list, err := s.Page(ctx, q, Page{Fields: fields, Limit: pageRows})
	if err != nil {
		return nil, err
	}
	return queryRead{query: q, text: s.Print(q), first: pageRead{0, list}}, nil
}

// around finds an event among those of its surroundings: what is recorded within
// a minute of it, or, where it is undated, the lines about it.
func around(s Store, ev firetrail.Event, fields []string) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		q, n := surroundings(&ev), int64(0)
		if ev.Time != firetrail.Absent {
			var err error
			if n, err = s.Row(ctx, q, ev.Time); err != nil {
				return nil, err
			}
		}
		// Events of the same instant lie before it, too: look for it from there on.
		for at := int(n) / pageRows * pageRows; ; at += pageRows {
			list, err := s.Page(ctx, q, Page{Fields: fields, Offset: at, Limit: pageRows})
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(list, func(o firetrail.Event) bool { return o.Source == ev.Source && o.Offset == ev.Offset })
			if i >= 0 || len(list) < pageRows {
				return queryRead{query: q, text: s.Print(q), first: pageRead{at, list}, cursor: at + max(i, 0)}, nil
			}
		}
	}
}

// recordRead is an event with its bytes.
type recordRead struct {
	event  firetrail.Event
	raw    []byte
	source firetrail.Source
	sum    string
	rawErr error // why there are no bytes
}

func readRecord(s Store, id string) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		ev, err := s.Event(ctx, id)
		if err != nil {
			return nil, err
		}
		r := recordRead{event: ev}
		r.raw, r.source, r.rawErr = s.Raw(ev.Origin)
		sum := sha256.Sum256(r.raw)
		r.sum = hex.EncodeToString(sum[:])
		return r, nil
	}
}

// surroundings selects what lies around an event.
func surroundings(ev *firetrail.Event) firetrail.Query {
	if ev.Time == firetrail.Absent {
		return firetrail.And(firetrail.Exactly("source", ev.Source),
			firetrail.Between("line", fmt.Sprint(max(ev.Line-50, 1)), fmt.Sprint(ev.Line+50)),
			firetrail.Not(firetrail.Query{Op: firetrail.OpMatch, Field: "time", Match: firetrail.MatchHas}))
	}
	const minute = int64(time.Minute)
	return firetrail.During(ev.Time-minute, ev.Time+minute)
}
