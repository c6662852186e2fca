package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firetrail/samples"
)

// terminal is a window of tmux in which a command runs.
type terminal struct {
	t      *testing.T
	socket string
}

func newTerminal(t *testing.T, width, height int, env []string, command string) *terminal {
	t.Helper()
	w := &terminal{t, fmt.Sprintf("firetrail-%d-%s", os.Getpid(), strings.ReplaceAll(filepath.Base(t.Name()), " ", "_"))}
	args := []string{"-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "env"}
	args = append(args, env...)
	w.tmux(append(args, "sh", "-c", command+`; echo "exit $?"; stty -a | tr ' ;' '\n\n' | grep -x -e icanon -e echo | xargs echo mode; sleep 600`)...)
	t.Cleanup(func() { w.tmux("kill-server") })
	return w
}

func (w *terminal) tmux(args ...string) string {
	w.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-L", w.socket}, args...)...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// keys presses keys by tmux's names.
func (w *terminal) keys(names ...string) { w.tmux(append([]string{"send-keys"}, names...)...) }

// sees waits until the screen holds all of want, and returns it with its
// colours.
func (w *terminal) sees(want ...string) string {
	w.t.Helper()
	screen := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		screen = w.tmux("capture-pane", "-p")
		missing := false
		for _, s := range want {
			missing = missing || !strings.Contains(screen, s)
		}
		if !missing {
			return w.tmux("capture-pane", "-p", "-e")
		}
	}
	w.t.Fatalf("%q is not on the screen:\n%s", want, screen)
	return ""
}

// labCase is a case with the sample lab, correlated, made by the real commands.
func labCase(t *testing.T) (binary, dir string) {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed: the terminal interface is not driven in a terminal")
	}
	binary, err := exec.LookPath("firetrail")
	if err != nil {
		t.Fatal(err)
	}
	lab, dir := filepath.Join(t.TempDir(), "lab"), filepath.Join(t.TempDir(), "night")
	if err := samples.WriteLab(lab); err != nil {
		t.Fatal(err)
	}
	inventory, err := filepath.Glob(filepath.Join(lab, "inventory", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"ingest", filepath.Join(lab, "logs")},
		append([]string{"runs", "import", "--timezone", "UTC"}, inventory...),
		{"correlate", "--allow", filepath.Join(lab, "allow.yaml")},
	} {
		if out, err := exec.Command(binary, append([]string{"--case", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return binary, dir
}

// The way of a responder at night, in a real terminal: from the gravest incident to
// the bytes that prove it, what lay around them, the events, the runs, and out again.
func TestTUIInATerminal(t *testing.T) {
	binary, dir := labCase(t)
	for _, size := range [][2]int{{80, 24}, {200, 60}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			w := newTerminal(t, size[0], size[1], []string{"TERM=tmux-256color"}, fmt.Sprintf("%s --case %s tui", binary, dir))
			w.sees("case night", "[1 Incidents]", "> critical", "run r-021", "cause agent", "3,114 events")
			w.keys("Enter")
			w.sees("What happened, in phases", "run       r-021", "> i-")
			w.keys("Tab", "Tab", "Tab", "Enter")
			w.sees("points in all", "Evidence:", "> f-")
			w.keys("Tab", "Enter")
			w.sees("Original bytes", "the same bytes that the finding cites", "offset")
			w.keys("x")
			w.sees("00000000  ")
			w.keys("a")
			w.sees("query: time:[", "row ")
			w.keys("Escape")
			w.sees("00000000  ")
			w.keys("2")
			w.sees("query: *", "3,114 events, first page", "↑", "row 1 of 3,114")
			w.keys("/")
			w.keys("-l", "dst_port:14444 AND (")
			w.keys("Enter")
			w.sees("^", "query: dst_port:14444 AND (", "expected")
			w.keys("BSpace", "BSpace", "BSpace", "BSpace", "BSpace", "BSpace", "Enter")
			w.sees("> dst_port:14444", "query: dst_port:14444 ", "row 1 of ")
			w.keys("3")
			w.sees("[3 Runs]", "shell agent 17", "41 tool calls")
			w.keys("j", "Enter")
			w.sees("Incidents attributed to it", "Addresses it held", "r-017")
			w.keys("?")
			w.sees("Keys of this screen", "its events")
			for _, small := range [][2]int{{40, 10}, {20, 5}, {300, 80}, size} {
				w.tmux("resize-window", "-x", fmt.Sprint(small[0]), "-y", fmt.Sprint(small[1]))
				w.sees("Keys of")
			}
			w.keys("q", "q", "q")
			w.sees("exit 0", "mode icanon echo")
		})
	}
}

// Where there is no terminal to draw on, or no colour is wanted, it says so or obeys.
func TestTUISurroundings(t *testing.T) {
	binary, dir := labCase(t)
	t.Run("pipe", func(t *testing.T) {
		out, err := exec.Command(binary, "--case", dir, "tui").CombinedOutput()
		e, ok := err.(*exec.ExitError)
		if !ok || e.ExitCode() != exitUsage || !strings.Contains(string(out), "firetrail incidents") || strings.Contains(string(out), "\x1b") {
			t.Errorf("%v: %q", err, out)
		}
	})
	t.Run("dumb", func(t *testing.T) {
		w := newTerminal(t, 80, 24, []string{"TERM=dumb"}, fmt.Sprintf("%s --case %s tui", binary, dir))
		w.sees("firetrail incidents", "exit 2")
	})
	t.Run("colour", func(t *testing.T) {
		w := newTerminal(t, 80, 24, []string{"TERM=tmux-256color"}, fmt.Sprintf("%s --case %s tui", binary, dir))
		if s := w.sees("> critical"); !strings.Contains(s, "\x1b[31m") {
			t.Errorf("no red on %q", s)
		}
	})
	for name, how := range map[string]string{"NO_COLOR": "NO_COLOR=1 %s --case %s tui", "never": "%s --case %s --color never tui"} {
		t.Run(name, func(t *testing.T) {
			w := newTerminal(t, 80, 24, []string{"TERM=tmux-256color"}, fmt.Sprintf(how, binary, dir))
			s := w.sees("> critical")
			for _, colour := range []string{"\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[1;31m"} {
				if strings.Contains(s, colour) {
					t.Errorf("%q on %q", colour, s)
				}
			}
		})
	}
}
