package tui

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"firetrail"
	"firetrail/timeline"

	tea "charm.land/bubbletea/v2"
)

// Options are the surroundings of the program.
type Options struct {
	Zone   *time.Location // of the times on the screen; nil is UTC
	Input  io.Reader      // a terminal; nil is the standard input
	Output io.Writer      // a terminal; nil is the standard output
	Env    []string       // nil is the process's environment; TERM and NO_COLOR are read from it

	Width, Height int // of the window, where Output is no terminal that says it; 0 otherwise
}

// Run shows the terminal interface until the person leaves it or ctx ends. The
// terminal is as it was before when it returns, also after a panic in a command.
func Run(ctx context.Context, s Store, opt Options) error {
	// A key is answered at the next tick of the renderer, which writes nothing where nothing
	// has changed: the default of 60 a second would be all that a key may take.
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithFPS(120)}
	if opt.Input == nil {
		opt.Input = os.Stdin
	}
	options = append(options, tea.WithInput(withEsc(opt.Input)))
	if opt.Output != nil {
		options = append(options, tea.WithOutput(opt.Output))
	}
	if opt.Width > 0 {
		options = append(options, tea.WithWindowSize(opt.Width, opt.Height))
	}
	if opt.Env != nil {
		options = append(options, tea.WithEnvironment(opt.Env))
	}
	_, err := tea.NewProgram(newModel(s, opt), options...).Run()
	return err
}

// Below leastWidth × leastHeight the screen itself is all that is shown.
const (
	leastWidth  = 80
	leastHeight = 24
)

// model is the whole interface: three views, each a stack of screens.
type model struct {
	store         Store
	zone          *time.Location
	width, height int
	views         [3][]screen
	view          int
	last          int    // id that was given to a screen last
	note          string // a word to the person, until the next key
	facts         *facts // nil until they are read
	err           error  // why they could not be
}

// facts are what correlation and inventory say of the case, read once.
type facts struct {
	results   firetrail.Results
	made      bool
	inventory firetrail.Inventory
	known     bool // inventory was read
	sources   []firetrail.Source
	findings  map[string]*firetrail.Finding
	events    int64
	rejected  int64
}

// screen is one entry of a stack.
type screen interface {
	base() *asks
	kind() kind
	name() string                             // in the breadcrumb; inert
	lines(m *model, width, height int) []line // what is to be seen, at most height lines
	do(m *model, a action) tea.Cmd
	receive(m *model, a answer) tea.Cmd // to a question of its own that still stands
	shown(m *model) tea.Cmd             // it came to the top, or the window has another size
}

// factsRead is the answer to the first question.
type factsRead struct {
	facts *facts
	err   error
}

// inventoryRead is the answer to the second one.
type inventoryRead struct {
	inventory firetrail.Inventory
	err       error
}

func newModel(s Store, opt Options) *model {
	m := &model{store: s, zone: opt.Zone, width: leastWidth, height: leastHeight}
	if m.zone == nil {
		m.zone = time.UTC
	}
	m.views[0] = []screen{m.own(newIncidents())}
	m.views[1] = []screen{m.own(newEvents(firetrail.Query{}, s.Print(firetrail.Query{})))}
	m.views[2] = []screen{m.own(newRuns())}
	return m
}

// own gives a screen its number.
func (m *model) own(s screen) screen {
	m.last++
	s.base().id = m.last
	return s
}

func (m *model) top() screen {
	stack := m.views[m.view]
	return stack[len(stack)-1]
}

func (m *model) push(s screen) tea.Cmd {
	if e, ok := m.top().(*events); ok {
		e.drop(slotPage)
		e.table.trim(e.top, e.height)
	}
	m.views[m.view] = append(m.views[m.view], m.own(s))
	return s.shown(m)
}

func (m *model) Init() tea.Cmd { return readFacts(m.store) }

// Update handles one message. Nothing in it waits.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, 0), max(msg.Height, 0)
		return m, m.top().shown(m)
	case tea.ResumeMsg:
		return m, tea.ClearScreen
	case factsRead:
		if m.facts, m.err = msg.facts, msg.err; m.err != nil {
			return m, m.top().shown(m)
		}
		return m, tea.Batch(m.top().shown(m), readInventory(m.store))
	case inventoryRead:
		if m.facts.inventory, m.facts.known = msg.inventory, true; msg.err != nil {
			m.facts, m.err = nil, msg.err
		}
		return m, m.top().shown(m)
	case answer:
		for _, stack := range m.views {
			for _, s := range stack {
				if s.base().stands(msg) {
					return m, s.receive(m, msg)
				}
			}
		}
		return m, nil
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tea.PasteMsg:
		if e, ok := m.top().(*events); ok && e.editing {
			return m, e.edit(m, msg)
		}
	}
	return m, nil
}

