package main

import (
	"errors"
	"fmt"
	"io"

	"firetrail"
	"firetrail/index/query"
	"firetrail/parsers"
	"firetrail/timeline/detect"

	"github.com/spf13/cobra"
)

func newFormats(a *app) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "formats",
		Short: "List the log formats; --why FILE says why each one did or did not match",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if why != "" {
				return a.whyFormat(why)
			}
			out := a.rows("name", "doc", "follows")
			for _, f := range parsers.All {
				if err := out.add(f.Name, f.Doc, f.Spec); err != nil {
					return err
				}
			}
			return out.close()
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "judge this `file`")
	return cmd
}

// whyFormat prints every format's verdict on the start of a file.
func (a *app) whyFormat(path string) error {
	for in, err := range parsers.Inputs([]string{path}, a.stdin) {
		if err != nil {
			return err
		}
		r, err := in.Open()
		if err != nil {
			return err
		}
		verdicts, err := parsers.Why(r)
		r.Close()
		if err != nil {
			return err
		}
		out := a.rows("file", "format", "chosen", "accepted", "events", "rejected", "reason")
		for _, v := range verdicts {
			if err := out.add(in.Path, v.Format, v.Chosen, v.Accepted, v.Counts.Events, v.Counts.Rejected, v.Reason); err != nil {
				return err
			}
		}
		if err := out.close(); err != nil {
			return err
		}
	}
	return nil
}

func newFields(a *app) *cobra.Command {
	var own bool
	cmd := &cobra.Command{
		Use:   "fields",
		Short: "List the common fields of events; every other field of a record is x.NAME",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if own {
				return a.ownFields(cmd)
			}
			out := a.rows("name", "type", "doc")
			for _, f := range firetrail.Fields {
				if err := out.add(f.Name, f.Type.String(), f.Doc); err != nil {
					return err
				}
			}
			for _, e := range query.Extra {
				if err := out.add(e.Name, query.TypeOf(e.Name).String(), e.Doc); err != nil {
					return err
				}
			}
			return out.close()
		},
	}
	cmd.Flags().BoolVar(&own, "own", false, "list the own fields, x.NAME, that records of the case have instead")
	return cmd
}

// ownFields lists the x fields of a case.
func (a *app) ownFields(cmd *cobra.Command) error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	names, err := c.Fields(cmd.Context())
	if err != nil {
		return err
	}
	out := a.rows("name")
	for _, n := range names {
		if err := out.add(n); err != nil {
			return err
		}
	}
	return out.close()
}

func newDetectors(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "detectors",
		Short: "List the detectors",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			out := a.rows("name", "title", "attack", "doc")
			for _, d := range detect.All {
				if err := out.add(d.Name, d.Title, d.Attack, d.Doc); err != nil {
					return err
				}
			}
			return out.close()
		},
	}
}

func newSources(a *app) *cobra.Command {
	var rejects bool
	cmd := &cobra.Command{
		Use:   "sources",
		Short: "List the sources: lines, events, quarantined, bounds, zone, gaps",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			defer c.Close()
			out := a.rows("id", "path", "format", "sensor", "records", "events", "rejected", "headers", "other", "first", "last", "zone", "sha256")
			if rejects {
				out = a.rows("path", "line", "offset", "column", "reason")
			}
			for _, s := range c.Sources() {
				switch {
				case rejects:
					for r, err := range c.Rejects(cmd.Context(), s.ID) {
						if err != nil {
							return err
						}
						if err := out.add(s.Path, r.Line, r.Offset, r.Column, r.Reason); err != nil {
							return err
						}
					}
				case out.format == "json" || out.format == "jsonl":
					err = out.object(sourceJSON{Source: s, First: stampOrNull(s.First), Last: stampOrNull(s.Last), ModTime: stampOrNull(s.ModTime)})
				default:
					n := s.Counts
					err = out.add(s.ID, s.Path, s.Format, s.Sensor, n.Records, n.Events, n.Rejected, n.Headers, n.Other, a.stamp(s.First), a.stamp(s.Last), s.Zone, s.SHA256)
				}
				if err != nil {
					return err
				}
			}
			return out.close()
		},
	}
	cmd.Flags().BoolVar(&rejects, "rejects", false, "list the quarantined records with their reasons instead")
	return cmd
}

// sourceJSON prints times as text.
type sourceJSON struct {
	firetrail.Source
	First   *string `json:"first"`
	Last    *string `json:"last"`
	ModTime *string `json:"mod_time"`
}

func newParse(a *app) *cobra.Command {
	var p parserFlags
	var rejects bool
	cmd := &cobra.Command{
		Use:   "parse FILE...",
		Short: "Stream events as JSONL without a case; --rejects for the refused records",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opt, err := p.options()
			if err != nil {
				return err
			}
			return a.parse(cmd, args, opt, rejects)
		},
	}
	p.add(cmd)
	cmd.Flags().BoolVar(&rejects, "rejects", false, "the refused records with their reasons instead of the events")
	return cmd
}

// parse streams events or rejects of every input; a bad input does not stop the rest.
// Where not one could be read, that is an error, not a partial success.
func (a *app) parse(cmd *cobra.Command, args []string, opt parsers.Options, rejects bool) error {
	if a.format == "" {
		a.format = "jsonl"
	}
	out := a.rows(defaultFields...)
	if rejects {
		out = a.rows("path", "line", "offset", "length", "column", "reason")
	}
	partial, some := false, false
	for in, err := range parsers.Inputs(args, a.stdin) {
		if err == nil {
			err = a.parseInput(cmd, in, opt, out, rejects, &partial)
			some = some || err == nil
		}
		if err != nil {
			if cmd.Context().Err() != nil {
				return err
			}
			if _, skipped := errors.AsType[*parsers.SkippedError](err); skipped {
				a.say("%v", err)
				continue
			}
			a.complain(err)
			partial = true
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	switch {
	case partial && !some && out.n == 0:
		return exit(exitUsage)
	case partial:
		return exit(exitPartial)
	}
	return nil
}

// parseInput streams one input.
func (a *app) parseInput(cmd *cobra.Command, in parsers.Input, opt parsers.Options, out *rows, rejects bool, partial *bool) error {
	r, err := in.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", in.Path, err)
	}
	defer r.Close()
	rd, err := parsers.NewReader(r, in.Options(opt))
	if err != nil {
		return fmt.Errorf("%s: %w", in.Path, err)
	}
	var b parsers.Batch
	var buf []byte
	for {
		err := rd.Next(&b)
		for i := 0; i < len(b.Events) && !rejects; i++ {
			var werr error
			if buf, werr = a.parsed(out, &b.Events[i], buf); werr != nil {
				return werr
			}
		}
		for i := range b.Rejects {
			*partial = true
			if r := &b.Rejects[i]; rejects {
				if err := out.add(in.Path, r.Line, r.Offset, r.Length, r.Column, r.Reason); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", in.Path, err)
		}
		if err := cmd.Context().Err(); err != nil {
			return err
		}
	}
}

// parsed writes one event: whole as JSON, else the usual fields.
func (a *app) parsed(out *rows, ev *firetrail.Event, buf []byte) ([]byte, error) {
	if out.format == "json" || out.format == "jsonl" {
		buf = firetrail.AppendJSON(buf[:0], ev)
		return buf, out.line(buf)
	}
	values := make([]any, len(defaultFields))
	for i, n := range defaultFields {
		values[i] = a.value(ev, n, false)
	}
	return buf, out.add(values...)
}
