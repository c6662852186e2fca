package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"firetrail"
	"firetrail/samples/simulate"

	"github.com/spf13/cobra"
)

// newSimulate writes a lab with known ground truth, and scores results against it.
func newSimulate(a *app) *cobra.Command {
	var opt simulate.Options
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Write a synthetic lab with known ground truth",
		Long: `Writes logs of all families below DIR/logs, scheduler exports, tool calls and
tables below DIR/inventory, an allow list and truth.json, which says what was
planted and in which lines it shows. The same options give the same bytes.

  firetrail simulate --events 1000000 --out lab
  firetrail ingest lab/logs
  firetrail runs import lab/inventory/*
  firetrail correlate --allow lab/allow.yaml
  firetrail simulate score --truth lab/truth.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if len(opt.Scenarios) == 1 && opt.Scenarios[0] == "list" {
				return a.listScenarios()
			}
			if opt.Out == "" {
				return errors.New("name the folder to write to with --out DIR")
			}
			begun := time.Now()
			sum, err := simulate.Run(opt)
			if err != nil {
				return err
			}
			took := time.Since(begun)
			a.say("%d events (%.1f MB) of %d days in %s: %.0f events/s; %d runs, %d tool calls, %d planted behaviours",
				sum.Events, float64(sum.Bytes)/1e6, max(opt.Days, 1), took.Round(time.Millisecond), float64(sum.Events)/took.Seconds(), sum.Runs, sum.Calls, sum.Planted)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&opt.Out, "out", "", "`folder` to write to; new or empty")
	f.Uint64Var(&opt.Seed, "seed", 1, "the same `number` gives the same bytes")
	f.Int64Var(&opt.Events, "events", 100_000, "records in all logs together, about")
	f.IntVar(&opt.Days, "days", 3, "simulated days, from 1 March 2026 UTC")
	f.StringSliceVar(&opt.Scenarios, "scenario", nil, "what to plant: `NAME`, NAME:loud, NAME:quiet, repeatable; 'list' prints them (default: all but damage)")
	f.StringSliceVar(&opt.Sensors, "sensors", nil, "`families` of sensors: iptables, pf, paloalto, zeek (default all)")
	cmd.AddCommand(newSimulateScore(a))
	return cmd
}

// listScenarios prints what can be planted.
func (a *app) listScenarios() error {
	switch a.output() {
	case "json", "jsonl":
		enc := json.NewEncoder(a.stdout)
		for _, s := range simulate.Scenarios {
			if err := enc.Encode(map[string]string{"name": s.Name, "class": s.Class, "doc": s.Doc}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tDETECTOR\tWHAT")
	for _, s := range simulate.Scenarios {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Class, s.Doc)
	}
	return w.Flush()
}

func newSimulateScore(a *app) *cobra.Command {
	var truth string
	var misses bool
	cmd := &cobra.Command{
		Use:   "score",
		Short: "Compare findings and incidents of a case with the truth of a simulation",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			t, err := simulate.ReadTruth(truth)
			if err != nil {
				return fmt.Errorf("read truth: %w", err)
			}
			r, err := a.results()
			if err != nil {
				return err
			}
			s := simulate.Judge(t, r)
			if f := a.output(); f == "json" || f == "jsonl" {
				enc := json.NewEncoder(a.stdout)
				if f == "json" {
					enc.SetIndent("", " ")
				}
				return enc.Encode(&s)
			}
			printScore(a.stdout, &s, misses)
			return nil
		},
	}
	cmd.Flags().StringVar(&truth, "truth", "truth.json", "`file` that the simulation wrote")
	cmd.Flags().BoolVar(&misses, "misses", false, "also list each behaviour that was missed and each false finding")
	return cmd
}

// printScore writes the tables.
func printScore(out io.Writer, s *simulate.Score, misses bool) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "DETECTOR\tPLANTED\tFOUND\tRECALL\tFINDINGS\tFALSE\tPRECISION\t")
	for _, d := range s.Detectors {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.2f\t%d\t%d\t%.2f\t\n", d.Detector, d.Planted, d.Found, d.Recall, d.Findings, d.False, d.Precision)
	}
	w.Flush()
	fmt.Fprintf(out, "\nincidents %d, false %d, of several runs %d; planted in no log %d, in logs that cannot show it %d\n",
		s.Incidents.Incidents, s.Incidents.False, s.Incidents.Mixed, s.Invisible, s.Silent)
	for _, t := range []struct {
		what string
		a    *simulate.AttributionScore
	}{{"behaviours", &s.Attribution}, {"findings", &s.EachFinding}} {
		fmt.Fprintf(out, "attribution: of %d %s that could be attributed %d right, %d wrong, %d abstained (top-1 %.2f); of %d that could not, %d honest; wrong at 0.9 or more %d; Brier %.3f\n",
			t.a.Attributable, t.what, t.a.Right, t.a.Wrong, t.a.Abstained, t.a.Top1, t.a.Behaviours-t.a.Attributable, t.a.Honest, t.a.Certain, t.a.Brier)
	}
	b := &s.Bounds
	fmt.Fprintf(out, "bounds of %d findings: start off by %.1f s (median), %.1f s (p90); end by %.1f s, %.1f s\n\n", b.Count, b.StartMedian, b.StartP90, b.EndMedian, b.EndP90)
	fmt.Fprintln(w, "CAUSE\tagent\thost\tmisconfiguration\tundetermined\t")
	for _, c := range s.Causes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", c.Truth, c.Agent, c.Host, c.Misconfiguration, c.Undetermined)
	}
	w.Flush()
	if misses {
		printMisses(out, s)
	}
}

func printMisses(out io.Writer, s *simulate.Score) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nBEHAVIOUR\tCLASS\tSOURCE\tRECORDS\tFOUND\tBY\tRUN\tSAID\tP\tCAUSE\tVERDICT")
	for _, b := range s.Behaviours {
		fmt.Fprintf(w, "%d %s\t%s\t%s\t%d\t%v\t%v\t%s\t%s\t%.2f\t%s\t%s\n", b.ID, b.Scenario, b.Class, b.Source, b.Records, b.Found, b.By, b.Run, b.Said, b.Probability, b.Cause, b.Verdict)
	}
	fmt.Fprintln(w, "\nFALSE\tDETECTOR\tSEVERITY\tSOURCE\tSTART\tCOUNT\tTITLE")
	for _, f := range s.False {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", f.ID, f.Detector, f.Severity, f.Source, f.Start, f.Count, firetrail.Inert(f.Title))
	}
	w.Flush()
}