func (m *model) key(msg tea.KeyPressMsg) tea.Cmd {
	m.note = ""
	a := lookup(m.top().kind(), msg.String())
	if e, ok := m.top().(*events); ok && e.editing && a != actQuit && a != actSuspend {
		return e.edit(m, msg)
	}
	switch a {
	case actNone:
		m.note = fmt.Sprintf("%s does nothing here; ? shows the keys", firetrail.Inert(msg.String()))
	case actQuit:
		return m.quit()
	case actSuspend:
		return tea.Suspend
	case actBack:
		if !m.pop() {
			m.note = "this is the first screen of the view; q quits, 1 2 3 are the views"
			return nil
		}
		return m.top().shown(m)
	case actPop:
		if !m.pop() {
			return m.quit()
		}
		return m.top().shown(m)
	case actHelp:
		return m.push(newHelp(m.top().kind()))
	case actView1, actView2, actView3:
		m.view = int(a - actView1)
		return m.top().shown(m)
	default:
		return m.top().do(m, a)
	}
	return nil
}

// pop leaves the top screen; false at the first one.
func (m *model) pop() bool {
	stack := m.views[m.view]
	if len(stack) == 1 {
		return false
	}
	m.top().base().stop()
	m.views[m.view] = stack[:len(stack)-1]
	return true
}

func (m *model) quit() tea.Cmd {
	for _, stack := range m.views {
		for _, s := range stack {
			s.base().stop()
		}
	}
	return tea.Quit
}

// small reports whether there is room for the screen alone.
func (m *model) small() bool { return m.width < leastWidth || m.height < leastHeight }

// body is the room of a screen.
func (m *model) body() (width, height int) {
	if m.small() {
		return m.width, max(m.height-1, 0)
	}
	return m.width, m.height - 4
}

// View draws the whole window: exactly its height in lines, none wider than it.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.draw(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "firetrail " + firetrail.Inert(m.store.Name())
	if e, ok := m.top().(*events); ok && e.editing {
		y := 0
		if !m.small() {
			y = 2
		}
		v.Cursor = tea.NewCursor(e.caret(m.width), y)
	}
	return v
}

func (m *model) draw() []string {
	width, height := m.body()
	body := m.top().lines(m, width, height)
	body = body[:min(len(body), height)]
	var all []line
	if !m.small() {
		all = append(all, m.head(), m.crumbs())
	}
	all = append(all, body...)
	for i := len(body); i < height; i++ {
		all = append(all, line{})
	}
	if m.small() {
		text := m.note
		if text == "" {
			text = fmt.Sprintf("%d×%d: 80×24 shows more", m.width, m.height)
		}
		all = append(all, line{text: text, style: faint})
	} else {
		all = append(all, line{text: m.note, style: yellow}, line{text: m.hints(), style: faint})
	}
	all = all[:min(len(all), m.height)]
	out := make([]string, len(all))
	for i, l := range all {
		out[i] = l.draw(m.width)
	}
	return out
}

// head is the top line: the case, the zone of the times, and how far it can be trusted.
func (m *model) head() line {
	left := fmt.Sprintf("Firetrail  case %s  times %s", firetrail.Inert(m.store.Name()), m.zone)
	right := ""
	if f := m.facts; f != nil {
		left += fmt.Sprintf("  %s events", thousands(f.events))
		right = f.light()
	}
	return line{text: ends(left, right, m.width), style: inverse}
}

// light says in a word whether the results can be relied on.
func (f *facts) light() string {
	switch {
	case len(f.sources) == 0:
		return "empty case"
	case !f.made:
		return "not correlated"
	case !f.results.Complete:
		return "INCOMPLETE"
	case len(f.results.Untestable) > 0:
		return fmt.Sprintf("complete, %d not testable", len(f.results.Untestable))
	}
	return "complete"
}

// crumbs is the second line: the views, and the way to this screen.
func (m *model) crumbs() line {
	var b strings.Builder
	for i, name := range []string{"Incidents", "Events", "Runs"} {
		if i == m.view {
			fmt.Fprintf(&b, "[%d %s] ", i+1, name)
		} else {
			fmt.Fprintf(&b, " %d %s  ", i+1, name)
		}
	}
	left := b.String()
	stack := m.views[m.view]
	var names []string
	for _, s := range stack[1:] {
		names = append(names, s.name())
	}
	// Where there is no room for all, the nearest are what counts.
	for len(names) > 1 && len(left)+len(strings.Join(names, " > "))+2 > m.width {
		names = names[1:]
		names[0] = "… > " + strings.TrimPrefix(names[0], "… > ")
	}
	if len(names) > 0 {
		left += "> " + strings.Join(names, " > ")
	}
	return line{text: left, style: strong}
}

// hints names the keys that matter here, from the key table.
func (m *model) hints() string {
	if e, ok := m.top().(*events); ok && e.editing {
		if e.going {
			return "enter go there  esc leave it"
		}
		return "enter run the query  tab complete  esc leave it"
	}
	k := m.top().kind()
	var parts []string
	for _, b := range bindings {
		if b.in&k == 0 || b.hint == "" {
			continue
		}
		hint := b.hint
		first := len(m.views[m.view]) == 1
		if b.act == actBack && first || b.act == actPop && !first {
			continue
		}
		parts = append(parts, b.keys[0]+" "+hint)
	}
	return strings.Join(parts, "  ")
}

// sorted puts the gravest incidents first.
func sorted(incidents []firetrail.Incident) []*firetrail.Incident {
	ordered := timeline.Gravest(incidents)
	out := make([]*firetrail.Incident, len(ordered))
	for i := range ordered {
		out[i] = &ordered[i]
	}
	return out
}
