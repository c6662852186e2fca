package main

import (
	"fmt"
	"os"
	"path/filepath"

	"firetrail"
	"firetrail/index"
	"firetrail/parsers"
	"firetrail/samples"
	"firetrail/timeline"
	"firetrail/timeline/report"

	"github.com/spf13/cobra"
)

func newDemo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on sample logs: ingest, correlate, incidents, report",
		Long:  "Take the sample logs into a temporary case, correlate them, print the incidents and write a report. Needs no flag and no network.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "firetrail-demo-")
			if err != nil {
				return err
			}
			if err := samples.WriteLab(dir); err != nil {
				return err
			}
			return a.demo(cmd, dir)
		},
	}
}

// demo runs the straight line on the story in dir.
func (a *app) demo(cmd *cobra.Command, dir string) error {
	ctx := cmd.Context()
	a.caseDir = filepath.Join(dir, "case")
	c, err := index.Create(a.caseDir)
	if err != nil {
		return err
	}
	defer c.Close()
	done, err := c.Ingest(ctx, []string{filepath.Join(dir, "logs")}, index.IngestOptions{Options: parsers.Options{}})
	if err != nil {
		return err
	}
	a.line("Took in %d sources, %s.", len(done.Sources), countsText(&done.Totals))
	if err := a.demoRuns(c, filepath.Join(dir, "inventory")); err != nil {
		return err
	}
	f := correlateFlags{allow: []string{filepath.Join(dir, "allow.yaml")}}
	r, err := a.correlate(ctx, c, &f)
	if err != nil {
		return err
	}
	if err := c.SaveResults(r); err != nil {
		return err
	}
	for _, i := range timeline.Gravest(r.Incidents) {
		a.demoIncident(&r, &i)
	}
	for _, s := range r.Suppressed {
		if s.Findings > 0 {
			a.line("Kept out by the allow list: %s (%s), %s.", s.Entry, s.Reason, several(s.Findings, "finding"))
		}
	}
	path := filepath.Join(dir, "report.html")
	if err := a.writeReport(c, r, "html", path, "Firetrail demonstration"); err != nil {
		return err
	}
	a.line("")
	a.line("Report: %s", path)
	a.line("Look around: firetrail --case %s tui", a.caseDir)
	return nil
}

// demoRuns imports the story's inventory.
func (a *app) demoRuns(c *index.Case, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []index.InventoryFile
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		files = append(files, index.InventoryFile{Path: e.Name(), Data: data, Zone: "UTC"})
	}
	if files, err = c.InventoryFiles(files); err != nil {
		return err
	}
	inv, _, refused := joinFiles(files)
	for path, err := range refused {
		return fmt.Errorf("%s: %w", path, err)
	}
	a.line("%d runs and %d tool calls.", len(inv.Runs), len(inv.Calls))
	return c.SaveInventory(inv)
}

// demoIncident prints an incident with its run, the reason, and one proof a finding.
func (a *app) demoIncident(r *firetrail.Results, i *firetrail.Incident) {
	a.line("")
	a.heading(i.ID, i.Severity, i.Title)
	a.line("  %s to %s%s", a.stamp(i.Start), a.stamp(i.End), openText(i.Open))
	if i.Run != nil {
		a.line("  run %s, probability %s, level %s; cause: %s", i.Run.ID, firetrail.Probability(i.Run.Probability), i.Run.Level, i.Cause.Verdict)
		for _, c := range i.Candidates {
			if c.ID == i.Run.ID && len(c.Reasons) > 0 {
				a.line("  because %s", c.Reasons[len(c.Reasons)-1])
			}
		}
	} else {
		a.line("  no run: %s; cause: %s", i.Unattributed, i.Cause.Verdict)
	}
	for _, id := range i.Findings {
		f := findingByID(r, id)
		if f == nil {
			continue
		}
		a.line("  - %s: %s", f.Detector, f.Title)
		if len(f.Evidence) > 0 {
			e := &f.Evidence[0]
			fmt.Fprintf(a.stdout, "      %s:%d  %.140s\n", firetrail.Inert(filepath.Base(e.Path)), e.Line, firetrail.InertRecord(string(e.Raw)))
		}
	}
}

// writeReport writes a report of the results to a file.
func (a *app) writeReport(c *index.Case, r firetrail.Results, form, path, title string) error {
	f, ok := report.Named(form)
	if !ok {
		return fmt.Errorf("--to %q: expected html, markdown or json", form)
	}
	inv, err := c.Inventory()
	if err != nil {
		return err
	}
	doc := report.Report{Title: title, Case: filepath.Base(c.Dir()), Results: r, Sources: c.Sources(), Runs: map[string]firetrail.Run{},
		Repeat: []string{"firetrail report --to " + form + " -o FILE", "firetrail verify FILE"}}
	for i := range inv.Runs {
		doc.Runs[inv.Runs[i].ID] = inv.Runs[i]
	}
	if path == "" || path == "-" {
		return f.Write(a.stdout, &doc)
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = f.Write(out, &doc)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
