package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"firetrail"
	"firetrail/index"

	"github.com/spf13/cobra"
)

// results loads what the last correlation concluded.
func (a *app) results() (firetrail.Results, error) {
	c, err := a.open()
	if err != nil {
		return firetrail.Results{}, err
	}
	defer c.Close()
	return correlated(c)
}

// correlated is what the last correlation of an open case concluded; that there was
// none is an error.
func correlated(c *index.Case) (firetrail.Results, error) {
	r, ok, err := c.Results()
	if err != nil {
		return r, err
	}
	if !ok {
		return r, errors.New("nothing was correlated yet; run 'firetrail correlate'")
	}
	return r, nil
}

func newFindings(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "findings [ID]",
		Short: "List the findings, or show one with its evidence and its reasoning; exit 1 if there are none",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.results()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				f := findingByID(&r, args[0])
				if f == nil {
					return fmt.Errorf("no finding %q; see 'firetrail findings'", args[0])
				}
				if a.output() == "table" {
					a.printFinding(f)
					return nil
				}
				return json.NewEncoder(a.stdout).Encode(f)
			}
			return a.listFindings(&r)
		},
	}
}

func (a *app) listFindings(r *firetrail.Results) error {
	out := a.rows("id", "severity", "score", "detector", "src_ip", "dst_ip", "dst_port", "host", "start", "end", "count", "run", "probability", "title")
	for i := range r.Findings {
		f := &r.Findings[i]
		var err error
		if out.format == "json" || out.format == "jsonl" {
			err = out.object(f)
		} else {
			run, p := runText(&f.Attribution)
			var port any
			if f.DstPort != firetrail.Absent {
				port = f.DstPort
			}
			err = out.add(f.ID, f.Severity, f.Score, f.Detector, firetrail.AddrText(f.SrcIP), f.Dst, port, f.Host, a.stamp(f.Start), a.stamp(f.End), f.Count, run, p, f.Title)
		}
		if err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	if len(r.Findings) == 0 {
		return exit(exitNothing)
	}
	return nil
}

// runText is a run and its probability for a table.
func runText(at *firetrail.Attribution) (run, probability string) {
	if at.Run == nil {
		return "", ""
	}
	return at.Run.ID, firetrail.Probability(at.Run.Probability)
}

func findingByID(r *firetrail.Results, id string) *firetrail.Finding {
	for i := range r.Findings {
		if r.Findings[i].ID == id {
			return &r.Findings[i]
		}
	}
	return nil
}

func incidentByID(r *firetrail.Results, id string) *firetrail.Incident {
	for i := range r.Incidents {
		if r.Incidents[i].ID == id {
			return &r.Incidents[i]
		}
	}
	return nil
}

// line writes a line of text for people; strings are made inert.
func (a *app) line(format string, args ...any) {
	fmt.Fprintln(a.stdout, firetrail.Inert(fmt.Sprintf(format, args...)))
}

// printFinding shows a finding with its reasons and its proof.
func (a *app) printFinding(f *firetrail.Finding) {
	a.heading(f.ID, f.Severity, f.Title)
	a.line("  detector  %s, score %.2f, %d events, %s", f.Detector, f.Score, f.Count, strings.Join(f.Attack, " "))
	a.line("  time      %s to %s%s", a.stamp(f.Start), a.stamp(f.End), openText(f.Open))
	if f.SrcIP.IsValid() || f.Dst != "" {
		dst := f.Dst
		if f.DstPort != firetrail.Absent {
			dst += fmt.Sprintf(" port %d", f.DstPort)
		}
		a.line("  from      %s to %s %s", firetrail.AddrText(f.SrcIP), dst, f.Host)
	}
	a.printAttribution(&f.Attribution)
	a.line("  why")
	for _, p := range f.Why {
		a.line("    %+6.2f  %s", p.Points, p.Text)
	}
	a.printList("could be harmless", f.Benign)
	a.printList("not testable here", f.Untested)
	a.line("  evidence")
	for k := range f.Evidence {
		a.printEvidence(&f.Evidence[k])
	}
}

func (a *app) printEvidence(e *firetrail.Evidence) {
	note := ""
	if e.Note != "" {
		note = "  " + e.Note
	}
	a.line("    %s:%d  %s%s", e.Path, e.Line, e.ID(), note)
	fmt.Fprintf(a.stdout, "      %s\n", firetrail.InertRecord(string(e.Raw)))
}

// printAttribution says which run, how sure, and why.
func (a *app) printAttribution(at *firetrail.Attribution) {
	if at.Run != nil {
		a.line("  run       %s, probability %s, level %s", at.Run.ID, firetrail.Probability(at.Run.Probability), at.Run.Level)
	} else {
		a.line("  run       none: %s", at.Unattributed)
	}
	for _, c := range at.Candidates {
		a.line("    %-7s  %s  %s", firetrail.Probability(c.Probability), c.ID, strings.Join(c.Reasons, "; "))
	}
	a.printList("against", at.Against)
}

func (a *app) printList(title string, items []string) {
	if len(items) == 0 {
		return
	}
	a.line("  %s", title)
	for _, i := range items {
		a.line("    %s", i)
	}
}

func openText(open bool) string {
	if open {
		return ", still open at the end of the data"
	}
	return ""
}

// paint colours a severity where stdout takes colours.
func (a *app) paint(severity string) string {
	code := map[string]string{
		firetrail.SeverityCritical: "1;31", firetrail.SeverityHigh: "31", firetrail.SeverityMedium: "33", firetrail.SeverityLow: "32", firetrail.SeverityInfo: "34",
	}[strings.ToLower(severity)]
	if code == "" || !a.coloured() {
		return severity
	}
	return "\x1b[" + code + "m" + severity + "\x1b[0m"
}

// heading writes the first line of a finding or an incident.
func (a *app) heading(id, severity, title string) {
	fmt.Fprintf(a.stdout, "%s  %s  %s\n", id, a.paint(strings.ToUpper(severity)), firetrail.Inert(title))
}
