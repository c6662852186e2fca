package tui

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"firetrail"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden screens")

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// screenText is what a person sees, without styles.
func screenText(m *model) string {
	var b strings.Builder
	for _, l := range m.draw() {
		b.WriteString(strings.TrimRight(ansi.Strip(l), " ") + "\n")
	}
	return b.String()
}

func TestGoldenScreens(t *testing.T) {
	nothing := &fake{}
	uncorrelated := night(50)
	uncorrelated.made, uncorrelated.results, uncorrelated.inventory = false, firetrail.Results{}, firetrail.Inventory{}
	clean := night(50)
	clean.results.Incidents, clean.results.Findings = nil, nil
	gone := night(50)
	delete(gone.raw, 0)
	tests := []struct {
		name string
		f    *fake
		keys []string
	}{
		{"no_logs", nothing, nil},
		{"no_logs_events", nothing, []string{"2"}},
		{"not_correlated", uncorrelated, nil},
		{"nothing_found", clean, nil},
		{"incidents", night(1000), nil},
		{"incident", night(1000), []string{"enter"}},
		{"incident_end", night(1000), []string{"enter", "G"}},
		{"finding", night(1000), []string{"enter", "tab", "tab", "tab", "enter"}},
		{"record", night(1000), []string{"enter", "tab", "tab", "enter"}},
		{"record_hex", night(1000), []string{"enter", "tab", "tab", "enter", "x"}},
		{"record_gone", gone, []string{"2", "enter"}},
		{"events", night(1000), []string{"2", "j", "j", "l", "l"}},
		{"events_right", night(1000), []string{"2", "l", "l", "l", "l", "l", "l", "l", "l", "l"}},
		{"events_end", night(1000), []string{"2", "G"}},
		{"events_typing", night(1000), []string{"2", "/", "text:dst_port:22"}},
		{"events_wrong", night(1000), []string{"2", "/", "text:dst_port:22 AND rule:", "enter"}},
		{"events_query", night(1000), []string{"2", "/", "text:dst_port:22", "enter", "j"}},
		{"events_none", night(1000), []string{"2", "/", "text:dst_port:1", "enter"}},
		{"events_complete", night(1000), []string{"2", "/", "text:dst", "tab"}},
		{"events_complete_one", night(1000), []string{"2", "/", "text:dst_port:22 ru", "tab", "text:w", "tab"}},
		{"events_time", night(1000), []string{"2", "@", "text:2026-03-01T03:00:00Z", "enter"}},
		{"events_time_wrong", night(1000), []string{"2", "@", "text:noon", "enter"}},
		{"values", night(1000), []string{"2", "l", "l", "v", "j"}},
		{"values_only", night(1000), []string{"2", "l", "l", "v", "j", "enter"}},
		{"values_none", night(1000), []string{"2", "/", "text:dst_port:1", "enter", "v"}},
		{"events_around", night(1000), []string{"2", "G", "a"}},
		{"runs", night(1000), []string{"3"}},
		{"run", night(1000), []string{"3", "j", "enter"}},
		{"help", night(1000), []string{"2", "?"}},
	}
	for _, size := range [][2]int{{80, 24}, {140, 40}} {
		for _, test := range tests {
			name := fmt.Sprintf("%s_%dx%d", test.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				m := opened(test.f, size[0], size[1])
				press(m, test.keys...)
				got := screenText(m)
				path := filepath.Join("testdata", name+".golden")
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// fits checks that a screen is exactly as large as the window and holds no control
// characters but our own styles.
func fits(t *testing.T, m *model) {
	t.Helper()
	lines := m.draw()
	if len(lines) != m.height {
		t.Fatalf("%d lines at %d×%d", len(lines), m.width, m.height)
	}
	for _, l := range lines {
		if w := ansi.StringWidth(l); w > m.width {
			t.Fatalf("a line of %d cells at %d×%d: %q", w, m.width, m.height, l)
		}
		for _, r := range style1.ReplaceAllString(l, "") {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
				t.Fatalf("%q on the screen: %q", r, l)
			}
		}
	}
}

var style1 = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// walk is a way through every screen.
var walk = []string{"tab", "enter", "tab", "tab", "tab", "enter", "G", "k", "shift+tab", "g", "tab", "enter", "x", "pgdown", "a", "l", "l", "l", "F", "esc", "enter", "tab", "f", "s", "?", "q",
	"2", "/", "text:dst_port:22", "enter", "G", "h", "f", "i", "i", "s", "s", "/", "text:x:", "enter", "esc", "ctrl+x", "v", "j", "F", "v", "G", "enter", "]", "[", "d", "D",
	"@", "text:2026-03-01T02:20:00Z", "enter", "/", "text:dst", "tab", "text:x", "esc", "3", "j", "enter", "tab", "tab", "enter", "e", "1", "q", "q", "q"}

func TestEverySizeFits(t *testing.T) {
	for _, size := range [][2]int{{20, 5}, {1, 1}, {0, 0}, {40, 10}, {79, 24}, {80, 23}, {80, 24}, {100, 30}, {200, 60}, {300, 80}} {
		m := opened(night(300), size[0], size[1])
		fits(t, m)
		for _, k := range walk {
			press(m, k)
			fits(t, m)
		}
	}
}

func FuzzResize(f *testing.F) {
	f.Add([]byte{20, 5, 0, 1, 2, 3, 80, 24, 7})
	f.Add([]byte("resize me while I walk"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := opened(night(70), 80, 24)
		for i, b := range data[:min(len(data), 120)] {
			if b%4 == 0 {
				w, h := int(b)*300/255, int(data[(i+1)%len(data)])*80/255
				settle(m, func() tea.Msg { return tea.WindowSizeMsg{Width: w, Height: h} })
			} else {
				press(m, walk[int(b)%len(walk)])
			}
			fits(t, m)
		}
	})
}

func TestHostileTextIsInert(t *testing.T) {
	bad := "\x1b[2J\x1b]0;owned\a\x9b31m\u202e\u200b\xff\x00日本語é\u0301👩‍👩‍👧‍👦" + strings.Repeat("Ｗ", 200)
	f := night(60)
	for i := range f.results.Findings {
		r := &f.results.Findings[i]
		r.Title, r.Host, r.Detector, r.Benign, r.Attack = bad, bad, bad, []string{bad}, []string{bad}
		r.Why[0].Text, r.Why[0].Part, r.Candidates[0].Reasons[0], r.Against[0], r.Calls[0].Args = bad, bad, bad, bad, bad
		for k := range r.Evidence {
			r.Evidence[k].Path, r.Evidence[k].Note, r.Evidence[k].Raw = bad, bad, []byte(bad)
		}
	}
	for i := range f.results.Incidents {
		inc := &f.results.Incidents[i]
		inc.Title, inc.Unattributed, inc.Cause.Verdict, inc.Cause.Facts, inc.Unseen, inc.Elsewhere = bad, bad, bad, []string{bad}, []string{bad}, []string{bad}
		inc.Targets = []firetrail.Target{{Host: bad, Port: 1}}
		for k := range inc.Phases {
			inc.Phases[k].Name = bad
		}
	}
	f.results.Reasons = []string{bad}
	for i := range f.inventory.Runs {
		r := &f.inventory.Runs[i]
		r.Name, r.Family, r.User, r.Aliases, r.Extra = bad, bad, bad, []string{bad}, []firetrail.Field{{Name: bad, Value: bad}}
	}
	f.inventory.Calls[0].Args = bad
	for i := range f.list {
		e := &f.list[i]
		e.Host, e.Rule, e.Action, e.Sensor, e.URL = bad, bad, bad, bad, bad
		e.Put(bad, bad)
		f.raw[e.Offset] = []byte(bad)
	}
	f.sources[0].Path = bad
	for _, size := range [][2]int{{80, 24}, {140, 40}, {30, 10}} {
		m := opened(f, size[0], size[1])
		for _, k := range walk {
			press(m, k)
			fits(t, m)
		}
	}
	f.fail = errors.New(bad)
	m := opened(f, 80, 24)
	press(m, "2", "/", "text:a:b", "enter")
	fits(t, m)
}

// However deep one goes, the way back shows every screen as it was left.
func TestBackToTheVeryRow(t *testing.T) {
	moves := []string{"j", "k", "pgdown", "pgup", "G", "g", "j", "j", "l", "h", "tab"}
	deeper := []string{"enter", "e", "f", "F", "a", "v", "?"}
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := opened(night(900), 80+int(seed), 24+int(seed)%20)
		press(m, fmt.Sprint(1+seed%3))
		depth := func() int { return len(m.views[m.view]) }
		var seen []string
		for len(seen) < 20 {
			for range r.IntN(8) {
				press(m, moves[r.IntN(len(moves))])
			}
			m.note = ""
			before, at := screenText(m), depth()
			press(m, deeper[r.IntN(len(deeper))])
			if depth() == at {
				e, ok := m.top().(*events)
				v, none := m.top().(*values)
				if m.top().kind() == kindHelp || ok && e.total == 0 || none && v.rows() == 0 {
					press(m, "esc")
					seen = seen[:len(seen)-1]
				}
				continue
			}
			seen = append(seen, before)
		}
		for i := len(seen) - 1; i >= 0; i-- {
			press(m, "esc")
			if diff := cmp.Diff(seen[i], screenText(m)); diff != "" {
				t.Fatalf("seed %d, level %d of 20 came back different:\n%s", seed, i, diff)
			}
		}
		if depth() != 1 {
			t.Fatalf("seed %d: %d screens are left", seed, depth())
		}
	}
}

// Every key of the help does something on every screen that lists it.
func TestNoDeadKeys(t *testing.T) {
	// ways lead to a screen of each kind, the cursor where there is something on both sides of it.
	ways := map[kind][]string{
		kindIncidents: {"tab"},
		kindIncident:  {"enter", "tab", "tab", "tab"},
		kindFinding:   {"enter", "tab", "tab", "tab", "enter", "tab", "tab"},
		kindRecord:    {"2", "enter", "pgdown", "tab"},
		kindEvents:    {"2", "/", "text:proto:tcp", "enter", "pgdown", "l", "l"},
		kindRuns:      {"3", "j", "k"},
		kindRun:       {"3", "j", "enter", "tab", "tab"},
		kindHelp:      {"2", "?", "j", "j"},
		kindValues:    {"2", "l", "l", "l", "v", "j"},
	}
	f := night(600)
	for k, way := range ways {
		for _, b := range bindings {
			if b.in&k == 0 {
				continue
			}
			for _, key := range b.keys {
				m := opened(f, 80, 24)
				press(m, way...)
				if got := m.top().kind(); got != k {
					t.Fatalf("%v leads to %v, want %v", way, got, k)
				}
				if b.act == actUp && k == kindRuns {
					press(m, "j")
				}
				m.note = ""
				before := screenText(m)
				cmd := m.key(keyOf(key))
				if b.act == actQuit || b.act == actSuspend {
					if cmd == nil {
						t.Errorf("%s on kind %d: no command", key, k)
					}
					continue
				}
				quit := settle(m, cmd)
				same := quit || m.view == int(b.act-actView1) && b.act >= actView1 && b.act <= actView3
				if screenText(m) == before && !same && !atEdge(m, b.act) {
					t.Errorf("%q (%s) on kind %d changes nothing", key, b.does, k)
				}
			}
		}
	}
}

// atEdge reports whether a screen has no further place to go to.
func atEdge(m *model, a action) bool {
	d, ok := m.top().(*document)
	if !ok {
		return false
	}
	switch a {
	case actUp, actPageUp, actTop:
		return d.cursor == 0
	case actDown, actPageDown, actBottom:
		return d.cursor == len(d.items)-1
	}
	return false
}

func TestLateAnswersAreDropped(t *testing.T) {
	m := opened(night(5000), 80, 24)
	press(m, "2")
	e := m.top().(*events)
	down := m.key(keyOf("G"))
	up := m.key(keyOf("g"))
	settle(m, up)
	press(m, "j")
	before := screenText(m)
	late := down().(answer)
	if _, cmd := m.Update(late); cmd != nil || screenText(m) != before {
		t.Error("the answer to a question that was replaced changed the screen")
	}
	if e.cursor != 1 {
		t.Errorf("cursor at %d, want 1", e.cursor)
	}
}

func TestQuestionsEndWithTheirScreen(t *testing.T) {
	a := &asks{id: 1}
	var ctx context.Context
	cmd := a.ask(slotPage, func(c context.Context) (any, error) { ctx = c; return nil, c.Err() })
	a.ask(slotOverview, func(context.Context) (any, error) { return nil, nil })
	a.stop()
	msg := cmd().(answer)
	if ctx.Err() == nil || !errors.Is(msg.err, context.Canceled) || a.stands(msg) {
		t.Errorf("context %v, answer %v stands %v", ctx.Err(), msg.err, a.stands(msg))
	}
}

// However one moves, the rows in sight are those of the result, and few pages are held.
func TestTableShowsTheResult(t *testing.T) {
	f := night(20000)
	m := opened(f, 100, 30)
	press(m, "2")
	r := rand.New(rand.NewPCG(1, 2))
	e := m.top().(*events)
	for range 3000 {
		press(m, []string{"j", "k", "pgdown", "pgup", "pgdown", "pgdown", "G", "g", "pgdown"}[r.IntN(9)])
		for i := e.top; i < e.top+e.height; i++ {
			ev := e.table.at(i)
			if ev == nil || ev.Offset != f.list[i].Offset {
				t.Fatalf("row %d is %v", i, ev)
			}
		}
		if e.cursor < e.top || e.cursor >= e.top+e.height || len(e.table.pages) > mostPages {
			t.Fatalf("cursor %d, top %d, %d pages", e.cursor, e.top, len(e.table.pages))
		}
	}
}

// Times are gone to by row, whatever page they are on.
func TestGoingThroughTime(t *testing.T) {
	f := night(20000) // an event each 10 s from 02:14:05 on
	m := opened(f, 140, 40)
	press(m, "2")
	e := m.top().(*events)
	for _, step := range []struct {
		key  string
		want string
	}{{"d", "2026-03-02 00:00:05"}, {"d", "2026-03-03 00:00:05"}, {"d", "2026-03-03 09:47:15"}, {"D", "2026-03-03 00:00:05"}, {"D", "2026-03-02 00:00:05"}, {"D", "2026-03-01 02:14:05"}} {
		press(m, step.key)
		if got := m.second(e.table.at(e.cursor).Time); got != step.want {
			t.Errorf("%s leads to %s, want %s; %s", step.key, got, step.want, m.note)
		}
	}
	press(m, "@", "text:2026-03-02T12:00:00Z", "enter")
	if got := m.second(e.table.at(e.cursor).Time); got != "2026-03-02 12:00:05" || e.editing {
		t.Errorf("at %s", got)
	}
	press(m, "s", "d")
	if e.sort != "" && m.note == "" {
		t.Error("sorted by another field, and no word about time")
	}
}

func TestBurst(t *testing.T) {
	var strip []Bucket
	for i, n := range []int64{1, 9, 8, 0, 1, 7, 0, 0} {
		strip = append(strip, Bucket{Start: int64(i * 10), End: int64(i*10 + 10), Count: n})
	}
	for _, c := range []struct {
		at      int64
		forward bool
		want    int64 // -1 none
	}{{0, true, 10}, {10, true, 50}, {50, true, -1}, {79, false, 50}, {50, false, 10}, {25, false, 10}, {15, false, -1}, {firetrail.Absent, true, 10}} {
		got, ok := burst(strip, c.at, c.forward)
		if !ok {
			got = -1
		}
		if got != c.want {
			t.Errorf("from %d, forward %v: %d, want %d", c.at, c.forward, got, c.want)
		}
	}
	if _, ok := burst(nil, 0, true); ok {
		t.Error("a burst of nothing")
	}
}

func TestWrongQueryKeepsTheResult(t *testing.T) {
	m := opened(night(100), 80, 24)
	press(m, "2", "j", "j", "/", "text:dst_port:22 AND nonsense", "enter")
	text := screenText(m)
	for _, want := range []string{"dst_port:22 AND nonsense", strings.Repeat(" ", len("query: dst_port:22 AND ")) + "^", "expected a value", "203.0.113.9"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	press(m, "esc")
	if e := m.top().(*events); e.text != "*" || e.cursor != 2 || len(m.views[1]) != 1 {
		t.Errorf("query %q, row %d, %d screens", e.text, e.cursor, len(m.views[1]))
	}
}

// A strip's bars and its words count the same events, refused ones included.
func TestStripCounts(t *testing.T) {
	f := night(1000)
	m := opened(f, 140, 40)
	press(m, "2")
	e := m.top().(*events)
	all, refused := int64(0), int64(0)
	for _, b := range e.strip {
		all, refused = all+b.Count, refused+b.Denied
	}
	if all != 1000 || refused != 334 {
		t.Errorf("%d events, %d refused", all, refused)
	}
	if text := screenText(m); !strings.Contains(text, "334 refused") {
		t.Error(text)
	}
	few := []Bucket{{Count: 1_000_000}, {Count: 1}, {Count: 0}}
	if got := barRow(few, 1_000_000, 2, 0, func(b Bucket) int64 { return b.Count }); got != "█▁ " {
		t.Errorf("bars %q: one event must be seen, none must not", got)
	}
}

// panicky fails where no error is expected.
type panicky struct{ *fake }

func (panicky) Results() (firetrail.Results, bool, error) { panic("broken") }

// The terminal is given back after a panic in a command.
func TestPanicGivesTheTerminalBack(t *testing.T) {
	var out bytes.Buffer
	err := Run(t.Context(), panicky{night(1)}, Options{Input: &bytes.Buffer{}, Output: &out, Env: []string{"TERM=xterm-256color"}})
	if err == nil {
		t.Fatal("no error")
	}
	enter, leave := strings.LastIndex(out.String(), "\x1b[?1049h"), strings.LastIndex(out.String(), "\x1b[?1049l")
	if enter >= 0 && leave < enter {
		t.Errorf("the alternate screen is not left: %q", out.String())
	}
}

func BenchmarkFrame(b *testing.B) {
	m := opened(night(20000), 120, 50)
	press(m, "2")
	for i := 0; b.Loop(); i++ {
		key := "j"
		if i%200 > 100 {
			key = "k"
		}
		settle(m, m.key(keyOf(key)))
		m.View()
	}
}
