package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firetrail"
	"firetrail/index"
	"firetrail/index/query"
	"firetrail/parsers"

	"github.com/spf13/cobra"
)

// parserFlags are the flags of every command that reads logs.
type parserFlags struct {
	format, sensor, zone string
	year                 int
	prefixRules          []string
}

func (p *parserFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.format, "log-format", "", "`name` of the log format, where it is not found by itself")
	f.StringVar(&p.sensor, "sensor", "", "`name` of the sensor, in place of the record's own")
	f.StringVar(&p.zone, "timezone", "", "`zone` of stamps without one, e.g. America/New_York (default UTC, marked as guessed)")
	f.IntVar(&p.year, "year", 0, "year of the first record, for stamps without one")
	f.StringArrayVar(&p.prefixRules, "prefix-rule", nil, "meaning of an iptables log prefix: `REGEXP=ACTION`, action allow, deny, drop, reject or empty; repeatable")
}

func (p *parserFlags) options() (parsers.Options, error) {
	opt := parsers.Options{Format: p.format, Sensor: p.sensor, Year: p.year, Now: time.Now()}
	if p.zone != "" {
		zone, err := time.LoadLocation(p.zone)
		if err != nil {
			return opt, fmt.Errorf("--timezone: %w", err)
		}
		opt.Zone = zone
	}
	for _, r := range p.prefixRules {
		i := strings.LastIndexByte(r, '=')
		if i < 0 {
			return opt, fmt.Errorf("--prefix-rule %q: expected REGEXP=ACTION", r)
		}
		switch r[i+1:] {
		case "", firetrail.ActionAllow, firetrail.ActionDeny, firetrail.ActionDrop, firetrail.ActionReject:
		default:
			return opt, fmt.Errorf("--prefix-rule %q: expected allow, deny, drop, reject or nothing behind =", r)
		}
		opt.PrefixRules = append(opt.PrefixRules, parsers.PrefixRule{Pattern: r[:i], Action: r[i+1:]})
	}
	return opt, nil
}

func newIngest(a *app) *cobra.Command {
	var p parserFlags
	var follow bool
	var every string
	cmd := &cobra.Command{
		Use:   "ingest PATH...",
		Short: "Take logs into the case: files, folders, archives, - for stdin",
		Long: `Take logs into the case. Formats are found from the content; folders, gzip, zstd,
bzip2, xz, zip and tar are opened. What was taken in before, also under another
name or compression, is not taken in twice; a file that has grown continues where
it ended. A large source is committed in parts while it is read: after an
interruption the same command goes on where it was. Records that cannot be read
are quarantined with a reason (exit 3).
With --follow what is written to the files, and new files in folders, are taken in
until the command is interrupted.`,
		Example: "  firetrail ingest /var/log/firewall\n  zcat kern.log.gz | firetrail ingest --timezone Europe/Zurich -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opt, err := p.options()
			if err != nil {
				return err
			}
			c, err := a.create()
			if err != nil {
				return err
			}
			defer c.Close()
			iopt := index.IngestOptions{Options: opt, Stdin: a.stdin}
			if iopt.CommitEvery, err = query.Size(every); err != nil || iopt.CommitEvery <= 0 {
				return fmt.Errorf("--commit-every %q: expected a size such as 500M or 1G", every)
			}
			keepSmall()
			if !follow {
				_, err := a.ingest(cmd.Context(), c, args, iopt)
				return err
			}
			if slices.Contains(args, "-") {
				return fmt.Errorf("--follow: - cannot be followed: it is read to its end")
			}
			return a.follow(cmd.Context(), c, args, iopt)
		},
	}
	cmd.Flags().StringVar(&every, "commit-every", "1GiB", "`size` of a source, decompressed, after which what was read of it is committed")
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with what is written to the files, until interrupted")
	p.add(cmd)
	return cmd
}

// ingest takes in the paths with a line of progress and reports.
func (a *app) ingest(ctx context.Context, c *index.Case, paths []string, opt index.IngestOptions) (index.Ingested, error) {
	bar := a.progress()
	opt.Progress = bar.show
	done, err := c.Ingest(ctx, paths, opt)
	bar.clear()
	if err != nil && len(done.Sources) == 0 {
		return done, noCase(err)
	}
	if rerr := a.reportIngest(&done); err == nil {
		err = rerr
	}
	return done, err
}

