package main

import (
	"fmt"
	"strings"

	"firetrail"
	"firetrail/timeline"

	"github.com/spf13/cobra"
)

func newIncidents(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "incidents [ID]",
		Short: "List the incidents, or show one with its phases, findings and cause; exit 1 if there are none",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.results()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				i := incidentByID(&r, args[0])
				if i == nil {
					return fmt.Errorf("no incident %q; see 'firetrail incidents'", args[0])
				}
				if a.output() == "table" {
					a.printIncident(&r, i)
					return nil
				}
				return document(a.stdout, i)
			}
			r.Incidents = timeline.Gravest(r.Incidents)
			return a.listIncidents(&r)
		},
	}
}

// listIncidents writes the document of CLI.md for json, an incident a line for jsonl.
func (a *app) listIncidents(r *firetrail.Results) error {
	nothing := func(err error) error {
		if err == nil && len(r.Incidents) == 0 {
			return exit(exitNothing)
		}
		return err
	}
	out := a.rows("severity", "id", "title", "run", "probability", "cause", "start", "end", "sources", "detectors")
	if out.format == "json" {
		incidents := []*firetrail.Incident{}
		for i := range r.Incidents {
			incidents = append(incidents, &r.Incidents[i])
		}
		reasons := r.Reasons
		if reasons == nil {
			reasons = []string{}
		}
		return nothing(document(a.stdout, struct {
			Complete  bool                  `json:"complete"`
			Reasons   []string              `json:"reasons"`
			Incidents []*firetrail.Incident `json:"incidents"`
		}{r.Complete, reasons, incidents}))
	}
	for k := range r.Incidents {
		i := &r.Incidents[k]
		var err error
		if out.format == "jsonl" {
			err = out.object(i)
		} else {
			run, p := runText(&i.Attribution)
			err = out.add(i.Severity, i.ID, i.Title, run, p, i.Cause.Verdict, a.stamp(i.Start), a.stamp(i.End), sourcesText(i), i.Detectors)
		}
		if err != nil {
			return err
		}
	}
	return nothing(out.close())
}

func sourcesText(i *firetrail.Incident) string {
	var parts []string
	for k, s := range i.Sources {
		if k == 3 {
			parts = append(parts, fmt.Sprintf("+%d", len(i.Sources)-k))
			break
		}
		parts = append(parts, s.String())
	}
	return strings.Join(parts, " ")
}

// printIncident shows an incident as a responder reads it.
func (a *app) printIncident(r *firetrail.Results, i *firetrail.Incident) {
	a.heading(i.ID, i.Severity, i.Title)
	a.line("  time      %s to %s%s", a.stamp(i.Start), a.stamp(i.End), openText(i.Open))
	a.line("  sources   %s", sourcesText(i))
	a.printAttribution(&i.Attribution)
	p := i.Cause.Posterior
	a.line("  cause     %s (agent %.2f, host %.2f, misconfiguration %.2f)", i.Cause.Verdict, p.Agent, p.Host, p.Misconfiguration)
	for _, f := range i.Cause.Facts {
		a.line("    %s", f)
	}
	a.line("  phases")
	for _, p := range i.Phases {
		a.line("    %s to %s  %-10s %s", a.stamp(p.Start), a.stamp(p.End), p.Name, strings.Join(p.Findings, " "))
	}
	a.line("  findings")
	for _, id := range i.Findings {
		if f := findingByID(r, id); f != nil {
			a.line("    %s  %-8s %-15s %s", f.ID, f.Severity, f.Detector, f.Title)
		}
	}
	a.printList("elsewhere", i.Elsewhere)
	a.printList("not seen", i.Unseen)
}
