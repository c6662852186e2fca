package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"firetrail/index"
	"firetrail/timeline/report"

	"github.com/spf13/cobra"
)

func newReport(a *app) *cobra.Command {
	var to, out, title string
	var incidents, runs []string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write incidents as a document: HTML, Markdown or JSON",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := correlated(c)
			if err != nil {
				return err
			}
			for _, id := range incidents {
				if incidentByID(&r, id) == nil {
					return fmt.Errorf("no incident %q; see 'firetrail incidents'", id)
				}
			}
			ids, err := runIDs(c, runs)
			if err != nil {
				return err
			}
			if title == "" {
				title = "Firetrail report: " + filepath.Base(c.Dir())
			}
			if err := a.writeReport(c, report.Select(r, incidents, ids), to, out, title); err != nil {
				return err
			}
			if out != "" && out != "-" {
				a.say("wrote %s", out)
			}
			return nil
		},
	}
	var forms []string
	for _, f := range report.All {
		forms = append(forms, f.Name)
	}
	cmd.Flags().StringVar(&to, "to", "html", "form: "+strings.Join(forms, ", "))
	cmd.Flags().StringVarP(&out, "output", "o", "", "`file` to write (default stdout)")
	cmd.Flags().StringVar(&title, "title", "", "title of the report")
	cmd.Flags().StringSliceVar(&incidents, "incident", nil, "only this incident; repeatable")
	cmd.Flags().StringSliceVar(&runs, "run", nil, "only incidents of this run; repeatable")
	return cmd
}

// runIDs resolves names of runs to their ids.
func runIDs(c *index.Case, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	inv, err := c.Inventory()
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, name := range names {
		r, err := findRun(&inv, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, r.ID)
	}
	return ids, nil
}
