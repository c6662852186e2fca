package main

import (
	"fmt"
	"strings"

	"firetrail"

	"github.com/spf13/cobra"
)

func newExplain(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Say why: a finding's score, an attribution's leases, a cause's terms",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.results()
			if err != nil {
				return err
			}
			if f := findingByID(&r, args[0]); f != nil {
				if o := a.output(); o == "json" || o == "jsonl" {
					return document(a.stdout, f)
				}
				a.explainFinding(f)
				return nil
			}
			if i := incidentByID(&r, args[0]); i != nil {
				if o := a.output(); o == "json" || o == "jsonl" {
					return document(a.stdout, i)
				}
				a.explainIncident(&r, i)
				return nil
			}
			return fmt.Errorf("no finding or incident %q; see 'firetrail findings' and 'firetrail incidents'", args[0])
		},
	}
}

func (a *app) explainFinding(f *firetrail.Finding) {
	a.line("%s  %s", f.ID, f.Title)
	a.line("score %.2f, severity %s, by %s", f.Score, f.Severity, f.Detector)
	sum := 0.0
	for _, p := range f.Why {
		a.line("  %+6.2f  %-14s value %g, threshold %g: %s", p.Points, p.Part, p.Value, p.Threshold, p.Text)
		sum += p.Points
	}
	a.line("  %+6.2f  in all", sum)
	a.explainAttribution(&f.Attribution)
	a.printList("could be harmless", f.Benign)
	a.printList("not testable here", f.Untested)
}

func (a *app) explainAttribution(at *firetrail.Attribution) {
	a.line("which run")
	a.printAttribution(at)
	for _, l := range at.Leases {
		a.line("  lease     %s held by %s %s from %s to %s, %s:%d", firetrail.AddrText(l.IP), l.Subject, strings.TrimSpace(l.Name+" "+l.Run),
			a.stamp(l.Start), a.stamp(l.End), l.Source, l.Line)
	}
	for _, t := range at.Calls {
		a.line("  tool call %s to %s  %s %s  (%s:%d)", a.stamp(t.Start), a.stamp(t.End), t.Tool, t.Args, t.Source, t.Line)
	}
}

func (a *app) explainIncident(r *firetrail.Results, i *firetrail.Incident) {
	a.line("%s  %s", i.ID, i.Title)
	a.explainAttribution(&i.Attribution)
	p := i.Cause.Posterior
	a.line("cause: %s (agent %s, host %s, misconfiguration %s)", i.Cause.Verdict, firetrail.Probability(p.Agent), firetrail.Probability(p.Host), firetrail.Probability(p.Misconfiguration))
	for _, t := range i.Cause.Terms {
		a.line("  %+6.2f  %-14s %s", t.Points, t.Part, t.Text)
	}
	for _, f := range i.Cause.Facts {
		a.line("  %s", f)
	}
	for _, id := range i.Findings {
		if f := findingByID(r, id); f != nil {
			a.line("")
			a.explainFinding(f)
		}
	}
}