// reportIngest says per source what became of it, and the totals. Where not one
// input could be taken in, that is an error, not a partial success.
func (a *app) reportIngest(done *index.Ingested) error {
	partial, refused, left := false, 0, 0
	for i := range done.Sources {
		s := &done.Sources[i]
		switch {
		case s.Status == index.StatusRefused && foreign(s.Err):
			a.say("%s: left out: %v", s.Path, s.Err)
			left++
		case s.Status == index.StatusRefused:
			a.complain(fmt.Errorf("%s: not taken in: %w", s.Path, s.Err))
			partial = true
			refused++
		case s.Status == index.StatusEmpty:
			a.say("%s: empty", s.Path)
		case s.Status == index.StatusKnown:
			a.say("%s: known, nothing new", s.Path)
		default:
			a.say("%s: %s, %s", s.Path, s.Format, countsText(&s.Added))
			if s.Err != nil {
				a.say("%s: ended early: %v", s.Path, s.Err)
				partial = true
			}
			if s.Added.Rejected > 0 {
				partial = true
				a.say("%s: see why with 'firetrail parse --rejects %s'", s.Path, s.Path)
			}
		}
	}
	for _, s := range done.Skipped {
		a.say("%v", &s)
	}
	if n := refused + left; n > 0 && n == len(done.Sources) {
		return exit(exitUsage)
	}
	a.say("%s", countsText(&done.Totals))
	if done.Unmerged != nil {
		a.say("small segments were not merged, which costs only time: %v", done.Unmerged)
	}
	if partial {
		return exit(exitPartial)
	}
	return nil
}

// foreign reports whether a source is a sound log of programs that are no
// firewall: leaving it out makes nothing incomplete.
func foreign(err error) bool {
	unknown, ok := errors.AsType[*parsers.UnknownFormatError](err)
	return ok && unknown.Sound
}

// countsText accounts for records in words. Of what was added to a source, fewer than no
// record may be quarantined: the end of what was there before was one, and is whole now.
func countsText(c *firetrail.Counts) string {
	text := fmt.Sprintf("%d records: %d events, %d quarantined", c.Records, c.Events, max(c.Rejected, 0))
	if c.Rejected < 0 {
		text += fmt.Sprintf(" (%d no longer)", -c.Rejected)
	}
	if c.Headers > 0 {
		text += fmt.Sprintf(", %d headers", c.Headers)
	}
	if c.Other > 0 {
		text += fmt.Sprintf(", %d other lines", c.Other)
	}
	return text
}

// bar is a progress line on a terminal; on anything else it is silent.
type bar struct {
	a     *app
	on    bool
	shown bool
	next  time.Duration
}

func (a *app) progress() *bar {
	return &bar{a: a, on: !a.quiet && isTerminal(a.stderr)}
}

// show is called from one goroutine at a time.
func (b *bar) show(p index.Progress) {
	if !b.on || p.Elapsed < b.next {
		return
	}
	b.next = p.Elapsed + 200*time.Millisecond
	b.shown = true
	fmt.Fprintf(b.a.stderr, "\r\x1b[K%s  %.60s", progressText(&p), firetrail.Inert(p.Path))
}

// progressText says how far an ingest is: rates of what it reads, and, by how much of
// the inputs is done with, the time that is left.
func progressText(p *index.Progress) string {
	seconds := max(p.Elapsed.Seconds(), 0.001)
	text := fmt.Sprintf("%d events, %.0f MB, %.0f MB/s", p.Events, float64(p.Bytes)/1e6, float64(p.Bytes)/1e6/seconds)
	if p.Total <= 0 || p.Done <= 0 {
		return text
	}
	text += fmt.Sprintf(", %.0f %%", 100*float64(p.Done)/float64(p.Total))
	if p.Done < p.Total {
		left := time.Duration(float64(p.Total-p.Done) / float64(p.Done) * float64(p.Elapsed))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

func (b *bar) clear() {
	if b.shown {
		fmt.Fprint(b.a.stderr, "\r\x1b[K")
	}
}
