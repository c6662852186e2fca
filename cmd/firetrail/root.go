package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"firetrail"
	"firetrail/index"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// app is the program's surroundings and the flags that every command has.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	caseDir string
	format  string
	color   string
	quiet   bool
	display string
}

// newRoot lists every command.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "firetrail",
		Short: "Firewall-log forensics: what left, what tunnelled, what was probed, and which training run did it",
		Long: `Firetrail reads the logs of firewalls and sensors (iptables, pf, Palo Alto, Zeek)
and the exports of schedulers, trackers and agent traces, and answers what left,
what tunnelled, what was probed, when, by which training run, and how sure that is.

  firetrail ingest logs/
  firetrail runs import sacct.txt pods.json hosts
  firetrail correlate
  firetrail tui

Exit codes: 0 done, 1 nothing found, 2 usage or I/O error, 3 partial (some input
was unreadable or quarantined), 4 an integrity check failed, 10 findings at or
above --fail-on, 130 interrupted.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.caseDir, "case", "C", "", "case `folder` (else $FIRETRAIL_CASE, else the nearest one above)")
	flags.StringVar(&a.format, "format", "", "output: table, json, jsonl, csv or tsv (default table on a terminal, else jsonl)")
	flags.StringVar(&a.color, "color", "auto", "colour: auto, always or never")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no messages on stderr but errors")
	flags.StringVar(&a.display, "display-timezone", "UTC", "`zone` of the times in tables; what is stored does not change")
	root.SetVersionTemplate("firetrail {{.Version}}\n")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.check() }
	root.AddCommand(
		newIngest(a), newRuns(a), newCorrelate(a), newIncidents(a), newFindings(a), newTimeline(a),
		newSearch(a), newStats(a), newExplain(a), newRaw(a), newReport(a), newVerify(a), newTUI(a), newSimulate(a), newDemo(a),
		newParse(a), newSources(a), newClocks(a), newFormats(a), newFields(a), newDetectors(a), newVersion(a),
	)
	return root
}

// check validates the common flags.
func (a *app) check() error {
	switch a.format {
	case "", "table", "json", "jsonl", "csv", "tsv":
	default:
		return fmt.Errorf("--format %q: expected table, json, jsonl, csv or tsv", a.format)
	}
	switch a.color {
	case "auto", "always", "never":
	default:
		return fmt.Errorf("--color %q: expected auto, always or never", a.color)
	}
	if _, err := time.LoadLocation(a.display); err != nil {
		return fmt.Errorf("--display-timezone: %w", err)
	}
	return nil
}

// open opens the case for reading.
func (a *app) open() (*index.Case, error) {
	dir, err := a.find()
	if err != nil {
		return nil, err
	}
	c, err := index.Open(dir)
	if err != nil {
		return nil, noCase(err)
	}
	for _, i := range c.Isolated() {
		a.say("incomplete: %v; see 'firetrail verify --repair'", &i)
	}
	return c, nil
}

// find names the case folder: the flag, the environment, or the nearest folder
// above that holds one.
func (a *app) find() (string, error) {
	if a.caseDir != "" {
		return a.caseDir, nil
	}
	if dir := os.Getenv("FIRETRAIL_CASE"); dir != "" {
		return dir, nil
	}
	dir, err := index.Find(".")
	if err != nil {
		return "", errors.New("no case here or above; make one with 'firetrail ingest PATH' or name one with --case DIR")
	}
	return dir, nil
}

// create opens the case for writing and makes it where there is none: by the
// default name below the current folder unless it is named.
func (a *app) create() (*index.Case, error) {
	dir, err := a.find()
	if err != nil {
		dir = index.DefaultName
	}
	c, err := index.Create(dir)
	if err != nil {
		return nil, noCase(err)
	}
	return c, nil
}

// noCase says what can be done where a case cannot be opened.
func noCase(err error) error {
	switch {
	case errors.Is(err, index.ErrNoCase):
		return fmt.Errorf("%w; 'firetrail ingest PATH' makes one", err)
	case errors.Is(err, index.ErrManifest):
		return &exitError{exitIntegrity, fmt.Errorf("%w; put a copy of the file back, or take the logs in again, into a new case", err)}
	}
	return err
}

// say writes a message for people.
func (a *app) say(format string, args ...any) {
	if a.quiet {
		return
	}
	fmt.Fprintln(a.stderr, firetrail.Inert(fmt.Sprintf(format, args...)))
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// output is the format to write: as asked, else by what stdout is.
func (a *app) output() string {
	switch {
	case a.format != "":
		return a.format
	case isTerminal(a.stdout):
		return "table"
	}
	return "jsonl"
}

// coloured reports whether stdout takes colours.
func (a *app) coloured() bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	return isTerminal(a.stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// stamp prints a time for people, in the zone they asked for.
func (a *app) stamp(t int64) string {
	if t == firetrail.Absent || a.display == "UTC" {
		return firetrail.Stamp(t)
	}
	zone, err := time.LoadLocation(a.display)
	if err != nil {
		return firetrail.Stamp(t)
	}
	return time.Unix(0, t).In(zone).Format("2006-01-02T15:04:05.999999999Z07:00")
}

// parseTime reads a time of a flag: RFC 3339, a date, or epoch seconds.
func parseTime(flag, s string) (int64, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UnixNano(), nil
		}
	}
	return 0, fmt.Errorf("%s %q: expected a time such as 2026-03-01T02:14:05Z or 2026-03-01", flag, s)
}

// joinArgs makes one query of several arguments.
func joinArgs(args []string) string { return strings.Join(args, " ") }
